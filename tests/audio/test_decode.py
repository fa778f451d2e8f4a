"""Audio files of all formats, rates and channel counts become mono samples, or an error of one line."""

import os
import socket
import struct

import numpy as np
import pytest
import soundfile
from tones import AMPLITUDE, HZ, amplitude_at, reason, sine, write

from mil_asc.audio import decode as module
from mil_asc.audio.decode import MAX_AMPLITUDE, decode, read_duration
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
def test_length_of_a_resampled_clip_is_rounded(tmp_path, rate, frames):
    path = write(tmp_path / "a.wav", sine(4, rate)[:frames], rate)
    assert len(decode(path)) == round(frames * 16000 / rate)


def test_samples_at_the_same_rate_are_unchanged(tmp_path):
    wav = np.random.default_rng(0).uniform(-1, 1, 500).astype(np.float32)
    np.testing.assert_array_equal(decode(write(tmp_path / "a.wav", wav, subtype="FLOAT")), wav)


@pytest.mark.parametrize("channels", (1, 2, 3, 8))
def test_channels_are_averaged(tmp_path, channels):
    wav = np.random.default_rng(0).uniform(-1, 1, (500, channels)).astype(np.float32)
    path = write(tmp_path / "a.wav", wav, subtype="FLOAT")
    np.testing.assert_allclose(decode(path), wav.mean(axis=1), atol=1e-6)


def test_frequencies_above_the_new_nyquist_are_removed(tmp_path):
    wav = sine(1, 48000) + sine(1, 48000, hz=11000)
    out = decode(write(tmp_path / "a.wav", wav, 48000, subtype="FLOAT"))
    assert amplitude_at(out, HZ) == pytest.approx(AMPLITUDE, rel=1e-3)
    assert amplitude_at(out, 5000) < 1e-4 * AMPLITUDE  # where 11 kHz would fold to


def test_missing_file_is_refused(tmp_path):
    assert reason(tmp_path / "a.wav") == "no such file"


def test_folder_is_refused(tmp_path):
    assert reason(tmp_path) == "is a directory"


def test_text_file_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("hello " * 100)
    assert "not audio" in reason(path)


def test_file_without_frames_is_refused(tmp_path):
    assert reason(write(tmp_path / "a.wav", np.zeros(0))) == "empty (0 frames)"


def test_flac_of_unknown_length_is_refused(tmp_path):
    path = write(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "does not say how many frames" in reason(path)


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
@pytest.mark.parametrize("channels", (1, 2))
def test_nan_or_infinite_sample_is_refused(tmp_path, value, channels):
    wav = np.full((4800, channels), 0.1, dtype=np.float32)
    wav[100, 0] = value
    assert reason(write(tmp_path / "a.wav", wav, 48000, subtype="FLOAT")) == "holds NaN or infinite samples"


@pytest.mark.parametrize("rate", (16000, 44100))
def test_silent_clip_is_refused(tmp_path, rate):
    path = write(tmp_path / "a.wav", np.zeros((rate, 2)), rate)
    assert reason(path) == "silent (every sample is zero)"


def test_clip_with_one_nonzero_sample_is_read(tmp_path):
    wav = np.zeros(16000)
    wav[7] = 2**-15
    assert np.count_nonzero(decode(write(tmp_path / "a.wav", wav))) == 1


def test_clip_below_min_seconds_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", sine(0.01))
    assert reason(path, min_seconds=0.224) == "too short: 0.010 s, at least 0.224 s needed"
    assert reason(path, min_seconds=0.0101) == "too short: 0.010000 s, at least 0.010100 s needed"
    assert len(decode(path, min_seconds=0.01)) == 160


@pytest.mark.parametrize("rate", RATES)
def test_clip_of_exactly_min_seconds_is_read(tmp_path, rate):
    frames = round(0.224 * rate)
    path = write(tmp_path / "a.wav", sine(1, rate)[:frames], rate)
    assert len(decode(path, min_seconds=0.224)) == round(frames * 16000 / rate) >= 3584


@pytest.mark.parametrize("container, subtype", FORMATS)
def test_duration_is_that_of_the_header(tmp_path, container, subtype):
    path = write(tmp_path / "a", sine(2, 44100)[:66150], 44100, format=container, subtype=subtype)
    assert read_duration(path) == 1.5


@pytest.mark.parametrize("content, words", [(b"", "empty"), (b"text" * 30, "not audio"), (None, "no such file")])
def test_duration_of_an_unusable_file_is_refused(tmp_path, content, words):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=f"a.wav: .*{words}"):
        read_duration(path)


@pytest.mark.parametrize("subtype", ("GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_32"))
def test_wav_in_a_codec_that_cannot_be_searched_is_read(tmp_path, subtype):
    path = write(tmp_path / "a.wav", sine(rate=8000), 8000, subtype=subtype)
    wav = decode(path)
    assert len(wav) >= 16000 and amplitude_at(wav[:16000], HZ) == pytest.approx(AMPLITUDE, rel=0.2)


@pytest.mark.parametrize("method, words", [("read", "truncated, corrupt or not supported"), ("__init__", "unreadable")])
@pytest.mark.parametrize("error", (ValueError("frames must\nbe specified"), AssertionError(), TypeError("no")))
def test_unexpected_decoder_error_is_a_bad_file(tmp_path, monkeypatch, method, words, error):
    path = write(tmp_path / "a.wav")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(soundfile.SoundFile, method, fail)
    monkeypatch.setattr(soundfile.SoundFile, "__del__", lambda sound: None)
    found = reason(path)
    assert found.startswith(words) and (" ".join(str(error).split()) or "AssertionError") in found


def test_fifo_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    assert reason(tmp_path / "a.wav") == "not a regular file"


def test_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is at most 107 bytes long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.wav")
        assert reason("a.wav") == "not a regular file"


def test_device_is_refused():
    assert reason("/dev/zero") == "not a regular file"


def test_path_with_a_nul_is_refused():
    assert reason("a\0.wav") == "not a path (embedded null byte)"


def with_rate(path, rate):
    """The WAV file with another sampling rate in its header."""
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("rate", (1, 999, 768_001, 2**31 - 1))
def test_absurd_rate_is_refused_before_anything_is_read(tmp_path, monkeypatch, rate):
    path = with_rate(write(tmp_path / "a.wav"), rate)
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    expected = f"the header states a sampling rate of {rate} Hz, 1000 to 768000 Hz are allowed"
    assert reason(path) == expected
    with pytest.raises(AudioError, match=expected):
        read_duration(path)


@pytest.mark.parametrize("rate", (1000, 768_000))
def test_lowest_and_highest_rate_are_read(tmp_path, rate):
    assert len(decode(with_rate(write(tmp_path / "a.wav"), rate))) == round(16000 * 16000 / rate)


def test_recording_of_a_day_is_within_the_limit_and_a_longer_one_is_not(tmp_path):
    """FLAC states its number of frames in 36 bits of the header; the file holds a second."""
    path = write(tmp_path / "a.flac", rate=16000)
    content = bytearray(path.read_bytes())
    for hours in (24, 25, 25.1, 1000):
        frames = round(hours * 3600 * 16000)
        content[21] = content[21] & 0xF0 | frames >> 32
        content[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
        path.write_bytes(content)
        if hours <= module.MAX_HOURS:
            assert read_duration(path) == hours * 3600
        else:
            expected = f"the header states {hours:.1f} hours, at most 25 are allowed: cut it into parts"
            assert reason(path) == expected
            with pytest.raises(AudioError, match=expected):
                read_duration(path)


@pytest.mark.parametrize("rate", (16000, 48000))
def test_absurdly_large_samples_are_refused(tmp_path, rate):
    wav = sine(0.5, rate, amplitude=1e20)
    assert reason(write(tmp_path / "a.wav", wav, rate, subtype="FLOAT")).endswith("4.29e+09 allowed (1 is full scale)")


def test_samples_are_limited_after_resampling(tmp_path):
    """A square wave overshoots when it is resampled."""
    wav = np.where(np.arange(48000) % 200 < 100, 1, -1) * MAX_AMPLITUDE
    assert len(decode(write(tmp_path / "a.wav", wav[::3], 16000, subtype="FLOAT"))) == 16000
    assert reason(write(tmp_path / "b.wav", wav, 48000, subtype="FLOAT")).startswith("samples up to ")


def test_double_beyond_float_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", sine(amplitude=1e300), subtype="DOUBLE")
    assert reason(path) == "holds NaN or infinite samples"


def test_integers_kept_as_float_are_read(tmp_path):
    wav = decode(write(tmp_path / "a.wav", sine(amplitude=2.0**31), subtype="FLOAT"))
    assert 2.0**30 < np.abs(wav).max() <= MAX_AMPLITUDE


def test_samples_that_vanish_in_resampling_are_silent(tmp_path):
    wav = np.zeros(48000)
    wav[100] = 1e-45
    path = write(tmp_path / "a.wav", wav, 48000, subtype="FLOAT")
    assert reason(path) == "silent (every sample is zero)"


@pytest.mark.parametrize(
    "frames, minutes, expected",
    [
        (16000 * 61, 1, "1.02 minutes, at most 1"),
        (16000 * 60 + 1, 1, "1.000001 minutes, at most 1"),
        (16000 * 120, 1.5, "2.0 minutes, at most 1.5"),
        (16000 * 4, 0.05, "4.0 s, at most 3"),
        (16000 * 3600, 59, "60.0 minutes, at most 59"),
    ],
)
def test_length_beyond_a_limit_is_said_with_the_limit(tmp_path, frames, minutes, expected):
    path = write(tmp_path / "a.wav", np.zeros(frames, np.int16))
    with pytest.raises(AudioError, match=f"the header states {expected} are allowed: cut it into parts$"):
        with module.opened(path, max_hours=minutes / 60):
            pass


def test_recording_that_does_not_fit_into_memory_is_a_bad_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", rate=48000)

    def fail(*_, **__):
        raise MemoryError

    for where, name in ((module, "_resample"), (soundfile.SoundFile, "read")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            assert reason(path) == "too long, it does not fit into memory: cut it into parts"
