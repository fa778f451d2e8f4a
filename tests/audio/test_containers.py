"""Truncated WAV, RF64, AIFF, FLAC and Ogg files are noticed, complete ones pass."""

import struct

import numpy as np
import pytest
from tones import reason, write

from mil_asc.audio.decode import decode


def change_data_length(path, length):
    content = bytearray(path.read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(content)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_wav_written_into_a_pipe_has_no_length_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav")
    change_data_length(path, 0xFFFFFFFF)
    assert len(decode(path)) == 16000


@pytest.mark.parametrize("container", ("RF64", "AIFF"))
def test_complete_rf64_and_aiff_files_are_read(tmp_path, container):
    assert len(decode(write(tmp_path / "a", format=container, subtype="PCM_16"))) == 16000


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert reason(path) == "empty (0 bytes)"


@pytest.mark.parametrize("container", ("WAV", "RF64", "AIFF", "FLAC", "OGG"))
@pytest.mark.parametrize("share", (0.3, 0.6, 0.95))
def test_truncated_file_is_refused(tmp_path, container, share):
    path = write(tmp_path / "a", np.random.default_rng(0).uniform(-1, 1, 48000), format=container)
    cut(path, share)
    assert reason(path).startswith("truncated")


def test_message_of_a_truncated_file_names_both_sizes(tmp_path):
    path = write(tmp_path / "a.wav", rate=16000)
    cut(path, 0.5)
    there = path.stat().st_size - 44
    assert reason(path) == f"truncated: the header states 32000 bytes, the file has {there}"


def test_file_truncated_within_its_header_is_refused(tmp_path):
    path = write(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:30])
    assert reason(path) == "truncated: the file ends before its samples"
