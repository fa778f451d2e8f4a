"""The instance scores of one recording, and the scene that they decide; NumPy only.

Shapes: I instances, C classes, K traits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from mil_asc.errors import ArgumentError, UserError
from mil_asc.inference.scene import Instances, Scene
from mil_asc.mil.bag_logits import pool, sigmoid
from mil_asc.mil.verdicts import judge
from mil_asc.model.interface import RULE_NAMES, NetworkInterface

if TYPE_CHECKING:
    from mil_asc.packaging.familiarity import Calibration

SHORTEST_WINDOW = 1e-6
"""Windows of a shorter timeline would be too many to be counted (in seconds); no instance is as short."""
REJECTED = 0.01
"""Share of recordings like the training data that are called unfamiliar by default."""


@dataclass(frozen=True, eq=False)
class RecordingScores:
    """What a network gave for a recording.

    Arguments
    ---------
    interface : NetworkInterface
        That of the network.
    logits_IC : numpy.ndarray
        (I, C) float32 instance logits, at least one instance.
    times_I2 : numpy.ndarray
        (I, 2) start and end of each instance (in seconds).
    attention_I : numpy.ndarray, optional
        (I,) attention scores before their softmax, of networks with attention.
    traits_IK : numpy.ndarray, optional
        (I, K) what the out-of-domain score is computed from; None without a calibration.
    calibration : Calibration, optional
        That of the model.
    rejected : float
        Share of recordings like the training data that are called unfamiliar.
    duration : float, optional
        Length of the recording (in seconds); None where it is not known yet.
    """

    interface: NetworkInterface
    logits_IC: np.ndarray
    times_I2: np.ndarray
    attention_I: np.ndarray | None = None
    traits_IK: np.ndarray | None = None
    calibration: Calibration | None = None
    rejected: float = REJECTED
    duration: float | None = None

    @property
    def bag_logits_C(self) -> np.ndarray:
        """(C,) bag logits by the model's own pooling."""
        learned = self.interface.sharpness
        return pool(
            self.interface.pooling,
            self.logits_IC,
            self.interface.pooling_options,
            score_I=self.attention_I,
            sharpness_C=None if learned is None else np.asarray(learned),
        )

    def scene(self, assumption: str | None = None) -> Scene:
        """The scene under a rule (``smi``, ``cmi`` or ``bag``), by default the model's own."""
        check_rule(assumption)
        rule, labels = assumption or self.interface.rule, self.interface.labels
        verdicts = judge(self.logits_IC, self.bag_logits_C)
        winner = verdicts[rule].winner
        logits_IC = self.logits_IC.astype(np.float64)
        unfamiliarity, familiar = self._familiarity()
        probability = None
        if self.calibration is not None and familiar is not False:
            probability = self.calibration.confidence(rule, float(verdicts[rule].scores_C[winner]))
        return Scene(
            label=labels[winner],
            assumption=rule,
            scores={name: dict(zip(labels, verdict.scores_C.tolist())) for name, verdict in verdicts.items()},
            instances=Instances(labels, logits_IC.argmax(1), sigmoid(logits_IC), self.times_I2, winner),
            start=float(self.times_I2[0, 0]),
            end=float(self.times_I2[-1, 1]),
            probability=probability,
            unfamiliarity=unfamiliarity,
            familiar=familiar,
            parts=partial(self.timeline, rule),
            decisions={name: labels[verdict.winner] for name, verdict in verdicts.items()},
            duration=self.duration,
        )

    def _familiarity(self) -> tuple[float | None, bool | None]:
        """The out-of-domain score, and whether the recording is like the training data; None where not to be told."""
        if self.calibration is None or self.traits_IK is None:
            return None, None
        mean_K, instances = self.traits_IK.mean(0, dtype=np.float64), len(self.traits_IK)
        return self.calibration.score(mean_K, instances), self.calibration.familiar(mean_K, self.rejected, instances)

    def timeline(self, assumption: str, seconds: float) -> list[Scene]:
        """A scene for every window of ``seconds``, decided under a rule; see ``Scene.timeline``."""
        scenes = [replace(part.scene(assumption), parts=None) for part in self.windows(seconds)]
        if self._familiarity()[1] is False:  # a part too short to be judged by itself is no better known
            scenes = [replace(one, probability=None) if one.familiar is None else one for one in scenes]
        return scenes

    def windows(self, seconds: float) -> Iterator[RecordingScores]:
        """The parts of the recording in consecutive windows of ``seconds``, by the middle of the instances."""
        if not isinstance(seconds, Real) or isinstance(seconds, bool) or not seconds > 0:
            raise ArgumentError(f"seconds must be a number above 0, got {seconds!r:.80}")
        window_I = (self.times_I2.mean(1) // max(seconds, SHORTEST_WINDOW)).astype(np.int64)
        edges = [0, *(np.flatnonzero(np.diff(window_I)) + 1).tolist(), len(window_I)]
        for first, last in zip(edges[:-1], edges[1:]):
            yield self._part(slice(first, last))

    def _part(self, own: slice) -> RecordingScores:
        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[own]

        return replace(
            self,
            logits_IC=self.logits_IC[own],
            times_I2=self.times_I2[own],
            attention_I=cut(self.attention_I),
            traits_IK=cut(self.traits_IK),
        )

    def check_finite(self, name: str) -> None:
        """Refuse scores that are not finite (``UserError``): they decide nothing. ``name`` is the recording's."""
        parts = [self.logits_IC, self.attention_I, self.traits_IK]
        if not all(np.isfinite(part).all() for part in parts if part is not None):
            raise UserError(f"{name}: the model's scores are not finite, so there is no class: check its weights")


def check_rule(assumption: str | None) -> None:
    """Refuse a rule that does not exist; None stands for the model's own."""
    if assumption is not None and assumption not in RULE_NAMES:
        raise ArgumentError(f"unknown assumption {assumption!r:.80}; legal: {', '.join(RULE_NAMES)}")
