"""What a classifier says of a recording, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, overload

from mil_asc.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np


UNFAMILIAR = "unlike the training data"


@dataclass(frozen=True)
class Instance:
    """One stretch of a recording: ``start`` and ``end`` (in seconds), its most confident class and that confidence.

    ``positive`` is True where that class is the one decided for the recording; ``scores`` has the
    confidence of every class.
    """

    start: float
    end: float
    label: str
    confidence: float
    positive: bool
    scores: dict[str, float]


class Instances(Sequence[Instance]):
    """The instances of a recording, each made when it is asked for, so that hours of them need little memory.

    Arguments
    ---------
    labels : list of str
        Classes C.
    winners_I, confidences_IC, times_I2 : numpy.ndarray
        Index of the most confident class; confidences (float64, 0 to 1); start and end (in seconds).
    decided : int
        Index of the class decided for the recording.
    """

    def __init__(
        self, labels: list[str], winners_I: np.ndarray, confidences_IC: np.ndarray, times_I2: np.ndarray, decided: int
    ):
        self.labels, self.decided = labels, decided
        self.winners_I, self.confidences_IC, self.times_I2 = winners_I, confidences_IC, times_I2

    def __len__(self) -> int:
        return len(self.winners_I)

    @overload
    def __getitem__(self, position: int) -> Instance: ...

    @overload
    def __getitem__(self, position: slice) -> list[Instance]: ...

    def __getitem__(self, position: int | slice) -> Instance | list[Instance]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(f"instance {position} of {len(self)}")
        winner, p_C = int(self.winners_I[position]), self.confidences_IC[position].tolist()
        start, end = self.times_I2[position].tolist()
        label = self.labels[winner]
        return Instance(start, end, label, p_C[winner], winner == self.decided, dict(zip(self.labels, p_C)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(own == theirs for own, theirs in zip(self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} instances>"

    @property
    def positive_I(self) -> np.ndarray:
        """(I,) bool, True where an instance is positive."""
        return self.winners_I == self.decided

    def positive(self, most: int | None = None) -> list[Instance]:
        """The positive instances in the order of time; or the ``most`` confident of them, the greatest first."""
        positions_P = self.positive_I.nonzero()[0]
        if most is not None:
            order_P = (-self.confidences_IC[positions_P, self.decided]).argsort(kind="stable")
            positions_P = positions_P[order_P[:most]]
        return [self[position] for position in positions_P.tolist()]


@dataclass(frozen=True)
class Scene:
    """The class decided for a recording, the scores of all classes under each decision rule, and the instances.

    Attributes
    ----------
    label : str
        The class decided under the rule ``assumption``. No other has a greater score, but scores may tie where the
        underlying logits and counts do not.
    assumption : str
        ``smi``, ``cmi`` or ``bag``.
    scores : dict
        Rule -> class -> score. ``scores["smi"]`` and ``scores["bag"]`` are bag confidences (0 to 1 each) by maximum
        and by the model's pooling, ``scores["cmi"]`` shares of instances, which sum to 1.
    instances : Instances
        ``Instance``s in the order of time: a sequence.
    start, end : float
        The stretch of the recording that this is about (in seconds).
    probability : float or None
        Calibrated probability (0 to 1) that ``label`` is correct, for recordings like those of the training data; None
        without a calibration, and where ``familiar`` is False, because it is not measured for foreign sound; then also
        in a window of ``timeline`` that is too short to be judged by itself.
    unfamiliarity : float or None
        Out-of-domain score, greater for recordings less like the training data; None without a calibration.
    familiar : bool or None
        False where ``unfamiliarity`` exceeds the threshold: the label then means little. None without a calibration,
        and for a single instance, which has no deviation over time to judge.
    parts : callable or None
        What ``timeline`` calls; only scenes of whole recordings have it.
    decisions : dict
        Rule -> class decided under it, for every rule of ``scores``.
    duration : float or None
        Length of the whole recording (in seconds); None in a stream, whose end is not known.
    """

    label: str
    assumption: str
    scores: dict[str, dict[str, float]]
    instances: Instances
    start: float = 0.0
    end: float = 0.0
    probability: float | None = None
    unfamiliarity: float | None = None
    familiar: bool | None = None
    parts: Callable[[float], list[Scene]] | None = field(default=None, repr=False, compare=False)
    decisions: dict[str, str] = field(default_factory=dict)
    duration: float | None = None

    def present(self, theta: int = 1, tau: float = 0.5) -> list[str]:
        """Classes present under TMI: those with at least ``theta`` >= 1 instances of confidence ``tau`` or more.

        ``tau`` lies between 0 and 1. There may be several such classes, or none. Other values are an
        ``ArgumentError``, which is a ``ValueError``.
        """
        if not isinstance(theta, Integral) or isinstance(theta, bool) or theta < 1:
            raise ArgumentError(f"theta must be a whole number from 1 up, got {theta!r:.80}")
        if not isinstance(tau, Real) or not 0 < tau < 1:
            raise ArgumentError(f"tau must be a number between 0 and 1, got {tau!r:.80}")
        counts_C = (self.instances.confidences_IC >= tau).sum(0).tolist()
        return [label for label, count in zip(self.instances.labels, counts_C) if count >= theta]

    def timeline(self, seconds: float = 10.0) -> list[Scene]:
        """A ``Scene`` for every window of the recording, decided by the same rule from the window's instances.

        Arguments
        ---------
        seconds : float
            Length of a window, above 0. An instance belongs to the window in which its middle lies; the last window
            may be shorter, and one without an instance is left out.

        Raises
        ------
        ValueError
            ``seconds`` is no number above 0, or the scene was not made by a classifier.
        """
        if self.parts is None:
            raise ValueError("only the scene of a whole recording has a timeline")
        return self.parts(seconds)

    def __str__(self) -> str:
        rules = list(dict.fromkeys((self.assumption, "smi", "cmi")))  # the one that decided first
        scores = ", ".join(f"{rule.upper()} {self.scores[rule][self.label]:.2f}" for rule in rules)
        strongest = self.instances.positive(most=3)
        moments = ", ".join(f"{i.start:.2f}-{i.end:.2f} s ({i.confidence:.2f})" for i in strongest) or "none"
        positive = int(self.instances.positive_I.sum())
        doubt = f", {UNFAMILIAR}" if self.familiar is False else ""
        return (
            f"{self.label} ({scores}){doubt}; "
            f"{positive} of {len(self.instances)} instances positive; strongest: {moments}"
        )
