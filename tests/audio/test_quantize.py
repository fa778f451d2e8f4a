"""Clips stored as int16 with a scale of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tones import amplitude_at, sine

from mil_asc.audio.quantize import dequantize, quantize

clips = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=True),
)


@settings(max_examples=200, deadline=None)
@given(clips)
def test_quantization_error_is_at_most_half_a_step(wav):
    steps, scale = quantize(wav)
    assert steps.dtype == np.int16 and steps.min() >= -32767 and scale > 0
    exact = steps.astype(np.float64) * scale
    assert np.abs(wav - exact).max() <= 0.501 * scale + 1e-300
    assert np.abs(wav - dequantize(steps, scale).astype(np.float64)).max() <= 0.51 * scale
    assert scale == np.float32(scale)


@settings(max_examples=100, deadline=None)
@given(clips.filter(lambda wav: np.abs(wav).max() > 1e-6), st.integers(-20, 20))
def test_scaling_a_clip_changes_only_its_scale(wav, power):
    wav = np.where(np.abs(wav) < 1e-6, np.float32(0), wav)
    steps, scale = quantize(wav)
    scaled_steps, scaled_scale = quantize(wav * np.float32(2.0**power))
    np.testing.assert_array_equal(scaled_steps, steps)
    assert scaled_scale == scale * 2.0**power


@pytest.mark.parametrize("peak", (1e-45, 1e-38, 1e-6, 0.01, 1.0, 3.0, 3e38))
def test_peak_never_overflows(peak):
    wav = np.float32([peak, -peak, 0])
    steps, scale = quantize(wav)
    assert steps[0] == -steps[1] and steps[2] == 0
    assert np.abs(dequantize(steps, scale).astype(np.float64) - wav).max() <= 0.51 * scale


def test_zeros_and_empty_clips_are_quantized():
    assert not quantize(np.zeros(3, np.float32))[0].any()
    assert quantize(np.zeros(0, np.float32))[0].shape == (0,)


def test_dequantize_broadcasts_the_scales_of_a_batch():
    wav_BN = dequantize(np.int16([[1, 2], [3, 4]]), np.float32([0.5, 2])[:, None])
    np.testing.assert_array_equal(wav_BN, np.float32([[0.5, 1], [6, 8]]))
    assert wav_BN.dtype == np.float32


def test_treble_of_a_quiet_clip_survives():
    """Treble 70 dB below a bass of peak 0.01 is a tenth of a step in plain int16."""
    treble = 0.01 * 10 ** (-70 / 20)
    wav = (sine(hz=200, amplitude=0.01) + sine(hz=7000, amplitude=treble)).astype(np.float32)
    stored = dequantize(*quantize(wav))
    assert amplitude_at(stored, 7000) == pytest.approx(treble, rel=0.05)
    noise = np.std(stored - wav)
    plain_noise = np.std(np.rint(wav * 32767) / 32767 - wav)
    assert noise < plain_noise / 50
