"""Decoding and int16 storage of one clip."""

import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mil_asc.audio.decode import decode, dequantize, quantize
from mil_asc.errors import AudioError

RATES = (8000, 11025, 22050, 44100, 48000)
FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
)
HZ, AMPLITUDE = 1000.0, 0.25


def sine(seconds=1.0, rate=16000, hz=HZ, amplitude=AMPLITUDE):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def write(path, wav=None, rate=16000, **how):
    soundfile.write(path, sine(rate=rate) if wav is None else wav, rate, **how)
    return path


def amplitude_at(wav, hz, rate=16000):
    """Amplitude of one frequency, over the middle of the clip with a Hann window."""
    middle = wav[len(wav) // 8 : -len(wav) // 8].astype(np.float64)
    window = np.hanning(len(middle))
    phase = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / rate)
    return 2 * abs(np.sum(middle * window * phase)) / window.sum()


# --- formats ---


@pytest.mark.parametrize("channels", (1, 2))
@pytest.mark.parametrize("container, subtype", FORMATS)
@pytest.mark.parametrize("rate", RATES)
def test_sine_keeps_frequency_amplitude_and_length(tmp_path, rate, container, subtype, channels):
    frames = rate + 7
    mono = sine(2, rate)[:frames]
    wav = mono if channels == 1 else np.stack([mono * 1.5, mono * 0.5], axis=1)
    path = write(tmp_path / "sine", wav, rate, format=container, subtype=subtype)
    out = decode(path)
    assert out.dtype == np.float32 and out.shape == (round(frames * 16000 / rate),)
    tolerance = 0.03 if container == "OGG" else 1e-3
    assert amplitude_at(out, HZ) == pytest.approx(AMPLITUDE, rel=tolerance)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert np.argmax(spectrum) * 16000 / len(out) == pytest.approx(HZ, abs=1.5)


@pytest.mark.parametrize("rate", (32000, 44100, 7919, 96000))
@pytest.mark.parametrize("frames", (3000, 3001, 3002, 3005))
def test_length_is_rounded(tmp_path, rate, frames):
    path = write(tmp_path / "a.wav", sine(4, rate)[:frames], rate)
    assert len(decode(path)) == round(frames * 16000 / rate)


def test_same_rate_is_untouched(tmp_path):
    wav = np.random.default_rng(0).uniform(-1, 1, 500).astype(np.float32)
    np.testing.assert_array_equal(decode(write(tmp_path / "a.wav", wav, subtype="FLOAT")), wav)


@pytest.mark.parametrize("channels", (1, 2, 3, 8))
def test_channels_are_averaged(tmp_path, channels):
    wav = np.random.default_rng(0).uniform(-1, 1, (500, channels)).astype(np.float32)
    path = write(tmp_path / "a.wav", wav, subtype="FLOAT")
    np.testing.assert_allclose(decode(path), wav.mean(axis=1), atol=1e-6)


def test_above_the_new_nyquist_is_removed(tmp_path):
    wav = sine(1, 48000) + sine(1, 48000, hz=11000)
    out = decode(write(tmp_path / "a.wav", wav, 48000, subtype="FLOAT"))
    assert amplitude_at(out, HZ) == pytest.approx(AMPLITUDE, rel=1e-3)
    assert amplitude_at(out, 5000) < 1e-4 * AMPLITUDE  # where 11 kHz would fold to


def test_wav_written_into_a_pipe_has_no_length_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav")
    change_data_length(path, 0xFFFFFFFF)
    assert len(decode(path)) == 16000


@pytest.mark.parametrize("container", ("RF64", "AIFF"))
def test_other_containers(tmp_path, container):
    assert len(decode(write(tmp_path / "a", format=container, subtype="PCM_16"))) == 16000


# --- bad files ---


def change_data_length(path, length):
    content = bytearray(path.read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(content)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def reason(path, **how):
    """The message without the path, after a check that it is one line that names the file."""
    with pytest.raises(AudioError) as caught:
        decode(path, **how)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_missing(tmp_path):
    assert reason(tmp_path / "a.wav") == "no such file"


def test_folder(tmp_path):
    assert reason(tmp_path) == "is a directory"


def test_not_audio(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("hello " * 100)
    assert "not audio" in reason(path)


def test_no_bytes(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert reason(path) == "empty (0 bytes)"


def test_no_frames(tmp_path):
    assert reason(write(tmp_path / "a.wav", np.zeros(0))) == "empty (0 frames)"


@pytest.mark.parametrize("container", ("WAV", "RF64", "AIFF", "FLAC", "OGG"))
@pytest.mark.parametrize("share", (0.3, 0.6, 0.95))
def test_truncated(tmp_path, container, share):
    path = write(tmp_path / "a", np.random.default_rng(0).uniform(-1, 1, 48000), format=container)
    cut(path, share)
    assert reason(path).startswith("truncated")


def test_truncated_names_both_sizes(tmp_path):
    path = write(tmp_path / "a.wav", rate=16000)
    cut(path, 0.5)
    there = path.stat().st_size - 44
    assert reason(path) == f"truncated: its header promises 32000 bytes, {there} are there"


def test_truncated_within_the_header(tmp_path):
    path = write(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:30])
    assert reason(path) == "truncated: the file ends before its samples"


def test_flac_of_unknown_length(tmp_path):
    path = write(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "does not tell how many frames" in reason(path)


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
@pytest.mark.parametrize("channels", (1, 2))
def test_not_finite(tmp_path, value, channels):
    wav = np.full((4800, channels), 0.1, dtype=np.float32)
    wav[100, 0] = value
    assert reason(write(tmp_path / "a.wav", wav, 48000, subtype="FLOAT")) == "holds NaN or infinite samples"


@pytest.mark.parametrize("rate", (16000, 44100))
def test_silent(tmp_path, rate):
    path = write(tmp_path / "a.wav", np.zeros((rate, 2)), rate)
    assert reason(path) == "silent (every sample is zero)"


def test_nearly_silent_is_fine(tmp_path):
    wav = np.zeros(16000)
    wav[7] = 2**-15
    assert np.count_nonzero(decode(write(tmp_path / "a.wav", wav))) == 1


def test_too_short(tmp_path):
    path = write(tmp_path / "a.wav", sine(0.01))
    assert reason(path, min_seconds=0.224) == "too short: 0.010 s, at least 0.224 s needed"
    assert len(decode(path, min_seconds=0.01)) == 160


@pytest.mark.parametrize("rate", RATES)
def test_just_long_enough(tmp_path, rate):
    frames = round(0.224 * rate)
    path = write(tmp_path / "a.wav", sine(1, rate)[:frames], rate)
    assert len(decode(path, min_seconds=0.224)) == round(frames * 16000 / rate) >= 3584


# --- int16 storage ---

clips = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=True),
)


@settings(max_examples=200, deadline=None)
@given(clips)
def test_error_is_at_most_half_a_step(wav):
    steps, scale = quantize(wav)
    assert steps.dtype == np.int16 and steps.min() >= -32767 and scale > 0
    exact = steps.astype(np.float64) * scale
    assert np.abs(wav - exact).max() <= 0.501 * scale + 1e-300
    assert np.abs(wav - dequantize(steps, scale).astype(np.float64)).max() <= 0.51 * scale
    assert scale == np.float32(scale)


@settings(max_examples=100, deadline=None)
@given(clips.filter(lambda wav: np.abs(wav).max() > 1e-6), st.integers(-20, 20))
def test_scaling_changes_the_scale_alone(wav, power):
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


def test_zeros_and_nothing():
    assert not quantize(np.zeros(3, np.float32))[0].any()
    assert quantize(np.zeros(0, np.float32))[0].shape == (0,)


def test_batch_of_scales():
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
