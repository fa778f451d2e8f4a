"""Sound as bytes of a pipe, against libsndfile's reading of the same file."""

import io
import struct

import numpy as np
import pytest
import soundfile

from mil_asc.audio.containers import UnusableAudio
from mil_asc.audio.pcm_stream import ENCODINGS, read_pcm, read_wav_header

SUBTYPES = dict(zip(ENCODINGS, ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]))


def form_chunk(kind=1, channels=1, rate=16000, bits=16):
    return struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, 0, 0, bits)


def header(*chunks):
    return io.BytesIO(b"RIFF\0\0\0\0WAVE" + b"".join(chunks))


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_samples_are_those_of_libsndfile(tmp_path, encoding, kind):
    wav_NC = np.random.default_rng(0).uniform(-1, 1, (2500, 3))
    soundfile.write(tmp_path / "a.wav", wav_NC, 22050, format=kind, subtype=SUBTYPES[encoding])
    expected_NC = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    with open(tmp_path / "a.wav", "rb") as file:
        form = read_wav_header(file)
        assert form[:3] == (encoding, 22050, 3)
        blocks = list(read_pcm(file, form, 0.01))
    assert all(block.dtype == np.float32 for block in blocks) and len(blocks[0]) == 220
    found_N = np.concatenate(blocks)
    np.testing.assert_allclose(found_N, expected_NC.mean(1), atol=1e-6)


def riff(size, data_size, *behind):
    return io.BytesIO(
        struct.pack("<4sI4s", b"RIFF", size, b"WAVE")
        + form_chunk()
        + struct.pack("<4sI", b"data", data_size)
        + b"".join(behind)
    )


@pytest.mark.parametrize(
    "file, samples",
    [
        (riff(44 + 8, 8, b"\1\0" * 4, b"LIST\0\0\0\0"), 4),
        (riff(45, 7, b"\1\0" * 3, b"\1\0"), 3),  # half a sample, and what makes the length even
        (riff(44, 8, b"\1\0" * 9), 9),  # it goes on: written into a pipe
        (riff(0, 0, b"\1\0" * 9), 9),
        (riff(0xFFFFFFFF, 0xFFFFFFFF, b"\1\0" * 9), 9),
        (riff(0x7FFFF024, 0x7FFFF000, b"\1\0" * 9), 9),
        (riff(0xFFFFFFFF, 8, b"\1\0" * 9), 9),
    ],
)
def test_chunks_behind_the_samples_are_none_and_other_lengths_mean_nothing(file, samples):
    form = read_wav_header(file)
    assert np.concatenate(list(read_pcm(file, form))).tolist() == [2.0**-15] * samples


@pytest.mark.parametrize(
    "file, words",
    [
        (io.BytesIO(), "^empty$"),
        (io.BytesIO(b"RIFF"), "no WAV header"),
        (header(), "no samples behind it"),
        (header(form_chunk()), "no samples behind it"),
        (header(b"data\0\0\0\0"), "states no format"),
        (header(b"fmt \x04\0\0\0abcd"), "no complete format"),
        (header(form_chunk(kind=85)), "of format 85 with 16 bits: only uncompressed"),
        (header(form_chunk(channels=0)), "0 channels at 16000 Hz: corrupt"),
        (header(form_chunk(rate=1)), "1 channels at 1 Hz: corrupt"),
        (header(b"LIST\xff\xff\xff\x7f"), "too long"),
    ],
)
def test_what_is_no_wav_is_refused(file, words):
    with pytest.raises(UnusableAudio, match=words):
        read_wav_header(file)
