"""What a model predicts on an evaluation set, kept as a whole, and the file that it is saved in.

Shape letters: B clip, I instance, C class. An array over I holds all clips' instances, clip after clip.
"""

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.mil.bags import Bags
from mil_asc.mil.decisions import ASSUMPTIONS, RULES, instance_confidences
from mil_asc.runtime.files import write_atomically


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of an evaluation set.

    Arguments
    ---------
    logits_IC : np.ndarray
        (I, C) float32 instance logits.
    counts_B : np.ndarray
        (B,) number of instances of each clip, at least 1; they sum to I.
    bag_logits_BC : np.ndarray
        (B, C) float32 bag logits by the model's own pooling.
    decision : str
        The rule the model is made for: a key of ``mil_asc.mil.decisions.RULES``.
    """

    logits_IC: np.ndarray
    counts_B: np.ndarray
    bag_logits_BC: np.ndarray
    decision: str = "smi"

    @classmethod
    def of_clips(cls, logits: list[np.ndarray], bag_logits: list[np.ndarray], decision: str = "smi") -> "Predictions":
        """Predictions of clips with (I, C) instance logits and (C,) bag logits, one of each per clip."""
        return cls(np.concatenate(logits), np.array([len(z_IC) for z_IC in logits]), np.stack(bag_logits), decision)

    @property
    def rules(self) -> tuple[str, ...]:
        """The decision rules to report: SMI and CMI for every model, and the model's own where it is another."""
        return tuple(dict.fromkeys([*ASSUMPTIONS, self.decision]))

    @cached_property
    def confidence_IC(self) -> np.ndarray:
        """(I, C) float64 instance confidences, between 0 and 1."""
        return instance_confidences(torch.from_numpy(self.logits_IC)).numpy()

    @cached_property
    def groups(self) -> list[tuple[np.ndarray, Bags]]:
        """Positions of clips of similar length with their ``Bags``; every clip is in one group.

        The longest clip of a group has less than twice the instances of its shortest, so that one very long clip
        does not pad all others.
        """
        octave_B = np.frexp(self.counts_B)[1]  # counts from 2 ** (octave - 1) up to below 2 ** octave
        groups = [np.flatnonzero(octave_B == octave) for octave in np.unique(octave_B)]
        return [(clips, self._bags(clips)) for clips in groups]

    def _bags(self, clips: np.ndarray) -> Bags:
        first_B1 = (np.cumsum(self.counts_B) - self.counts_B)[clips, None]
        counts_B1 = self.counts_B[clips, None]
        position_I = np.arange(counts_B1.max())
        logits_BIC = self.logits_IC[first_B1 + np.minimum(position_I, counts_B1 - 1)]  # padding repeats the last one
        mask_BI = position_I < counts_B1
        return Bags(*map(torch.from_numpy, (logits_BIC, mask_BI, self.bag_logits_BC[clips])))

    @cached_property
    def verdicts(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(B,) class decided for each clip and (B, C) float64 scores, under each of ``rules``."""
        shape = self.bag_logits_BC.shape
        verdicts = {rule: (np.empty(shape[0], dtype=np.int64), np.empty(shape)) for rule in self.rules}
        for clips, bags in self.groups:
            for rule, (class_B, score_BC) in verdicts.items():
                verdict = RULES[rule](bags)
                class_B[clips], score_BC[clips] = verdict.class_B.numpy(), verdict.score_BC.numpy()
        return verdicts

    def decided(self, rule: str | None = None) -> np.ndarray:
        """(B,) class decided for each clip under one of ``rules``, by default the model's own."""
        return self.verdicts[rule or self.decision][0]

    def scores(self, rule: str | None = None) -> np.ndarray:
        """(B, C) float64 scores under one of ``rules``, between 0 and 1; they may tie where ``decided`` does not."""
        return self.verdicts[rule or self.decision][1]

    def by_clip(self, values_I: np.ndarray) -> list[np.ndarray]:
        """An array over all instances cut into one array per clip."""
        return np.split(values_I, np.cumsum(self.counts_B)[:-1])

    def of_true_class(self, values_IC: np.ndarray, truth_B: np.ndarray) -> np.ndarray:
        """(I,) the values (I, C) of the class of each instance's clip; ``truth_B`` are class indices."""
        return values_IC[np.arange(len(values_IC)), np.repeat(truth_B, self.counts_B)]

    def positive_instances(self, truth_B: np.ndarray) -> np.ndarray:
        """(I,) True where the most confident class is the clip's."""
        return self.logits_IC.argmax(1) == np.repeat(truth_B, self.counts_B)


def write_predictions(path: Path, predictions: Predictions, clips: list[Clip], labels: list[str]) -> None:
    """Write predictions as an ``.npz`` file that ``numpy.load`` reads.

    ``paths`` (B,) and ``labels`` (C,) text; ``truth`` (B,) class indices; ``counts`` (B,) instances; ``logits`` (I, C)
    and ``bag_logits`` (B, C) float32.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        paths=np.array([clip.path for clip in clips]),
        labels=np.array(labels),
        truth=np.array([labels.index(clip.label) for clip in clips]),
        counts=predictions.counts_B,
        logits=predictions.logits_IC.astype(np.float32),
        bag_logits=predictions.bag_logits_BC.astype(np.float32),
    )
    write_atomically(path, content.getvalue())


def read_predictions(path: Path, labels: list[str]) -> dict[str, np.ndarray]:
    """The arrays of ``write_predictions`` by name.

    Raises
    ------
    UserError
        The file is missing or damaged, its arrays do not fit each other, or its classes are not ``labels``.
    """
    if not path.is_file():
        raise UserError(f"{path.parent} holds no {path.name}: evaluate the run again with --test_only")
    names = ("paths", "labels", "truth", "counts", "logits", "bag_logits")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}): evaluate the run again") from error
    counts_B, clips = arrays["counts"], len(arrays["paths"])
    shapes = {name: arrays[name].shape for name in ("truth", "counts", "logits", "bag_logits")}
    fitting = {"truth": (clips,), "counts": (clips,), "bag_logits": (clips, len(labels))}
    fitting["logits"] = (int(counts_B.sum()), len(labels))
    if arrays["labels"].tolist() != labels or shapes != fitting or clips == 0 or counts_B.min() < 1:
        raise UserError(f"{path} does not fit the run's report, or is inconsistent: evaluate the run again")
    return arrays
