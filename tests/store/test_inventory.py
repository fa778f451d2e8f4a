"""Which stores there are, and that only those not in use are freed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest
from noise_clips import one_line, prepare, write_clips

from mil_asc.errors import UserError
from mil_asc.store.inventory import free_store, is_in_use, list_stores
from mil_asc.store.read import WaveformStore

ROOT = Path(__file__).parents[2]
DAY = 24 * 3600


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    return SimpleNamespace(folder=folder, paths=write_clips(folder, count=20), cache_folder=tmp_path / "cache")


def set_last_use(store, days_ago):
    when = time.time() - days_ago * DAY
    os.utime(store.with_name(store.name + ".lock"), (when, when))


def test_stores_are_listed_with_size_clips_source_and_last_use(data):
    first = prepare(data.folder, data.paths, data.cache_folder).folder
    second = prepare(data.folder, [*data.paths[:5], "lost.wav"], data.cache_folder).folder
    set_last_use(first, 1)
    set_last_use(second, 2)
    found = list_stores(data.cache_folder)
    assert [store.folder for store in found] == [second, first]
    assert [store.clips for store in found] == [5, 20]
    assert {store.source for store in found} == {str(data.folder)}
    assert found[1].nbytes == sum(path.stat().st_size for path in first.iterdir())
    assert time.time() - found[0].last_use == pytest.approx(2 * DAY, abs=60)
    assert list_stores(first) == [found[1]]


def test_opening_a_store_is_a_use(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    set_last_use(folder, 10)
    prepare(data.folder, data.paths, data.cache_folder)
    assert time.time() - list_stores(data.cache_folder)[0].last_use < 60


def test_unfinished_store_is_listed_and_may_be_freed(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    (folder / "index.json").unlink()
    (folder / "0001.i16.tmp").write_bytes(b"left by a kill")
    (store,) = list_stores(data.cache_folder)
    assert store.clips is None and store.source is None
    free_store(folder)
    assert list_stores(data.cache_folder) == []


def test_folders_that_are_no_stores_are_not_listed(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    (data.cache_folder / "notes").mkdir()
    (data.cache_folder / ("0" * 20)).symlink_to(folder)
    (folder / "my_notes.txt").write_text("not ours to delete")
    assert list_stores(data.cache_folder) == []


def test_store_that_is_open_is_not_freed(data):
    store = prepare(data.folder, data.paths, data.cache_folder)
    folder = store.folder
    assert is_in_use(folder)
    with pytest.raises(UserError) as caught:
        free_store(folder)
    assert one_line(caught) == f"{folder}: in use, not deleted"
    assert len(WaveformStore(folder)) == 20
    del store
    assert not is_in_use(folder)
    free_store(folder)
    assert not folder.exists()


def test_store_that_another_process_reads_is_not_freed(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    code = f"""
import sys
from mil_asc.store.read import WaveformStore
store = WaveformStore({str(folder)!r})
print("open", flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == b"open\n"
        assert is_in_use(folder)
        process.stdin.close()
    assert not is_in_use(folder)


def test_store_that_is_being_prepared_is_not_freed(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    with filelock.FileLock(f"{folder}.lock"):
        assert is_in_use(folder)
        with pytest.raises(UserError, match="in use"):
            free_store(folder)


def test_store_that_was_freed_is_made_again(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    free_store(folder)
    assert prepare(data.folder, data.paths, data.cache_folder).paths == data.paths


def test_missing_cache_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        list_stores(tmp_path / "nowhere")
