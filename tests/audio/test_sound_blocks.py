"""Recordings in blocks: the same samples as at once, the same refusals."""

import numpy as np
import pytest
import soundfile

from mil_asc.audio import sound_blocks
from mil_asc.audio.decode import decode
from mil_asc.audio.sound_blocks import open_blocks
from mil_asc.errors import AudioError


def noise(frames, channels=1, scale=0.1):
    return np.random.default_rng(0).normal(scale=scale, size=(frames, channels)).astype(np.float32)


def joined(path, rate=16000):
    with open_blocks(path, rate) as blocks:
        parts = list(blocks)
        assert sum(map(len, parts)) == blocks.num_samples
    return np.concatenate(parts)


@pytest.mark.parametrize("block_seconds", [0.01, 0.37, 10.0])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels, name", [(1, "a.wav"), (2, "a.flac"), (3, "a.ogg")])
def test_blocks_joined_are_the_decoded_file(tmp_path, monkeypatch, rate, channels, name, block_seconds):
    monkeypatch.setattr(sound_blocks, "BLOCK_SECONDS", block_seconds)
    soundfile.write(tmp_path / name, noise(round(2.3 * rate) + 7, channels), rate)
    np.testing.assert_array_equal(joined(tmp_path / name), decode(tmp_path / name))


def test_silence_in_a_block_is_allowed_and_a_silent_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sound_blocks, "BLOCK_SECONDS", 0.1)
    wav = np.zeros(16000, np.float32)
    soundfile.write(tmp_path / "silent.wav", wav, 16000)
    with pytest.raises(AudioError, match=r"silent.wav: silent \(every sample is zero\)$"):
        joined(tmp_path / "silent.wav")
    wav[12345] = 0.5
    soundfile.write(tmp_path / "click.wav", wav, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(joined(tmp_path / "click.wav"), wav)


@pytest.mark.parametrize(
    "value, words", [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (1e20, r"up to 1e\+20")]
)
def test_bad_samples_are_refused_wherever_they_stand(tmp_path, monkeypatch, value, words):
    monkeypatch.setattr(sound_blocks, "BLOCK_SECONDS", 0.1)
    wav = noise(16000)
    wav[15000] = value
    soundfile.write(tmp_path / "a.wav", wav, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=words):
        joined(tmp_path / "a.wav")


def test_short_and_missing_files_are_refused_before_a_block_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1600), 16000)
    with pytest.raises(AudioError, match="too short: 0.100 s, at least 0.224 s needed"):
        with open_blocks(tmp_path / "a.wav", min_seconds=0.224):
            raise AssertionError("never reached")
    with pytest.raises(AudioError, match="no such file"):
        with open_blocks(tmp_path / "none.wav"):
            raise AssertionError("never reached")


def test_file_cut_off_behind_its_first_blocks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sound_blocks, "BLOCK_SECONDS", 0.1)
    soundfile.write(tmp_path / "a.flac", noise(160000), 16000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"a\.flac: truncated"):
        joined(tmp_path / "a.flac")


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left"), MemoryError()])
def test_what_the_caller_fails_with_is_no_fault_of_the_recording(tmp_path, error):
    soundfile.write(tmp_path / "a.wav", noise(16000), 16000)
    with pytest.raises(type(error)) as caught:
        with open_blocks(tmp_path / "a.wav") as blocks:
            next(iter(blocks))
            raise error
    assert caught.value is error


def test_block_that_does_not_fit_into_memory_is_a_bad_file(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    soundfile.write(tmp_path / "a.wav", noise(16000), 16000)
    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(AudioError, match="a.wav: too long, it does not fit into memory: cut it into parts$"):
        joined(tmp_path / "a.wav")
