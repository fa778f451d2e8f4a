"""ROC under TMI: by hand, against a slow sweep of theta, and where classes cannot be measured."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.results.predictions import Predictions
from mil_asc.results.tmi import roc, threshold_auc, threshold_scores


def logits_of(*clips):
    """Logits of (I, C) confidences, one array per clip."""
    return [np.log(np.array(p) / (1 - np.array(p))).astype(np.float32) for p in clips]


def predictions_of(logits):
    return Predictions.of_clips(logits, [z_IC.max(0) for z_IC in logits])


def random_clips(seed, num_clips=24, num_classes=4):
    """Clips of 1 to 9 instances, the true class a little louder."""
    rng = np.random.default_rng(seed)
    truth = np.arange(num_clips) % num_classes
    logits = [rng.normal(size=(rng.integers(1, 10), num_classes)).astype(np.float32) for _ in truth]
    for z_IC, c in zip(logits, truth):
        z_IC[:, c] += 0.7
    return logits, truth


def swept_auc(logits, target, c, tau):
    """Area under the curve of a class, theta swept in shares that tell all counts up to 9 apart."""
    points = {(0.0, 0.0), (1.0, 1.0)}
    for theta in np.arange(1, 2521) / 2520:
        present = []
        for z_IC in logits:
            at_least_tau = sum(1 / (1 + np.exp(-float(z))) >= tau for z in z_IC[:, c])
            present.append(at_least_tau >= theta * len(z_IC) - 1e-9)
        present = np.array(present)
        points.add((float(present[~target].mean()), float(present[target].mean())))
    points = sorted(points)
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in zip(points, points[1:]))


def test_score_is_the_share_of_instances_at_tau_or_above():
    logits = logits_of([[0.9, 0.2], [0.6, 0.2], [0.1, 0.2], [0.4, 0.7]], [[0.3, 0.8], [0.3, 0.8]])
    np.testing.assert_allclose(threshold_scores(predictions_of(logits), 0.5), [[0.5, 0.25], [0.0, 1.0]])
    np.testing.assert_allclose(threshold_scores(predictions_of(logits), 0.65), [[0.25, 0.25], [0.0, 1.0]])
    np.testing.assert_allclose(threshold_scores(predictions_of([np.zeros((3, 2), np.float32)]), 0.5), [[1.0, 1.0]])


@pytest.mark.parametrize("tau", [0, 1, -0.1, 1.5, float("nan")])
def test_tau_lies_between_0_and_1(tau):
    with pytest.raises(ValueError, match="tau must be above 0 and below 1"):
        threshold_scores(predictions_of(logits_of([[0.5, 0.5]])), tau)


def test_known_areas():
    scores = np.array([[0.8, 0.1], [0.4, 0.6], [0.6, 0.3], [0.2, 0.6]])
    result = roc(np.array([0, 0, 1, 1]), scores)
    # class 0: of the pairs (0.8, 0.6) (0.8, 0.2) (0.4, 0.6) (0.4, 0.2) three are in order
    # class 1: (0.3, 0.1) right, (0.3, 0.6) wrong, (0.6, 0.1) right, (0.6, 0.6) a tie, which counts half
    assert result["per_class"] == pytest.approx([3 / 4, 5 / 8])
    assert result["macro"]["auc"] == pytest.approx((3 / 4 + 5 / 8) / 2)
    # all pairs at once: positives 0.8 0.4 0.3 0.6, negatives 0.6 0.2 0.1 0.6
    assert result["micro"]["auc"] == pytest.approx((4 + 2 + 2 + (2 + 1)) / 16)


def test_perfect_and_reversed_scores():
    truth = np.array([0, 1, 2, 0])
    perfect = np.eye(3)[truth]
    assert [roc(truth, perfect)[name]["auc"] for name in ("micro", "macro")] == [1.0, 1.0]
    assert [roc(truth, 1 - perfect)[name]["auc"] for name in ("micro", "macro")] == [0.0, 0.0]


@pytest.mark.parametrize("tau", [0.3, 0.5, 0.8])
def test_agrees_with_a_sweep_of_theta_over_clips_of_different_lengths(tau):
    logits, truth = random_clips(3)
    assert len({len(z_IC) for z_IC in logits}) > 3
    result = roc(truth, threshold_scores(predictions_of(logits), tau))
    swept = [swept_auc(logits, truth == c, c, tau) for c in range(4)]
    assert result["per_class"] == pytest.approx(swept, abs=1e-9)
    assert result["macro"]["auc"] == pytest.approx(np.mean(swept), abs=1e-9)


@given(seed=st.integers(0, 2**16))
def test_the_mean_curve_has_the_mean_area_and_never_falls(seed):
    logits, truth = random_clips(seed)
    result = roc(truth, threshold_scores(predictions_of(logits), 0.5))
    assert result["macro"]["auc"] == pytest.approx(np.mean(result["per_class"]))
    for name in ("micro", "macro"):
        for rates in (result[name]["fpr"], result[name]["tpr"]):
            assert rates[0] == 0 and rates[-1] == pytest.approx(1) and (np.diff(rates) >= -1e-12).all()


def test_classes_that_cannot_be_measured_are_left_out():
    scores = np.array([[0.9, 0.1, 0.4], [0.2, 0.7, 0.3], [0.6, 0.2, 0.8]])
    result = roc(np.array([0, 1, 0]), scores)
    assert result["per_class"][2] is None
    assert result["macro"]["auc"] == pytest.approx(np.mean(result["per_class"][:2]))
    one_class = roc(np.array([0, 0, 0]), scores)
    assert one_class["per_class"] == [None] * 3 and one_class["macro"] is None
    assert one_class["micro"]["auc"] > 0.5


def test_the_report_gets_plain_data():
    logits, truth = random_clips(1)
    found = threshold_auc(predictions_of(logits), truth, ["a", "b", "c", "d"], tau=0.4)
    assert list(found) == ["tau", "auc_micro", "auc_macro", "per_class"] and found["tau"] == 0.4
    assert list(found["per_class"]) == ["a", "b", "c", "d"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    lonely = threshold_auc(predictions_of(logits[:1]), truth[:1], ["a", "b", "c", "d"])
    assert lonely["auc_macro"] is None and set(lonely["per_class"].values()) == {None}
