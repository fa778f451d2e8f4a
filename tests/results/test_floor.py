"""The floor: a known answer, regularisation chosen over groups, few groups, one class, and the warning."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mil_asc.results.floor import Features, fit_floor, floor_results, floor_warning, group_folds

LABELS = ["bus", "park", "tram"]


def features(values, classes, groups):
    """Clips of one feature."""
    return Features(np.array(values, dtype=np.float32)[:, None], np.array(classes), list(groups))


def eight_clips():
    """Four clips of a class at -1 and four of the other at +1, each in a group of its own."""
    return features([-1, -1, -1, -1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1], "abcdefgh")


# -- the results


def test_known_answer():
    """With x = -1 and 1, the classifier is sigmoid(w x), and w minimises w^2 / 2 + C n ln(1 + exp(-w))."""
    evaluate = features([-1, 1, 1, 2], [0, 1, 0, 1], "wxyz")
    found = floor_results(eight_clips(), evaluate, LABELS, np.array([0, 1, 0, 0]), "smi")
    assert found["cross_validated_accuracies"] == [1.0] * 4 and found["folds"] == 4
    assert found["C_values"] == [0.125, 1.25, 12.5, 125.0] and found["C"] == 0.125  # all equal: the strongest
    w = brentq(lambda w: w - 8 * 0.125 / (1 + math.exp(w)), 0, 10)
    losses = [math.log1p(math.exp(-margin)) for margin in (w, w, -w, 2 * w)]
    assert found["log_loss"] == pytest.approx(np.mean(losses), abs=1e-4)
    assert found["accuracy"] == 0.75 and found["macro_accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert found["chance"] == {"class": "bus", "accuracy": 0.5}
    assert (found["features"], found["train_clips"], found["train_groups"]) == (1, 8, 8)
    assert found["cross_validated_accuracy"] == 1.0 and not found["default_C"]


def test_difference_is_that_of_the_model_and_the_floor_on_the_same_clips():
    evaluate = features([-1] * 6 + [1] * 6, [0] * 12, [f"place {b // 2}" for b in range(12)])  # the floor: 6 of 12
    decided = np.array([0] * 9 + [1] * 3)  # the model: 9 of 12
    found = floor_results(eight_clips(), evaluate, LABELS, decided, "bag")["difference"]
    sums = np.array([0, 0, 0, 2, 1, 0]) - 0.25 * 2  # by place, less the mean
    half = 2.570582 * math.sqrt(6 / 5 * (sums**2).sum()) / 12
    assert found == {
        "rule": "bag",
        "accuracy": 0.25,
        "low": pytest.approx(0.25 - half),
        "high": pytest.approx(0.25 + half),
        "groups": 6,
    }


def test_class_without_training_clips_has_no_probability():
    evaluate = features([-1, 1, 1], [0, 1, 2], "xyz")
    found = floor_results(eight_clips(), evaluate, LABELS, np.array([0, 1, 2]), "smi")
    assert found["accuracy"] == pytest.approx(2 / 3)
    probability_BC = fit_floor(eight_clips()).probabilities(evaluate.feature_BD, 3)
    assert probability_BC[:, 2].tolist() == [0, 0, 0]
    np.testing.assert_allclose(probability_BC.sum(1), 1)
    own = -np.log(probability_BC[[0, 1], [0, 1]])
    assert found["log_loss"] == pytest.approx((own.sum() - math.log(1e-12)) / 3)


def test_one_class_to_train_on_is_always_decided_for():
    train = features([1, 2, 3], [1, 1, 1], "abc")
    found = floor_results(train, features([1, 9], [1, 0], "xy"), LABELS, np.array([1, 1]), "smi")
    assert found["accuracy"] == 0.5 and found["chance"] == {"class": "park", "accuracy": 0.5}
    assert found["C"] is None and found["C_values"] == [] and found["folds"] == 0 and not found["default_C"]


def test_constant_features_do_no_harm():
    silent = Features(np.full((8, 4), -11.5, dtype=np.float32), eight_clips().class_B, eight_clips().groups)
    loud = Features(np.full((2, 4), 30.0, dtype=np.float32), np.array([0, 1]), ["x", "y"])
    found = floor_results(silent, loud, LABELS, np.array([0, 1]), "smi")
    assert found["log_loss"] == pytest.approx(math.log(2))


# -- the choice of the regularisation


def fingerprints():
    """24 groups of 6 clips, two classes: a weak feature of the class, and 16 that tell the groups apart."""
    rng = np.random.default_rng(1)
    group_B = np.repeat(np.arange(24), 6)
    weak_B = 2 * (group_B % 2) - 1 + rng.normal(0, 1.5, len(group_B))
    own_BD = rng.normal(size=(24, 16))[group_B] + 0.1 * rng.normal(size=(len(group_B), 16))
    return Features(np.c_[weak_B, own_BD], group_B % 2, [f"room {group}" for group in group_B])


def test_regularisation_is_chosen_on_groups_that_were_not_trained_on():
    """Where clips of a group are held out one by one, it pays to learn the groups by heart."""
    train = fingerprints()
    by_group = fit_floor(train)
    by_clip = fit_floor(train._replace(groups=[str(b) for b in range(len(train.groups))]))
    assert by_group.c == by_group.c_values[0] and by_clip.c == by_clip.c_values[-1]
    assert max(by_group.accuracies) < 0.65 and max(by_clip.accuracies) > 0.95


def test_cross_validation_agrees_with_that_of_scikit_learn():
    train = fingerprints()
    folds = group_folds(train.class_B, train.groups)
    for value, accuracy in zip(fit_floor(train).c_values, fit_floor(train).accuracies):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=value, max_iter=10_000))
        decided_B = cross_val_predict(pipeline, train.feature_BD, train.class_B, cv=folds)
        assert accuracy == pytest.approx(np.mean(decided_B == train.class_B), abs=0.5 / len(decided_B))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_split_and_every_clip_is_held_out_once(seed):
    rng = np.random.default_rng(seed)
    class_B, group_B = rng.integers(0, 4, 200), rng.integers(0, 30, 200)
    groups = [f"g{group}" for group in group_B]
    folds = group_folds(class_B, groups)
    assert len(folds) == 5
    assert sorted(b for _, held in folds for b in held.tolist()) == list(range(200))
    for kept, held in folds:
        assert not set(group_B[kept]) & set(group_B[held])
        assert len(kept) + len(held) == 200


@pytest.mark.parametrize(
    "classes, groups, folds",
    [
        ([0, 0, 0, 0, 1, 1, 1], "aabcdef", 3),
        ([0, 0, 0, 1, 1, 1], "aabccd", 2),
        ([0, 0, 0, 1, 1, 1, 2], "abcdefg", 3),  # a class with a single group does not count ...
        ([0, 0, 1, 1], "aabb", 0),  # ... nor can any be held out where there is no other
        ([0, 0, 1, 1, 2], "abccd", 0),
        ([0, 1, 0, 1], "aabb", 2),
    ],
)
def test_folds_are_as_many_as_the_groups_allow(classes, groups, folds):
    found = group_folds(np.array(classes), list(groups))
    assert len(found) == folds
    for kept, held in found:
        assert not {groups[b] for b in kept} & {groups[b] for b in held}
        assert set(np.array(classes)[held]) <= set(np.array(classes)[kept])
    several = [c for c in set(classes) if len({g for g, own in zip(groups, classes) if own == c}) > 1]
    held_out = {b for _, held in found for b in held.tolist()}
    assert held_out == ({b for b, c in enumerate(classes) if c in several} if folds else set())


def test_many_classes_of_few_clips_are_fitted_without_a_warning():
    """Warnings are errors here; scikit-learn has one where classes are more than half of the samples."""
    classes = [0, 0, 1, 1, *range(2, 24)]
    found = fit_floor(features(np.arange(len(classes)), classes, map(str, range(len(classes)))))
    assert len(found.classifier.classes_) == 24


def test_default_is_used_and_stated_where_no_group_can_be_held_out():
    train = features([-1, -1, 1, 1], [0, 0, 1, 1], "aabb")
    found = floor_results(train, features([-1, 1], [0, 1], "xy"), LABELS, np.array([0, 1]), "smi")
    assert found["default_C"] and found["C"] == 25.0 and found["folds"] == 0
    assert found["cross_validated_accuracies"] is None and found["cross_validated_accuracy"] is None
    assert found["accuracy"] == 1.0


def test_result_repeats_and_no_random_generator_is_used():
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    first, second = (floor_results(fingerprints(), fingerprints(), LABELS, np.zeros(144, int), "smi") for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(np.random.get_state()[1], before)


# -- the warning


def compared(difference, low=None, high=None):
    found = {"rule": "smi", "accuracy": difference, "low": low, "high": high, "groups": 40}
    return {"accuracy": 0.4, "difference": found}


@pytest.mark.parametrize("floor", [compared(0.1, 0.02, 0.18), compared(0.01)])
def test_model_above_the_floor_is_not_warned_of(floor):
    assert floor_warning(floor) is None


@pytest.mark.parametrize(
    "floor, words",
    [
        (compared(0.1, -0.02, 0.22), "the model (50.0 % under SMI) is not clearly better than the floor (40.0 %)"),
        (compared(0.1, 0.0, 0.2), "is not clearly better than the floor"),
        (compared(-0.1, -0.22, 0.02), "the model (30.0 % under SMI) is not better than the floor (40.0 %)"),
        (compared(-0.1, -0.22, 0.02), "-10.0 points (95 % interval -22.0 to +2.0, paired over the clips of 40 groups)"),
        (compared(0.0), "is not better than the floor"),
        (compared(-0.1), "-10.0 points (too few groups for an interval)"),
    ],
)
def test_model_that_is_not_above_the_floor_is_warned_of(floor, words):
    assert words in floor_warning(floor)
