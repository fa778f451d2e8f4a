"""``mil_asc.packaging.familiarity``: the probability of the decided class, the distance, and its file."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from small_calibration import small

from mil_asc.errors import ArgumentError, UserError
from mil_asc.packaging.familiarity import Calibration, RuleCalibration, summary

# -- known answers


def test_confidence_is_platts_map_of_the_logit_and_of_the_share_of_votes():
    rule = RuleCalibration(slope=0.5, intercept=1.0, accuracy=0.9, error_before=0.1, error_after=0.02)
    calibration = small(rules={"smi": rule, "cmi": rule, "bag": rule})
    assert calibration.confidence("smi", 0.5) == pytest.approx(1 / (1 + np.exp(-1)))
    assert calibration.confidence("bag", 0.8) == pytest.approx(1 / (1 + np.exp(-(0.5 * np.log(4) + 1))))
    assert calibration.confidence("cmi", 0.4) == pytest.approx(1 / (1 + np.exp(-1.2)))


@pytest.mark.parametrize("rule", ["smi", "cmi", "bag"])
def test_confidence_never_falls_as_the_score_rises(rule):
    found = [small().confidence(rule, score) for score in (0.0, 1e-15, 1e-6, 0.3, 0.5, 0.9, 1 - 1e-9, 1.0)]
    assert found == sorted(found) and 0 <= found[0] < found[-1] <= 1


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), "0.5", None])
def test_confidence_of_no_score_is_refused(score):
    with pytest.raises(ArgumentError, match="score must be a number from 0 to 1"):
        small().confidence("smi", score)
    with pytest.raises(ArgumentError, match="unknown rule 'max'; legal: smi, cmi, bag"):
        small().confidence("max", 0.5)


def test_traits_are_directions_and_their_squares():
    vector_ID = np.float32([[3, 4, 9], [1, 1, 9]])
    found = small().traits(np.zeros((2, 5)), vector_ID)
    assert found.tolist() == [[2, 4, 4, 16], [0, 1, 0, 1]] and found.dtype == np.float32


def test_summary_has_means_and_log_deviations():
    t_IK = np.random.default_rng(0).normal(2, [1.0, 3.0], (50, 2))
    found = summary(np.concatenate([t_IK, t_IK**2], axis=1).mean(0))
    np.testing.assert_allclose(found, [*t_IK.mean(0), *np.log(t_IK.std(0) + 1e-3)], rtol=1e-9)


def test_score_is_the_distance_to_the_nearest_centre():
    mean_K = np.array([98.0, 0.0, 98.0**2 + (1 - 1e-3) ** 2, (1 - 1e-3) ** 2])  # deviations whose logarithm is 0
    assert small().score(mean_K) == pytest.approx(np.sqrt(2.0**2 / 4))
    assert small(whitening=np.diag(np.float32([3, 1, 1, 1]))).score(mean_K) == pytest.approx(3.0)


def test_scores_of_short_recordings_are_scaled_between_counts_and_not_beyond():
    mean_K = np.array([4.0, 0.0, 17.0, 1.0])
    full = small().score(mean_K)
    assert small().score(mean_K, 2) == pytest.approx(full / 2)
    assert small().score(mean_K, 10) == small().score(mean_K, 1000) == full
    assert full / 2 < small().score(mean_K, 5) < full


def test_familiar_compares_with_the_threshold_of_the_rejected_share():
    mean_K = np.array([3.0, 0.0, 3.0**2 + (1 - 1e-3) ** 2, (1 - 1e-3) ** 2])  # score 1.5
    assert small().familiar(mean_K) is True
    assert small().familiar(mean_K, rejected=0.2) is False
    assert small().threshold(0.01) == 2 and 2 < small().threshold(0.005) < 5
    for rejected in (0.0, 0.0001, 0.3, float("nan")):
        with pytest.raises(ArgumentError, match="rejected must be a number from 0.0005 to 0.2"):
            small().familiar(mean_K, rejected)


def test_single_instance_is_neither_familiar_nor_foreign():
    assert small().familiar(np.zeros(4), instances=1) is None
    assert small().familiar(np.zeros(4), instances=2) is not None


def test_streamed_means_equal_the_mean_of_the_whole():
    calibration, rng = small(), np.random.default_rng(1)
    vector_ID = rng.normal(size=(1000, 3)).astype(np.float32)
    whole = calibration.traits(None, vector_ID).mean(0, dtype=np.float64)
    parts = [calibration.traits(None, part) for part in np.array_split(vector_ID, [100, 101, 700])]
    streamed = sum(part.sum(0, dtype=np.float64) for part in parts) / 1000
    np.testing.assert_allclose(streamed, whole, rtol=1e-12)
    assert calibration.score(streamed) == pytest.approx(calibration.score(whole), rel=1e-9)


def test_vectors_and_traits_of_another_shape_are_refused():
    with pytest.raises(ArgumentError, match=r"vectors must be \(I, 3\)"):
        small().traits(None, np.zeros((5, 4)))
    with pytest.raises(ArgumentError, match=r"traits must be \(4,\)"):
        small().score(np.zeros(3))


# -- the file


def test_file_brings_the_same_calibration_back():
    first = small(scales=[1.9, 1.0])
    again = Calibration.from_json(first.to_json())
    assert again.to_json() == first.to_json()
    vector_ID = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)
    mean_K = first.traits(None, vector_ID).mean(0)
    assert again.score(mean_K, 4) == pytest.approx(first.score(mean_K, 4), rel=1e-6)
    assert again.confidence("cmi", 0.7) == first.confidence("cmi", 0.7)


def hostile():
    """Damaged or hostile texts by a word for them."""
    good = json.loads(small().to_json())

    def changed(**values):
        return json.dumps(good | values)

    def without(name):
        return json.dumps({key: value for key, value in good.items() if key != name})

    def of_rule(**values):
        return changed(rules=good["rules"] | {"smi": good["rules"]["smi"] | values})

    return {
        "no text": "",
        "no JSON": "{",
        "list": "[]",
        "null": "null",
        "deep": "[" * 100_000,
        "long": " " * 2_000_001,
        "repeated key": small().to_json().replace('{"format":1', '{"format":1,"format":1'),
        "unknown key": changed(code="import os"),
        **{f"missing {name}": without(name) for name in good},
        "format": changed(format=2),
        "format true": changed(format=True),
        "NaN": changed(shortest=float("nan")),
        "infinity": changed(longest=float("inf")),
        "huge exponent": small().to_json().replace('"shortest":10.0', '"shortest":1e999'),
        "huge integer": small().to_json().replace('"clips":500', '"clips":' + "9" * 5000),
        "clips 0": changed(clips=0),
        "clips text": changed(clips="500"),
        "clips true": changed(clips=True),
        "bins 0": changed(bins=0),
        "longest below shortest": changed(longest=1.0),
        "rules missing": changed(rules={"smi": good["rules"]["smi"]}),
        "rules unknown": changed(rules=good["rules"] | {"max": good["rules"]["smi"]}),
        "rules list": changed(rules=[]),
        "rule null": changed(rules=good["rules"] | {"smi": None}),
        "falling map": of_rule(slope=-0.1),
        "slope text": of_rule(slope="1"),
        "slope huge": of_rule(slope=1e31),
        "accuracy 2": of_rule(accuracy=2),
        "error below 0": of_rule(error_before=-0.1),
        "rule key": of_rule(extra=1),
        "projection ragged": changed(projection=[[1, 0], [0], [0, 0]]),
        "projection empty": changed(projection=[]),
        "projection of empty rows": changed(projection=[[], []]),
        "projection number": changed(projection=3),
        "projection text": changed(projection=[["1", "0"]]),
        "projection nested": changed(projection=[[[1], [0]]]),
        "projection true": changed(projection=[[True, False]]),
        "projection wide": changed(projection=[[0.5] * 300]),
        "projection huge": changed(projection=[[1e31, 0]]),
        "offset shape": changed(offset=[[1]]),
        "centres shape": changed(centres=[[0, 0, 0]]),
        "centres dictionary": changed(centres={"0": [0, 0, 0, 0]}),
        "whitening shape": changed(whitening=[[1, 0], [0, 1]]),
        "counts fall": changed(counts=[10, 2]),
        "counts 1": changed(counts=[1, 10]),
        "counts text": changed(counts="ab"),
        "scales 0": changed(scales=[0.0, 1.0]),
        "scales short": changed(scales=[1.0]),
        "shares fall": changed(shares=[0.2, 0.01, 0.0005]),
        "shares 0": changed(shares=[-1, 0.01, 0.2]),
        "shares narrow": changed(shares=[0.005, 0.01, 0.2]),
        "thresholds rise": changed(thresholds=[1.0, 2.0, 5.0]),
        "thresholds short": changed(thresholds=[5.0]),
        "thresholds null": changed(thresholds=None),
    }


@pytest.mark.parametrize("name", hostile())
def test_damaged_file_is_refused_in_one_line(name):
    with pytest.raises(UserError) as caught:
        Calibration.from_json(hostile()[name])
    message = str(caught.value)
    assert message.startswith("the calibration is damaged: ") and "\n" not in message and len(message) < 600


def test_bytes_are_refused():
    with pytest.raises(UserError, match="must be text"):
        Calibration.from_json(small().to_json().encode())


def test_values_that_no_file_could_hold_are_refused():
    with pytest.raises(ArgumentError, match="projection must be a table of finite numbers"):
        small(projection=np.full((3, 2), np.nan, np.float32))
    assert dataclasses.replace(small(), clips=501).clips == 501


def test_module_imports_neither_torch_nor_scipy():
    code = "import sys, mil_asc.packaging.familiarity; print({'torch', 'scipy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
