"""Systems compared on the same clips: the exact test of McNemar, and intervals by a bootstrap over groups."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import DoubtWarning
from mil_asc.results.intervals import FEWEST_GROUPS, group_interval
from mil_asc.results.run import Run, folds_in
from mil_asc.results.run_clips import evaluated_clips
from mil_asc.results.same_data import check_named_once, check_same_clips, other_recordings

RESAMPLES, SEED = 10_000, 1
ADVICE = "train or evaluate the run again"


@dataclass(frozen=True)
class Outcomes:
    """Clips of one or several evaluation sets: ``correct_B``, the share of the seeds that classify each correctly (0 to
    1), and ``groups``, the group of each."""

    correct_B: np.ndarray
    groups: list[str]

    @property
    def accuracy(self) -> float:
        """Mean over clips and seeds, 0 to 1."""
        return float(self.correct_B.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy, by a bootstrap over groups."""
        return group_interval(self.correct_B, self.groups, RESAMPLES, SEED)


def difference(own: Outcomes, reference: Outcomes) -> tuple[float, float, float]:
    """Difference of two ``Outcomes`` of the same clips, with its 95 % interval: (mean, low, high), -1 to 1."""
    if own.groups != reference.groups:
        raise ValueError("only systems that were evaluated on the same clips can be compared")
    difference_B = own.correct_B - reference.correct_B
    return float(difference_B.mean()), *group_interval(difference_B, own.groups, RESAMPLES, SEED)


def mcnemar(own_B: Sequence[bool] | np.ndarray, reference_B: Sequence[bool] | np.ndarray) -> float:
    """Two-sided p value of McNemar's exact test: are two systems equally often right where only one of them is?

    Q. McNemar, Psychometrika 1947; the exact form by the binomial distribution. Clips count as independent.

    Arguments
    ---------
    own_B, reference_B : array of bool
        Which of the same clips each system classifies correctly.

    Example
    -------
    >>> mcnemar([True] * 6 + [False], [False] * 6 + [False])
    0.03125
    """
    own_B, reference_B = np.asarray(own_B, dtype=bool), np.asarray(reference_B, dtype=bool)
    better, worse = int((own_B & ~reference_B).sum()), int((reference_B & ~own_B).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


class Comparison(NamedTuple):
    """Two systems on the same ``clips`` of ``groups`` groups: their accuracies (0 to 1); their ``difference`` and its
    95 % ``interval`` over groups (-1 to 1), None for few of them; ``p`` of McNemar's test, None for several runs."""

    clips: int
    groups: int
    accuracy: float
    reference: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None


def compare_runs(own: Sequence[Path], reference: Sequence[Path]) -> dict[str, Comparison]:
    """Two systems on the same evaluation set, each by one run or by the mean of several (seeds).

    Arguments
    ---------
    own, reference : sequence of Path
        Folders of finished runs, or of cross-validations, which stand for the clips of all their folds.

    Returns
    -------
    dict
        ``own rule``, ``SMI`` and ``CMI`` -> ``Comparison``.

    Raises
    ------
    UserError
        A folder holds no finished run or is named twice, or the runs were not evaluated on the same clips. Recordings
        of the same names that have other samples are warned of (``DoubtWarning``).
    """
    check_named_once([*own, *reference], ", on one side")
    sides = [[_read(folder) for folder in folders] for folders in (own, reference)]
    first, *others = (*sides[0], *sides[1])
    for other in others:
        _check_same(first, other)
    found, single = {}, len(own) == len(reference) == 1
    for name, rule in (("own rule", None), ("SMI", "smi"), ("CMI", "cmi")):
        ours, theirs = (np.mean([one.correct(rule, first.order) for one in side], axis=0) for side in sides)
        found[name] = _compared(Outcomes(ours, first.groups), Outcomes(theirs, first.groups), single)
    return found


def _compared(own: Outcomes, reference: Outcomes, single: bool) -> Comparison:
    groups = len(set(own.groups))
    mean, *interval = difference(own, reference) if groups >= FEWEST_GROUPS else (own.accuracy - reference.accuracy,)
    return Comparison(
        clips=len(own.groups),
        groups=groups,
        accuracy=own.accuracy,
        reference=reference.accuracy,
        difference=mean,
        interval=(interval[0], interval[1]) if interval else None,
        p=mcnemar(own.correct_B, reference.correct_B) if single else None,
    )


class _Evaluated(NamedTuple):
    """A run, or all folds of a cross-validation, and the clips of each."""

    folder: Path
    parts: list[tuple[Run, list[Clip]]]

    @property
    def clips(self) -> dict[str, Clip]:
        return {clip.path: clip for _, clips in self.parts for clip in clips}

    @property
    def order(self) -> list[str]:
        """Paths in the order of the groups."""
        clips = self.clips
        return sorted(clips, key=lambda path: (clips[path].location, path))

    @property
    def groups(self) -> list[str]:
        clips = self.clips
        return [clips[path].location for path in self.order]

    def correct(self, rule: str | None, order: list[str]) -> np.ndarray:
        """(B,) bool: which clips are classified correctly under a rule, None for the run's own."""
        found: dict[str, bool] = {}
        for run, clips in self.parts:
            own_B = run.predictions.decided(rule) == run.truth_B
            found.update(zip((clip.path for clip in clips), own_B.tolist()))
        return np.array([found[path] for path in order])


def _read(folder: Path) -> _Evaluated:
    runs = [Run(fold) for fold in folds_in(folder).values()] or [Run(folder)]
    for run in runs:
        run.check_finished()
    return _Evaluated(Path(folder), [(run, evaluated_clips(run, ADVICE)) for run in runs])


def _check_same(first: _Evaluated, other: _Evaluated) -> None:
    check_same_clips(other.clips, first.clips, (other.folder, first.folder), ADVICE)
    for (run, _), (run_of_first, _) in zip(other.parts, first.parts):
        for text in other_recordings(run, run_of_first):
            warnings.warn(DoubtWarning(text), stacklevel=2)
