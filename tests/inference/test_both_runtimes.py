"""The shipped models on real recordings of random lengths: PyTorch and ONNX Runtime find the same scenes."""

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.packaging.folder import load_any
from mil_asc.packaging.sources import resolve_source, shipped_models

RECORDINGS = tiny.ROOT.parent / "shared/data/field-scenes/audio"
COUNT = 100


def waveforms():
    """The first recordings, from a random place on and of a random length of 0.6 to 10 s: (name, samples, rate)."""
    random = np.random.default_rng(1)
    for path in sorted(RECORDINGS.glob("*.wav"))[:COUNT]:
        wav_NC, rate = soundfile.read(path, dtype="float32", always_2d=True)
        length = round(random.uniform(0.6, len(wav_NC) / rate) * rate)
        start = random.integers(len(wav_NC) - length + 1)
        yield path.name, wav_NC[start : start + length].mean(1), rate


@pytest.mark.slow
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the field recordings are not there")
@pytest.mark.parametrize("source", shipped_models())
def test_both_runtimes_find_the_same_scene(source):
    by_torch, by_onnx = (cls.from_hparams(source=source) for cls in (SceneClassifier, OnnxSceneClassifier))
    exact = load_any(resolve_source(source)).network.double().eval()
    heard = list(waveforms())
    assert len(heard) == COUNT
    for name, wav_N, rate in heard:
        first, second = (one.explain_waveform(wav_N, sample_rate=rate) for one in (by_torch, by_onnx))
        assert (first.label, first.familiar) == (second.label, second.familiar), name
        assert first.scores.keys() == second.scores.keys()
        for rule, scores in first.scores.items():
            assert scores == pytest.approx(second.scores[rule], abs=1e-4), (name, rule)
        found = [[[one.scores[label] for label in scores] for one in scene.instances] for scene in (first, second)]
        assert np.allclose(found[0], found[1], atol=1e-4), name
        if rate == exact.front_end.sample_rate:
            with torch.inference_mode():
                confidence_IC = exact(torch.from_numpy(wav_N).double().unsqueeze(0)).logits_BIC[0].sigmoid().numpy()
            assert np.allclose(found[1], confidence_IC, atol=1e-5), name
