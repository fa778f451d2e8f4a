"""``mil_asc.packaging.calibrate``: what is fitted to clips that a model was never trained on."""

import numpy as np
import pytest

from mil_asc.errors import ArgumentError, UserError
from mil_asc.mil.verdicts import judge
from mil_asc.packaging.calibrate import (
    LEAST_CLIPS,
    calibrate,
    expected_calibration_error,
    fit_calibration,
    fit_map,
    threshold_table,
)
from mil_asc.packaging.familiarity import Calibration

CLASSES, DIMENSIONS = 3, 12


def gaussian_clips(seed, count, instances=16, shift=0.0, spread=1.0):
    """Logits, vectors and classes of clips: vectors scatter around a clip's mean, which scatters around its class's."""
    rng = np.random.default_rng(seed)
    truth_B = np.arange(count) % CLASSES
    centre_MD = 3 * np.eye(CLASSES, DIMENSIONS)
    mean_BD = centre_MD[truth_B] + rng.normal(size=(count, DIMENSIONS)) + shift
    vectors = [mean_D + spread * rng.normal(size=(instances, DIMENSIONS)) for mean_D in mean_BD]
    logits = [2 * vector_ID[:, :CLASSES] - 3 for vector_ID in vectors]
    return logits, [vector_ID.astype(np.float32) for vector_ID in vectors], truth_B


def fitted(clips):
    logits, vectors, truth_B = clips
    bag_logits_BC = np.array([logits_IC.mean(0) for logits_IC in logits])
    return fit_calibration(logits, vectors, truth_B, bag_logits_BC, (8.0, 8.0))


def means(calibration, vectors):
    return [calibration.traits(None, vector_ID).mean(0, dtype=np.float64) for vector_ID in vectors]


@pytest.fixture(scope="module")
def calibration():
    return fitted(gaussian_clips(0, 1200))


# -- probabilities


def test_calibration_error_has_known_answers():
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert expected_calibration_error(np.array([1.0, 1.0, 0.25, 0.25]), np.array([True, False, False, False])) == 0.375
    assert expected_calibration_error(np.array([0.62, 0.68]), np.array([True, False]), bins=10) == 0.15


def test_map_finds_the_slope_and_intercept_that_made_the_outcomes():
    rng = np.random.default_rng(3)
    x_B = rng.normal(2, 3, 100_000)
    correct_B = rng.uniform(size=len(x_B)) < 1 / (1 + np.exp(-(0.7 * x_B - 0.5)))
    assert fit_map(x_B, correct_B) == pytest.approx((0.7, -0.5), abs=0.03)


def test_map_of_scores_that_mislead_is_flat_at_the_accuracy():
    rng = np.random.default_rng(4)
    x_B = rng.normal(size=5000)
    slope, intercept = fit_map(x_B, rng.uniform(size=len(x_B)) < 1 / (1 + np.exp(x_B)))
    assert slope == 0 and 1 / (1 + np.exp(-intercept)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("correct", [True, False])
def test_map_is_finite_where_all_clips_are_alike(correct):
    slope, intercept = fit_map(np.full(500, 2.0), np.full(500, correct))
    probability = 1 / (1 + np.exp(-(slope * 2 + intercept)))
    assert 0 < probability < 1 and (probability > 0.99) == correct


def test_separable_clips_give_a_finite_map():
    x_B = np.linspace(-1, 1, 500)
    slope, intercept = fit_map(x_B, x_B > 0)
    assert np.isfinite([slope, intercept]).all() and slope > 0


@pytest.mark.parametrize("rule", ["smi", "cmi", "bag"])
def test_error_after_calibration_is_smaller_and_probabilities_hold_on_other_clips(calibration, rule):
    own = calibration.rules[rule]
    assert own.slope >= 0 and own.error_after < own.error_before

    logits, _, truth_B = gaussian_clips(1, 2000)
    found = [judge(logits_IC, logits_IC.mean(0))[rule] for logits_IC in logits]
    correct_B = np.array([verdict.winner for verdict in found]) == truth_B
    probability_B = np.array([calibration.confidence(rule, verdict.scores_C[verdict.winner]) for verdict in found])
    assert expected_calibration_error(probability_B, correct_B) < 0.05
    assert own.accuracy == pytest.approx(correct_B.mean(), abs=0.04)


# -- foreign sound


def test_one_percent_threshold_rejects_about_one_percent_of_other_clips_like_the_training_data(calibration):
    _, vectors, _ = gaussian_clips(2, 4000)
    found = means(calibration, vectors)
    for rejected in (0.01, 0.05, 0.2):
        share = np.mean([not calibration.familiar(mean_K, rejected) for mean_K in found])
        assert rejected / 2.5 < share < 2 * rejected + 0.005, rejected


@pytest.mark.parametrize("count", [2, 4, 9])
def test_short_recordings_are_rejected_no_more_often(calibration, count):
    _, vectors, _ = gaussian_clips(5, 2000, instances=count)
    found = means(calibration, vectors)
    assert np.mean([not calibration.familiar(mean_K, instances=count) for mean_K in found]) < 0.03


def test_long_recordings_are_rejected_no_more_often(calibration):
    _, vectors, _ = gaussian_clips(6, 500, instances=200)
    assert np.mean([not calibration.familiar(mean_K, instances=200) for mean_K in means(calibration, vectors)]) < 0.03


@pytest.mark.parametrize("foreign", [{"shift": 4.0}, {"spread": 0.3}, {"spread": 3.0}])
def test_shifted_and_steadier_and_livelier_clips_are_foreign(calibration, foreign):
    _, vectors, _ = gaussian_clips(7, 300, **foreign)
    assert np.mean([not calibration.familiar(mean_K, instances=16) for mean_K in means(calibration, vectors)]) > 0.95


def test_thresholds_are_the_quantiles_and_go_on_beyond_the_last_clips():
    score_B = np.random.default_rng(8).exponential(size=200_000)
    shares, thresholds = threshold_table(score_B)
    np.testing.assert_allclose(thresholds, -np.log(shares), rtol=0.03)
    few = threshold_table(score_B[:500])[1]
    assert few[0] > np.quantile(score_B[:500], 0.99) and all(high >= low for high, low in zip(few, few[1:]))


def test_fitting_is_repeatable_and_small(calibration):
    text = calibration.to_json()
    assert fitted(gaussian_clips(0, 1200)).to_json() == text
    assert Calibration.from_json(text).to_json() == text


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes_are_fitted(classes):
    logits, vectors, truth_B = gaussian_clips(9, 600)
    found = fitted((logits, vectors, truth_B % classes))
    assert len(found.centres) == classes


def test_directions_that_never_vary_do_no_harm():
    logits, vectors, truth_B = gaussian_clips(10, 600)
    vectors = [np.concatenate([vector_ID, 0 * vector_ID], axis=1) for vector_ID in vectors]
    found = fitted((logits, vectors, truth_B))
    assert np.mean([found.familiar(mean_K) for mean_K in means(found, vectors)]) > 0.95


# -- what is refused


def test_fewer_than_500_clips_are_refused():
    with pytest.raises(UserError, match=f"needs {LEAST_CLIPS} clips or more that were never trained on, got 499"):
        fitted(gaussian_clips(0, 499))


def test_lists_of_other_lengths_and_single_instances_are_refused():
    logits, vectors, truth_B = gaussian_clips(0, 500)
    bag_logits_BC = np.zeros((500, CLASSES))
    with pytest.raises(ArgumentError, match="vectors must be of 500 clips as truth_B is, got 499"):
        fit_calibration(logits, vectors[:-1], truth_B, bag_logits_BC, (8.0, 8.0))
    with pytest.raises(UserError, match="two instances or more"):
        fit_calibration(logits, [v[:1] for v in vectors], truth_B, bag_logits_BC, (8.0, 8.0))


# -- a network


def test_network_is_calibrated_on_waveforms_of_several_lengths(small_model):
    rng = np.random.default_rng(11)
    least = small_model.min_samples
    waveforms = [
        rng.normal(0, 0.1, least + 3 * small_model.instance_samples + i % 7).astype(np.float32) for i in range(500)
    ]
    truth_B = [i % small_model.num_classes for i in range(500)]
    found = calibrate(small_model.eval(), waveforms, truth_B)
    assert found.clips == 500 and len(found.projection) == small_model.instances.dim
    assert found.shortest < found.longest
    assert set(found.rules) == {"smi", "cmi", "bag"}


def test_network_is_not_run_for_too_few_clips(small_model):
    def never():
        raise AssertionError("a clip was read")
        yield

    with pytest.raises(UserError, match="that were never trained on, got 320$"):
        calibrate(small_model.eval(), never(), [0] * 320)


def test_network_in_training_mode_is_refused(small_model):
    with pytest.raises(ArgumentError, match="must be in evaluation mode"):
        calibrate(small_model.train(), [], [0] * 500)
