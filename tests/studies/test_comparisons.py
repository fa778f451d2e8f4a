"""Systems on the same clips: what a row keeps of them, McNemar's test, differences with intervals over groups."""

import numpy as np
import pytest
from scipy.stats import binom

from mil_asc.results.paired import difference, mcnemar
from mil_asc.studies.comparisons import outcomes_of
from mil_asc.studies.measures import as_digits, from_digits, outcomes, recording_of, setting_of
from mil_asc.studies.real_recordings_page import pooled_tables


def row(correct_B, sizes, **factors):
    digits = as_digits(correct_B)
    return {"group_sizes": " ".join(map(str, sizes)), "correct_smi": digits, "seed": "1", **factors}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 400])
def test_booleans_survive_their_digits(count):
    correct_B = (np.random.default_rng(count).random(count) < 0.5).tolist()
    assert from_digits(as_digits(correct_B), count) == correct_B


class FakeRun:
    """What ``outcomes`` reads of a run: five clips of three recordings, of which SMI has three right, CMI one."""

    paths = [
        "audio/1-20-A-3.wav",
        "audio/1-10-B-3.wav",
        "audio/1-10-A-3.wav",
        "audio/1-30-A-0.wav",
        "audio/1-20-B-3.wav",
    ]
    truth_B = np.array([0, 1, 1, 2, 0])

    class predictions:
        @staticmethod
        def decided(rule):
            return np.array([0, 1, 0, 2, 1] if rule in (None, "smi") else [1, 1, 0, 0, 1])


def test_clips_are_in_the_order_of_their_recordings():
    found = outcomes(FakeRun, recording_of)
    assert found["group_sizes"] == "2 2 1"
    assert from_digits(found["correct_smi"], 5) == [False, True, True, False, True]
    assert from_digits(found["correct_cmi"], 5) == [False, True, False, False, False]
    assert found["correct_own"] == found["correct_smi"]


def test_a_piece_that_a_run_did_not_know_was_off():
    class Earlier:
        @staticmethod
        def setting(name):
            return {"mixup_alpha": 0.3}.get(name)

    assert [setting_of(Earlier, name) for name in ("mixup_alpha", "time_stretch", "pooling")] == ["0.3", "0.0", "None"]


def test_sets_are_joined_and_seeds_averaged():
    rows = [
        row([True, False, True], [2, 1], fold="1", strategy="a"),
        row([True, True, True], [2, 1], fold="1", strategy="a") | {"seed": "2"},
        row([False], [1], fold="2", strategy="a"),
        row([True], [1], fold="2", strategy="b"),
    ]
    found = outcomes_of(rows, "smi", {"fold": [1, 2]}, strategy="a")
    assert found.correct_B.tolist() == [1.0, 0.5, 1.0, 0.0] and found.groups == ["1/0", "1/0", "1/1", "2/0"]
    assert found.accuracy == 0.625
    assert outcomes_of(rows, "smi", {"fold": [1, 2]}, strategy="b") is None


def test_a_difference_has_an_interval_over_groups():
    random = np.random.default_rng(0)
    first = random.random(400) < 0.7
    second = first & (random.random(400) < 0.8)
    rows = [row(first, [4] * 100, fold="1", strategy="a"), row(second, [4] * 100, fold="1", strategy="b")]
    own, other = (outcomes_of(rows, "smi", {"fold": [1]}, strategy=name) for name in "ab")
    mean, low, high = difference(own, other)
    assert mean == pytest.approx(first.mean() - second.mean()) and 0 < low < mean < high < 0.3
    same = difference(own, own)
    assert same == (0.0, 0.0, 0.0)


def test_other_clips_are_refused():
    one = outcomes_of([row([True] * 4, [2, 2], fold="1")], "smi", {"fold": [1]})
    other = outcomes_of([row([True] * 4, [1, 3], fold="1")], "smi", {"fold": [1]})
    with pytest.raises(ValueError, match="only systems that were evaluated on the same clips"):
        difference(one, other)


def test_mcnemar_is_the_binomial_test_of_the_clips_that_differ():
    own = np.array([True] * 20 + [False] * 5 + [True] * 100)
    reference = np.array([False] * 20 + [True] * 5 + [True] * 100)
    assert mcnemar(own, reference) == pytest.approx(2 * binom.cdf(5, 25, 0.5))
    assert mcnemar(own, own) == 1.0


def test_strategies_are_compared_on_the_folds_that_both_have():
    """``no_il`` has folds 1 and 2, ``pnl`` too, ``gt`` the second alone, ``gap`` none of them."""
    rows = []
    for strategy, fold, correct_B in [
        ("no_il", "1", [True, False, False, False]),
        ("no_il", "2", [True, True, False, False]),
        ("pnl", "1", [True, True, True, False]),
        ("pnl", "2", [True, True, False, False]),
        ("gt", "2", [True, True, True, True]),
        ("gap", "3", [True, True, True, True]),
    ]:
        one = row(correct_B, [1] * 4, strategy=strategy, fold=fold, augment="none", n_mels="256")
        rows.append(one | {"correct_own": one["correct_smi"], "correct_cmi": one["correct_smi"]})
    text = pooled_tables(rows)
    assert "No fold has a row of every strategy yet." in text
    assert "| SMI | positive/negative labels − no instance loss | 1, 2 | 8 | +25.0 [" in text
    assert "| SMI | class of the clip − no instance loss | 2 | 4 | +50.0 [" in text
    assert "global average pooling" not in text
    assert "No fold has a row of two strategies yet." in pooled_tables(rows[:1])
