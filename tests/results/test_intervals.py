"""Intervals against values by hand and printed tables."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from mil_asc.results.intervals import (
    clustered_interval,
    group_interval,
    paired_interval,
    student_interval,
    wilson_interval,
)

T_TABLE = {1: 12.706, 2: 4.303, 4: 2.776, 6: 2.4469}
"""Two-sided 95 % points of Student's t, from a printed table, by degrees of freedom."""


def test_interval_by_hand():
    """1, 2, 3: mean 2, sample deviation 1, so 2 ± 4.303 / sqrt(3)."""
    found = student_interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(2 - found.low) == pytest.approx(T_TABLE[2] / math.sqrt(3), abs=1e-3)


def test_interval_of_five_seeds():
    """78, 79, 79, 80, 81: mean 79.4, squares 1.96 + 0.16 + 0.16 + 0.36 + 2.56 = 5.2, sd sqrt(1.3)."""
    found = student_interval([78.0, 79.0, 79.0, 80.0, 81.0])
    assert found.mean == pytest.approx(79.4)
    assert found.high - found.mean == pytest.approx(T_TABLE[4] * math.sqrt(1.3 / 5), abs=1e-3)


def test_one_value_has_no_interval():
    found = student_interval([5.0])
    assert (found.mean, found.low, found.high) == (5, None, None)


def test_clips_that_are_groups_of_their_own_have_the_interval_of_single_values():
    values = [1.0, 0.0, -1.0, 0.0, 1.0, 1.0, 0.0]
    found, expected = clustered_interval(values, "abcdefg"), student_interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_clips_of_equal_groups_have_the_interval_of_the_groups_means():
    """Six groups of two clips: the interval is Student's of the six means."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    found = clustered_interval(values.tolist(), [f"place {b % 6}" for b in range(12)])
    expected = student_interval(values.reshape(2, 6).mean(0).tolist())
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_interval_over_groups_covers_the_truth_where_that_over_clips_does_not():
    rng, covered = np.random.default_rng(0), np.zeros(2)
    groups = np.repeat(np.arange(30), 10)
    for _ in range(400):
        values = (rng.normal(size=30)[groups] + 0.3 * rng.normal(size=300)).tolist()
        intervals = clustered_interval(values, groups.astype(str).tolist()), student_interval(values)
        covered += [found.low < 0 < found.high for found in intervals]
    assert 0.92 < covered[0] / 400 < 0.98 and covered[1] / 400 < 0.6


def test_five_groups_have_no_interval():
    values, groups = [1.0, 0.0, 0.0, 1.0, 0.0, 0.5], "abcdee"
    found = clustered_interval(values, groups)
    assert (found.mean, found.low, found.high) == (pytest.approx(2.5 / 6), None, None)
    assert clustered_interval(values, "abcdef").low is not None


def test_paired_differences_are_taken_over_common_seeds():
    """Seeds 1 and 2 are common: differences 1 and 3, mean 2, deviation sqrt(2), half width 12.706."""
    found = paired_interval({1: 51.0, 2: 63.0, 4: 0.0}, {2: 60.0, 1: 50.0, 3: 99.0})
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(T_TABLE[1], abs=1e-3)
    assert paired_interval({1: 50.0}, {2: 50.0}) is None


@pytest.mark.parametrize(
    "correct, total, interval",
    ((8, 10, (0.4902, 0.9433)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0))),
)
def test_wilson_interval(correct, total, interval):
    assert wilson_interval(correct, total) == pytest.approx(interval, abs=1e-4)


def test_wilson_interval_solves_its_equation():
    """Both ends p are where the share lies 1.96 standard errors of p away."""
    for end in wilson_interval(37, 90):
        assert abs(37 / 90 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 90))


# -- over groups


def slow_group_interval(correct, groups, resamples, seed):
    """Whole groups of clips are drawn again and again, and their clips counted one by one."""
    names = sorted(set(groups))
    clips = {name: [c for c, group in zip(correct, groups) if group == name] for name in names}
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    shares = []
    for row in drawn.tolist():
        every = [clip for place in row for clip in clips[names[place]]]
        shares.append(sum(every) / len(every))
    below = NormalDist().cdf(-math.sqrt(len(names) / (len(names) - 1)) * T_TABLE[len(names) - 1])
    return tuple(np.quantile(shares, [below, 1 - below]))


def test_interval_over_groups_is_that_of_drawing_whole_groups():
    rng = np.random.default_rng(3)
    groups = [f"g{number}" for number in rng.integers(7, size=60)]
    correct = (rng.random(60) < 0.7).tolist()
    found = group_interval(np.array(correct), groups, 2001, seed=4)
    assert found == pytest.approx(slow_group_interval(correct, groups, 2001, seed=4), abs=1e-4)


def test_interval_over_groups_is_wider_than_over_clips_if_clips_of_a_group_are_alike():
    groups = [f"g{n // 10}" for n in range(200)]
    alike, mixed = np.array([n // 10 % 2 == 0 for n in range(200)]), np.array([n % 2 == 0 for n in range(200)])
    (low, high), (near, far) = (group_interval(correct, groups, 10_000, 0) for correct in (alike, mixed))
    assert (near, far) == (0.5, 0.5) and high - low == pytest.approx(2 * 2.093 * math.sqrt(0.25 / 19), rel=0.1)
    single = group_interval(alike, [str(n) for n in range(200)], 10_000, 0)
    assert single == pytest.approx(wilson_interval(100, 200), abs=0.01)


def test_interval_over_groups_holds_the_accuracy_about_as_often_as_it_says():
    """Ten groups of clips, whose accuracies scatter around 0.8."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        size = rng.integers(10, 31, 10)
        right = rng.binomial(size, rng.beta(16, 4, 10))
        correct = np.concatenate([np.arange(n) < r for n, r in zip(size, right)])
        low, high = group_interval(correct, np.repeat([f"g{n}" for n in range(10)], size).tolist(), 1000, 0)
        held += low <= 0.8 <= high
    assert 0.91 < held / 400 < 0.98


def test_interval_over_many_groups_needs_little_memory():
    correct = np.arange(20_000) % 4 > 0
    low, high = group_interval(correct, [f"{n:05d}" for n in range(20_000)], 1000, 0)
    assert low < 0.75 < high and high - low == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 20_000), rel=0.15)
