"""Predictions of a whole evaluation set: the same as clip by clip, saved and read back."""

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.mil.bags import make_bags
from mil_asc.mil.decisions import RULES
from mil_asc.mil.pooling.means import mean_logits
from mil_asc.results.evaluation import decisions, evaluate_predictions
from mil_asc.results.predictions import Predictions, read_predictions, write_predictions
from mil_asc.results.tmi import threshold_scores

LABELS = ["bus", "park", "tram"]


def random_set(seed, counts, decision="bag"):
    """Clips of ``counts`` instances, pooled by the mean of their logits, and what they are predicted to be."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 3, (count, 3)).astype(np.float32) for count in counts]
    clips = [
        Clip(f"{k}.wav", LABELS[k % 3], f"city{k % 2}", f"place{k}", "abc"[k // 2 % 3]) for k in range(len(counts))
    ]
    return Predictions.of_clips(logits, [z_IC.mean(0) for z_IC in logits], decision), clips


def sigmoids(z_IC):
    return [[references.sigmoid(float(z)) for z in z_C] for z_C in z_IC]


@given(st.integers(0, 2**31), st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_scores_of_clips_of_different_lengths_are_those_of_each_clip_alone(seed, counts):
    predictions, _ = random_set(seed, counts)
    for b, z_IC in enumerate(predictions.by_clip(predictions.logits_IC)):
        alone = make_bags(torch.from_numpy(z_IC).unsqueeze(0), pooling=mean_logits)
        for rule in ("smi", "cmi"):
            np.testing.assert_allclose(predictions.scores(rule)[b], RULES[rule](alone).score_BC[0], rtol=1e-12)
        np.testing.assert_allclose(predictions.scores("bag")[b], RULES["bag"](alone).score_BC[0], rtol=1e-5)
        share = np.mean(np.array(sigmoids(z_IC)) >= 0.7, axis=0)
        np.testing.assert_allclose(threshold_scores(predictions, 0.7)[b], share, rtol=1e-12)


@given(st.integers(0, 2**31), st.lists(st.integers(1, 30), min_size=3, max_size=12))
def test_evaluation_agrees_with_a_slow_clip_by_clip_reference(seed, counts):
    predictions, clips = random_set(seed, counts)
    found = evaluate_predictions(predictions, clips, LABELS)
    truth = [LABELS.index(clip.label) for clip in clips]
    logits = predictions.by_clip(predictions.logits_IC)
    decided = {
        "smi": [references.argmax(references.bag_confidence(z_IC.tolist())) for z_IC in logits],
        "cmi": [references.count_decision(z_IC.tolist()) for z_IC in logits],
        "bag": [references.argmax(z_IC.mean(0).tolist()) for z_IC in logits],
    }
    rows = decisions(predictions, clips, LABELS)
    for rule, classes in decided.items():
        assert [row[rule]["label"] for row in rows] == [LABELS[c] for c in classes]
        confusion = [[sum((t, d) == pair for pair in zip(truth, classes)) for d in range(3)] for t in range(3)]
        assert found[rule]["confusion"] == confusion
        correct = [t == d for t, d in zip(truth, classes)]
        assert found[rule]["accuracy"] == pytest.approx(sum(correct) / len(correct), rel=1e-12)
        for part, by in (("per_city", "city"), ("per_device", "source_device"), ("per_class", "label")):
            for name in {getattr(clip, by) for clip in clips}:
                hits = [hit for hit, clip in zip(correct, clips) if getattr(clip, by) == name]
                assert found[rule][part][name] == {"accuracy": pytest.approx(np.mean(hits)), "clips": len(hits)}
    pairs = [(z_C, c) for z_IC, c in zip(logits, truth) for z_C in z_IC.tolist()]
    positive = [references.argmax(z_C) == c for z_C, c in pairs]
    confidence = [references.sigmoid(z_C[c]) for z_C, c in pairs]
    assert found["underestimation"] == {
        "positive_share": pytest.approx(sum(positive) / len(pairs), rel=1e-12),
        "mean_confidence": pytest.approx(sum(confidence) / len(pairs), rel=1e-12),
    }
    shares = [[references.sigmoid(z) for z in z_IC.mean(0).tolist()] for z_IC in logits]
    losses = [-np.log(p_C[c] / sum(p_C)) for p_C, c in zip(shares, truth)]
    assert found["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_one_long_clip_does_not_pad_the_short_ones():
    predictions, _ = random_set(0, [3] * 50 + [1000] + [2] * 50)
    padded = sum(bags.mask_BI.numel() for _, bags in predictions.groups)
    assert padded <= 2 * predictions.counts_B.sum()
    assert sorted(b for clips, _ in predictions.groups for b in clips) == list(range(101))


def test_written_predictions_are_read_back(tmp_path):
    predictions, clips = random_set(1, [2, 3, 1])
    path = tmp_path / "predictions.npz"
    write_predictions(path, predictions, clips, LABELS)
    found = read_predictions(path, LABELS)
    assert found["paths"].tolist() == ["0.wav", "1.wav", "2.wav"] and found["labels"].tolist() == LABELS
    assert found["truth"].tolist() == [0, 1, 2] and found["counts"].tolist() == [2, 3, 1]
    np.testing.assert_array_equal(found["logits"], predictions.logits_IC)
    np.testing.assert_array_equal(found["bag_logits"], predictions.bag_logits_BC)


def test_predictions_of_other_classes_are_refused(tmp_path):
    write_predictions(tmp_path / "predictions.npz", *random_set(1, [2, 3, 1]), LABELS)
    with pytest.raises(UserError, match="does not fit the run's report"):
        read_predictions(tmp_path / "predictions.npz", ["bus", "park", "ferry"])
