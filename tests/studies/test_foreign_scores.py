"""``mil_asc.studies.foreign_scores``: published scores as pytorch-ood has them, and that of a packed model."""

import numpy as np
import pytest
import torch

from mil_asc.studies.foreign_scores import PACKED, Clips, calibration_scores, fit_scores, run_clips


def gaussian_clips(model, seed, count, shift=0.0):
    """``Clips`` whose vectors scatter around class centres, with the model's own detector."""
    rng = np.random.default_rng(seed)
    truth_B = np.arange(count) % 4
    centre_MD = 3 * np.eye(4, 12)
    mean_BD = centre_MD[truth_B] + rng.normal(size=(count, 12)) + shift
    vectors = [(mean_D + rng.normal(size=(8, 12))).astype(np.float32) for mean_D in mean_BD]
    with torch.no_grad():
        logits = [model.detector(torch.from_numpy(vector_ID)).numpy() for vector_ID in vectors]
    statistics_BS = rng.normal(size=(count, 6)) + shift
    return Clips(logits, vectors, np.array([z.max(0) for z in logits]), statistics_BS, [10.0] * count), truth_B


def test_clips_of_a_network_have_its_logits_and_log_mel_statistics(small_model):
    model = small_model.eval()
    wav_N = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    clips = run_clips(model, iter([wav_N]))
    wav_1N = torch.from_numpy(wav_N)[None]
    with torch.no_grad():
        np.testing.assert_array_equal(clips.logits[0], model(wav_1N).logits_BIC[0].numpy())
        logmel_FT = model.front_end(wav_1N)[0].double().numpy()
    np.testing.assert_allclose(clips.statistics_BS[0], [*logmel_FT.mean(1), *logmel_FT.std(1)], rtol=1e-9)
    assert clips.seconds == [1.0] and clips.vectors[0].shape == (len(clips.logits[0]), 12)


def test_scores_fitted_to_clips_are_greater_for_shifted_ones(small_model):
    pytest.importorskip("pytorch_ood", reason="pytorch-ood is not installed; docs/confidence.md says how")
    model = small_model.eval()
    scores, calibration = fit_scores(model, *gaussian_clips(model, 0, 600))
    held, foreign = gaussian_clips(model, 1, 200)[0], gaussian_clips(model, 2, 200, shift=4.0)[0]
    np.testing.assert_array_equal(scores[PACKED](held), calibration_scores(calibration, held))
    for name, score in scores.items():
        assert score(held).shape == (200,) and np.isfinite(score(held)).all(), name
        if "Mahalanobis" in name and "relative" not in name:
            assert np.median(score(foreign)) > np.quantile(score(held), 0.99), name
    assert torch.get_default_dtype() == torch.float32
