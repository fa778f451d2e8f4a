"""Means, spreads and 95 % intervals of accuracies and of other numbers."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

NORMAL = 1.959964
"""Two-sided 95 % point of the normal distribution."""
FEWEST_GROUPS = 6
"""Groups below which there is no interval over groups: with five, a sign test cannot reach 95 %."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; ``low`` and ``high`` are None for a single value."""

    mean: float
    low: float | None
    high: float | None


def wilson_interval(correct: int, total: int, z: float = NORMAL) -> tuple[float, float]:
    """Wilson's interval (low, high) of a share, ``correct`` of ``total`` > 0 independent trials; 95 % by default.

    Example
    -------
    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    share = correct / total
    middle = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def student_interval(values: Sequence[float]) -> Interval:
    """Mean of one or more values and its two-sided 95 % interval by Student's t with n - 1 degrees of freedom.

    Example
    -------
    >>> round(student_interval([1.0, 3.0]).high, 3)  # 2 + 12.706 * sqrt(2) / sqrt(2)
    14.706
    """
    mean = statistics.mean(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def clustered_interval(values: Sequence[float], groups: Sequence[str]) -> Interval:
    """Mean of one value per clip and its two-sided 95 % interval, where the clips of a group may resemble each other.

    The interval takes the G groups for independent, not the B clips (cluster-robust variance): the variance of the
    mean is G / (G - 1) * sum over groups of (sum of value - mean over the group's clips)^2 / B^2, with Student's t of
    G - 1 degrees of freedom. If every clip is a group of its own, this is ``student_interval``. ``low`` and ``high``
    are None for fewer than ``FEWEST_GROUPS`` groups.

    Example
    -------
    >>> clustered_interval([0, 0, 1, 1], ["a", "a", "b", "b"])
    Interval(mean=0.5, low=None, high=None)
    >>> round(clustered_interval([1, 0, 2, 1, 0, 2], "abcdef").high, 3)  # 1 + 2.571 * 0.894 / sqrt(6)
    1.939
    """
    value_B = np.asarray(values, dtype=float)
    mean = float(value_B.mean())
    names, group_B = np.unique(np.array(list(groups), dtype=object), return_inverse=True)
    count = len(names)
    if count < FEWEST_GROUPS:
        return Interval(mean, None, None)
    sum_G = np.bincount(group_B, weights=value_B - mean)
    variance = count / (count - 1) * float((sum_G**2).sum()) / len(value_B) ** 2
    half = float(stdtrit(count - 1, 0.975)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def paired_interval(own: Mapping[int, float], reference: Mapping[int, float]) -> Interval | None:
    """``student_interval`` of the differences own - reference over the seeds that both have; None without any.

    Both map seeds to accuracies.
    """
    differences = [own[seed] - reference[seed] for seed in sorted(own.keys() & reference.keys())]
    return student_interval(differences) if differences else None


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None] | None:
    """(mean, sample standard deviation or None) of one number per seed; None where there are none."""
    if not values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def group_interval(correct_B: np.ndarray, groups: Sequence[str], resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval (low, high) of an accuracy over groups of clips, by a bootstrap that draws groups.

    Clips of one group are not independent. As many groups as there are, G, are drawn with replacement ``resamples``
    times; low and high are quantiles of the accuracy over the clips of the drawn groups. Those of 2.5 % and 97.5 % make
    an interval that is too narrow for few groups, so the level is Phi(-sqrt(G / (G - 1)) t), with the 97.5 % point t of
    Student's t with G - 1 degrees of freedom (the expanded percentile interval of Hesterberg, "What teachers should
    know about the bootstrap", The American Statistician 2015).

    Arguments
    ---------
    correct_B : np.ndarray
        (B,) bool, which clips are classified correctly; at least one clip.
    groups : sequence of str
        The group of each clip; two groups or more.
    resamples : int
        Number of draws.
    seed : int
        Of the draws.

    Example
    -------
    >>> group_interval(np.array([True, True, False]), ["a", "a", "b"], resamples=1000, seed=0)  # a and a, or b and b
    (0.0, 1.0)
    """
    _, group_B = np.unique(np.array(groups, dtype=object), return_inverse=True)
    clips_G, correct_G = np.bincount(group_B), np.bincount(group_B, weights=correct_B)
    random, many = np.random.default_rng(seed), max(1, 1_000_000 // len(clips_G))
    shares = []
    for first in range(0, resamples, many):
        drawn = random.integers(len(clips_G), size=(min(many, resamples - first), len(clips_G)))
        shares.append(correct_G[drawn].sum(1) / clips_G[drawn].sum(1))
    level = expanded_level(len(clips_G))
    low, high = np.quantile(np.concatenate(shares), [level, 1 - level])
    return float(low), float(high)


def expanded_level(groups: int) -> float:
    """The level of the lower end of a 95 % percentile interval over so many groups, 2 or more; 0.025 for very many.

    Example
    -------
    >>> round(expanded_level(10), 4), round(expanded_level(100_000), 4)
    (0.0086, 0.025)
    """
    return float(ndtr(-math.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, 0.975)))
