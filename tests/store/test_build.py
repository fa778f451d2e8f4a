"""Building a store: reuse, key, shards, bad files, progress."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from noise_clips import everything, prepare, times, write_clips

from mil_asc.audio.ffmpeg import ffmpeg_version
from mil_asc.errors import AudioError, UserError
from mil_asc.store import build
from mil_asc.store.build import prepare_waveforms


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    return SimpleNamespace(folder=folder, paths=write_clips(folder), cache_folder=tmp_path / "cache")


def test_second_call_decodes_nothing(data, monkeypatch):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    before = times(folder)
    monkeypatch.setattr(build, "decode", None)
    again = prepare(data.folder, data.paths[::-1], data.cache_folder)
    assert again.folder == folder and times(folder) == before
    assert {path.suffix for path in folder.iterdir()} == {".i16", ".json"}


def test_key_changes_with_everything_the_store_is_made_from(data):
    def key(**how):
        return prepare(data.folder, how.pop("paths", data.paths), data.cache_folder, **how).folder.name

    keys = [key(), key(sample_rate=8000), key(min_seconds=0.1), key(paths=data.paths[1:])]
    os.utime(data.folder / data.paths[5], ns=(1, 1))
    keys.append(key())
    soundfile.write(data.folder / data.paths[5], np.ones(50) / 2, 16000, subtype="FLOAT")
    os.utime(data.folder / data.paths[5], ns=(1, 1))
    keys.append(key())
    moved = data.folder.with_name("moved")
    shutil.copytree(data.folder, moved, copy_function=shutil.copy2)
    keys.append(prepare(moved, data.paths, data.cache_folder).folder.name)
    (data.folder / data.paths[5]).unlink()
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_changed_file_is_decoded_again(data):
    prepare(data.folder, data.paths, data.cache_folder)
    soundfile.write(data.folder / data.paths[5], np.ones(50) / 2, 16000, subtype="FLOAT")
    store = prepare(data.folder, data.paths, data.cache_folder)
    assert store.lengths[5] == 50


def test_files_that_change_places_are_decoded_again(data):
    """As from an archive: the same size, the same time of change."""
    first, second = (data.folder / data.paths[number] for number in (0, 5))
    for path in (first, second):
        os.utime(path, ns=(1, 1))
    assert first.stat().st_size == second.stat().st_size
    before = prepare(data.folder, data.paths, data.cache_folder)
    first.rename(data.folder / "third")
    second.rename(first)
    (data.folder / "third").rename(second)
    after = prepare(data.folder, data.paths, data.cache_folder)
    assert np.array_equal(after.read_one(0), before.read_one(5))
    assert np.array_equal(after.read_one(5), before.read_one(0))


@pytest.mark.parametrize("count, shards", ((1, 1), (16, 1), (17, 2), (2048, 128), (2049, 121), (23000, 128)))
def test_shards_are_not_too_many_nor_too_small(count, shards):
    job = build.Job(Path("/"), [str(number) for number in range(count)], 16000, 0.0)
    assert len(job.shards()) == shards
    assert [clip for shard in job.shards() for clip in shard] == job.clips


def test_bad_files_are_listed_with_their_reasons(data):
    soundfile.write(data.folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(data.folder / "short.wav", np.ones(160) / 2, 16000)
    (data.folder / "text.wav").write_text("hello")
    paths = [*data.paths, "silent.wav", "short.wav", "text.wav", "missing.wav"]
    store = prepare(data.folder, paths, data.cache_folder, min_seconds=0.1)
    assert store.paths == data.paths
    assert sorted(store.bad) == ["missing.wav", "short.wav", "silent.wav", "text.wav"]
    assert store.bad["missing.wav"] == "no such file"
    assert store.bad["short.wav"] == "too short: 0.010 s, at least 0.100 s needed"
    assert store.bad["silent.wav"].startswith("silent")
    with pytest.raises(KeyError, match="no such file"):
        store.row("missing.wav")
    with pytest.raises(KeyError, match="not in this store"):
        store.row("other.wav")
    assert prepare(data.folder, paths, data.cache_folder, min_seconds=0.1).bad == store.bad


def test_unusual_files_are_bad_files_and_do_not_stop_the_build(data):
    os.mkfifo(data.folder / "fifo.wav")
    soundfile.write(data.folder / "gsm.wav", np.ones(8000) / 2, 8000, subtype="GSM610")
    soundfile.write(data.folder / "slow.wav", np.ones(16000) / 2, 1)
    store = prepare(data.folder, [*data.paths, "fifo.wav", "gsm.wav", "slow.wav", "nul\0.wav"], data.cache_folder)
    assert store.paths == [*data.paths, "gsm.wav"]
    assert store.bad == {
        "fifo.wav": "not a regular file",
        "nul\0.wav": "not a path (embedded null byte)",
        "slow.wav": "the header states a sampling rate of 1 Hz, 1000 to 768000 Hz are allowed",
    }


def test_file_that_needs_ffmpeg_is_tried_again_when_ffmpeg_was_installed(data, monkeypatch):
    (data.folder / "a.m4a").write_bytes(b"text" * 100)

    def bad():
        return prepare(data.folder, ["audio/000.wav", "a.m4a"], data.cache_folder).bad["a.m4a"]

    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        ffmpeg_version.cache_clear()
        before = bad()
    ffmpeg = data.folder / "ffmpeg"
    ffmpeg.write_text("#!/bin/sh\necho ffmpeg version 0; [ $# = 1 ]\n")
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("PATH", str(data.folder))
    ffmpeg_version.cache_clear()
    after = bad()
    ffmpeg_version.cache_clear()
    assert before.startswith("needs ffmpeg") and after == "ffmpeg cannot decode it (status 1)"


def test_store_of_bad_files_alone_is_empty(tmp_path):
    store = prepare(tmp_path, [f"{number}.wav" for number in range(20)], tmp_path / "cache")
    assert len(store) == 0 and len(store.bad) == 20 and store.nbytes == 0
    assert everything(store).shape == (0,)


def test_no_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no audio files"):
        prepare(tmp_path, [], tmp_path / "cache")


def test_passing_error_is_raised_and_not_stored(data, monkeypatch):
    def too_many(path, *_):
        try:
            raise OSError(24, "Too many open files")
        except OSError as error:
            raise AudioError(f"{path}: too many open files") from error

    with monkeypatch.context() as patch:
        patch.setattr(build, "decode", too_many)
        with pytest.raises(UserError, match="too many open files"):
            prepare(data.folder, data.paths, data.cache_folder)
    assert prepare(data.folder, data.paths, data.cache_folder).bad == {}


def test_progress_is_on_stderr_and_can_be_off(data, capsys):
    prepare(data.folder, data.paths, data.cache_folder)
    assert capsys.readouterr() == ("", "")
    shutil.rmtree(data.cache_folder)
    prepare_waveforms(data.folder, data.paths, data.cache_folder)
    out, err = capsys.readouterr()
    assert out == "" and "40/40" in err
