"""Truncated files are noticed in every format whose header states a length; complete ones pass."""

import struct

import numpy as np
import pytest
from tones import readable_formats, reason, write

from mil_asc.audio.containers import UnusableAudio, check_container
from mil_asc.audio.decode import decode

NO_LENGTH = ("PAF", "PVF", "IRCAM", "XI")
"""Formats whose header does not state how long the file is."""


def change_data_length(path, length):
    content = bytearray(path.read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(content)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def noise(frames=48000):
    return 0.3 * np.random.default_rng(0).uniform(-1, 1, frames)


def test_wav_written_into_a_pipe_has_no_length_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav")
    change_data_length(path, 0xFFFFFFFF)
    assert len(decode(path)) == 16000


@pytest.mark.parametrize("container", ["WAV", "RF64", "WAVEX"])
def test_wav_whose_header_states_a_part_of_its_samples_is_refused(tmp_path, container):
    """As a recorder leaves it that lost its power: it states the length at the last update."""
    path = write(tmp_path / "a.wav", noise(), format=container, subtype="PCM_16")
    content = path.read_bytes()
    whole = len(decode(path))
    at = content.find(b"ds64") + 16 if container == "RF64" else content.find(b"data") + 4
    path.write_bytes(content[:at] + struct.pack("<I", 9600) + content[at + 4 :])
    assert reason(path).startswith("corrupt: 86400 bytes after the samples that the header states")
    assert whole == 48000


@pytest.mark.parametrize(
    "more",
    [
        bytes(200_000),
        b"TAG" + 125 * b"x",
        b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"id3 " + struct.pack("<I", 90_000) + 90_000 * b"x",
    ],
    ids=["zeros", "tag", "chunks"],
)
def test_wav_may_have_zeros_tags_and_chunks_after_its_samples(tmp_path, more):
    path = write(tmp_path / "a.wav", noise(), subtype="PCM_16")
    path.write_bytes(path.read_bytes() + more)
    assert len(decode(path)) == 48000


@pytest.mark.parametrize("container, subtype", readable_formats())
def test_complete_file_of_every_format_is_read(tmp_path, container, subtype):
    assert len(decode(write(tmp_path / "a", noise(8000), 8000, format=container, subtype=subtype))) > 2000


@pytest.mark.parametrize("container, subtype", [each for each in readable_formats() if each[0] not in NO_LENGTH])
@pytest.mark.parametrize("share", (0.3, 0.6, 0.95))
def test_truncated_file_of_every_format_is_refused(tmp_path, container, subtype, share):
    path = write(tmp_path / "a", noise(8000), 8000, format=container, subtype=subtype)
    cut(path, share)
    if container == "HTK":
        assert "not audio or corrupt" in reason(path)  # libsndfile knows this format by its length
    else:
        assert reason(path).startswith("truncated")


@pytest.mark.parametrize("endian", ("LITTLE", "BIG"))
@pytest.mark.parametrize("container", ("AU", "MAT4", "MAT5", "WAV", "PAF", "IRCAM"))
def test_both_byte_orders_are_checked(tmp_path, container, endian):
    path = write(tmp_path / "a", noise(8000), format=container, subtype="PCM_16", endian=endian)
    assert len(decode(path)) == 8000
    path.write_bytes(path.read_bytes()[:-9])
    assert reason(path).startswith("truncated")


@pytest.mark.parametrize("container, subtype", [("PAF", "PCM_24"), ("PVF", "PCM_16"), ("IRCAM", "FLOAT")])
def test_end_within_a_frame_is_noticed_where_no_length_is_stated(tmp_path, container, subtype):
    path = write(tmp_path / "a", np.stack([noise(8000)] * 2, axis=1), format=container, subtype=subtype)
    path.write_bytes(path.read_bytes()[:-3])
    assert reason(path).startswith("truncated: the file ends within a frame of ")


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert reason(path) == "empty (0 bytes)"


def test_message_of_a_truncated_file_names_both_sizes(tmp_path):
    path = write(tmp_path / "a.wav", rate=16000)
    cut(path, 0.5)
    there = path.stat().st_size - 44
    assert reason(path) == f"truncated: the header states 32000 bytes, the file has {there}"


@pytest.mark.parametrize("container, size", [("WAV", 30), ("W64", 90), ("CAF", 60), ("VOC", 28)])
def test_file_truncated_within_its_header_is_refused(tmp_path, container, size):
    path = write(tmp_path / "a", format=container, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:size])
    assert reason(path) == "truncated: the file ends before its samples"


def test_au_of_unknown_length_is_read(tmp_path):
    path = write(tmp_path / "a.au", subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:8] + b"\xff" * 4 + path.read_bytes()[12:])
    assert len(decode(path)) == 16000


def test_w64_chunk_of_no_length_is_refused(tmp_path):
    path = write(tmp_path / "a.w64", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[56:64] = bytes(8)  # the format chunk: a walk over chunks would not get on
    path.write_bytes(content)
    assert reason(path) == "corrupt: a chunk shorter than its header"


def box(name, content):
    return struct.pack(">I", 8 + len(content)) + name + content


def segment(content, stated):
    return b"\x1aE\xdf\xa3\x80" + bytes.fromhex("18538067") + b"\x01" + stated.to_bytes(7, "big") + content


@pytest.mark.parametrize(
    "content, is_complete",
    [
        (box(b"ftyp", b"M4A ") + box(b"mdat", bytes(100)), True),
        (box(b"ftyp", b"M4A ") + box(b"mdat", bytes(100))[:60], False),
        (box(b"ftyp", b"M4A ") + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100), True),
        (box(b"ftyp", b"M4A ") + struct.pack(">I4sQ", 1, b"mdat", 117) + bytes(100), False),
        (box(b"ftyp", b"M4A ") + struct.pack(">I4s", 0, b"mdat") + bytes(100), True),
        (segment(bytes(100), 100), True),
        (segment(bytes(99), 100), False),
        (segment(bytes(100), 2**56 - 1), True),  # of unknown length, as a browser records it
    ],
)
def test_boxes_of_mp4_and_the_segment_of_webm_must_be_complete(tmp_path, content, is_complete):
    (tmp_path / "a").write_bytes(content)
    with open(tmp_path / "a", "rb") as file:
        if is_complete:
            check_container(file)
        else:
            with pytest.raises(UnusableAudio, match="truncated: the header states 1"):
                check_container(file)


@pytest.mark.parametrize(
    "start, chunk",
    [
        (b"RIFF\0\0\0\0WAVE", bytes(8)),
        (b"caff\0\1\0\0", bytes(12)),
        (b"Creative Voice File\x1a\x1a\0\x0a\1\x29\x11", bytes(4)),
        (b"", b"\0\0\0\x08ftyp"),
    ],
)
def test_file_of_endless_tiny_chunks_is_refused(tmp_path, start, chunk):
    path = tmp_path / "tiny.wav"
    path.write_bytes(start + 600_000 * chunk)
    with open(path, "rb") as file, pytest.raises(UnusableAudio, match="corrupt: more than 500000 chunks"):
        check_container(file)
