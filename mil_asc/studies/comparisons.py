"""Systems compared on the same clips: the exact test of McNemar, and intervals by a bootstrap over groups."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from mil_asc.results.intervals import group_interval
from mil_asc.studies.measures import from_digits

RESAMPLES, SEED = 10_000, 1


@dataclass(frozen=True)
class Outcomes:
    """Clips of one or several evaluation sets: ``correct_B``, the share of the seeds that classify each correctly (0 to
    1), and ``groups``, the group of each."""

    correct_B: np.ndarray
    groups: list[str]

    @property
    def accuracy(self):
        """Mean over clips and seeds, 0 to 1."""
        return float(self.correct_B.mean())

    @property
    def interval(self):
        """95 % interval of the accuracy, by a bootstrap over groups."""
        return group_interval(self.correct_B, self.groups, RESAMPLES, SEED)


def outcomes_of(rows, rule, parts, **factors):
    """The ``Outcomes`` of a system, its evaluation sets one after the other; None if one of them has no row.

    Arguments
    ---------
    rows : list of dict
        With the columns of ``mil_asc.studies.measures.outcomes``.
    rule : str
        ``own``, ``smi`` or ``cmi``.
    parts : dict
        A column that names the evaluation set (such as ``fold``) -> the sets.
    **factors
        Values that the rows of the system have.
    """
    ((column, names),) = parts.items()
    shares, groups = [], []
    for name in names:
        chosen = {**factors, column: name}
        own = [row for row in rows if all(row[key] == str(value) for key, value in chosen.items())]
        if not own:
            return None
        sizes = [int(size) for size in own[0]["group_sizes"].split()]
        shares.append(np.mean([from_digits(row[f"correct_{rule}"], sum(sizes)) for row in own], axis=0))
        groups += [f"{name}/{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return Outcomes(np.concatenate(shares), groups)


def difference(own, reference):
    """Difference of two ``Outcomes`` of the same clips, with its 95 % interval: (mean, low, high), -1 to 1."""
    if own.groups != reference.groups:
        raise ValueError("only systems that were evaluated on the same clips can be compared")
    difference_B = own.correct_B - reference.correct_B
    return float(difference_B.mean()), *group_interval(difference_B, own.groups, RESAMPLES, SEED)


def mcnemar(own_B, reference_B):
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
