"""Builds that are killed, interrupted, or run twice at once, and disks that are full."""

import contextlib
import logging
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from noise_clips import one_line, prepare, times, write_clips

from mil_asc.audio.decode import decode
from mil_asc.errors import UserError
from mil_asc.store import build

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    return SimpleNamespace(folder=folder, paths=write_clips(folder), cache_folder=tmp_path / "cache")


def start(folder, paths, cache_folder, delay=0.0):
    """Another process that prepares, ``delay`` seconds slower per clip."""
    code = f"""
import time
from mil_asc.store import build
decode = build.decode
def slow(*arguments):
    time.sleep({delay})
    return decode(*arguments)
build.decode = slow
result = build.prepare_waveforms({str(folder)!r}, {paths!r}, {str(cache_folder)!r}, workers=1, progress=False)
print(len(result))
"""
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_build_is_continued(data):
    process = start(data.folder, data.paths, data.cache_folder, delay=0.05)
    wait_for(lambda: list(data.cache_folder.glob("*/0000.json")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (folder,) = (path for path in data.cache_folder.iterdir() if path.is_dir())
    assert not (folder / "index.json").exists()
    before = times(folder)
    (folder / "0002.i16.tmp").write_bytes(b"leftover")
    store = prepare(data.folder, data.paths, data.cache_folder)
    assert store.folder == folder and store.paths == data.paths
    after = times(folder)
    assert not [name for name in after if name.endswith(".tmp")]
    finished = [name for name in before if name.endswith((".i16", ".json"))]
    assert {"0000.i16", "0000.json"} <= set(finished)
    assert all(after[name] == before[name] for name in finished if name[:4] == "0000")
    for row in (0, 20, 39):
        wav_N = decode(data.folder / store.paths[row])
        assert np.abs(store.read_one(row) - wav_N).max() <= 0.51 * store.scales[row]


def test_interrupted_build_keeps_finished_shards(data, monkeypatch):
    def interrupt(path, *arguments):
        if path.endswith("020.wav"):
            raise KeyboardInterrupt
        return decode(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(build, "decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(data.folder, data.paths, data.cache_folder)
    (folder,) = (path for path in data.cache_folder.iterdir() if path.is_dir())
    assert sorted(times(folder)) == ["0000.i16", "0000.json"]


@pytest.mark.slow
def test_interrupt_signal_stops_a_build_promptly(data):
    process = start(data.folder, data.paths, data.cache_folder, delay=0.05)
    wait_for(lambda: list(data.cache_folder.glob("*/0000.json")))
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begin < 2 and errors.strip().endswith("KeyboardInterrupt")
    assert not list(data.cache_folder.glob("*/*.tmp"))


@pytest.mark.slow
def test_second_process_waits_for_the_first(data, caplog):
    process = start(data.folder, data.paths, data.cache_folder, delay=0.03)
    wait_for(lambda: list(data.cache_folder.glob("*/0000.i16.tmp")))
    with caplog.at_level(logging.INFO):
        store = prepare(data.folder, data.paths, data.cache_folder)
    assert "waiting" in caplog.text
    output, errors = process.communicate(timeout=20)
    assert output.strip() == "40", errors
    assert store.paths == data.paths
    assert len([path for path in data.cache_folder.iterdir() if path.is_dir()]) == 1


@contextlib.contextmanager
def tiny_disk(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_full_disk_keeps_finished_work(tmp_path, monkeypatch):
    paths = write_clips(tmp_path / "data", count=64, seconds=1.25)  # 2.6 MB
    with tiny_disk(tmp_path / "disk", "1m") as disk:
        monkeypatch.setattr(build.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
        with pytest.raises(UserError) as caught:
            prepare(tmp_path / "data", paths, disk)
        message = one_line(caught)
        assert message.startswith(f"{disk}: No space left") and "2.6 MB" in message and "kept" in message
        (folder,) = (path for path in disk.iterdir() if path.is_dir())
        before = times(folder)
        assert sorted(before) == ["0000.i16", "0000.json"]
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        store = prepare(tmp_path / "data", paths, disk)
        assert len(store) == 64
        assert {name: times(folder)[name] for name in before} == before
        del store  # its descriptors would keep the disk busy


def test_disk_that_is_much_too_small_is_refused_before_the_start(data, monkeypatch):
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(UserError) as caught:
        prepare(data.folder, data.paths, data.cache_folder)
    message = one_line(caught)
    assert message.startswith(f"{data.cache_folder}: ") and "258.6 kB" in message and "100.0 kB are free" in message
    assert not list(data.cache_folder.glob("*/*.i16*"))


def test_cache_folder_below_a_file_is_refused(data):
    data.cache_folder.write_text("a file")
    with pytest.raises(UserError, match="cannot keep waveforms there: Not a directory") as caught:
        prepare(data.folder, data.paths, data.cache_folder / "below")
    assert one_line(caught).startswith(f"{data.cache_folder}/below: ")


def test_cache_folder_that_is_a_file_is_refused(data):
    data.cache_folder.write_text("a file")
    with pytest.raises(UserError, match="cannot keep waveforms there"):
        prepare(data.folder, data.paths, data.cache_folder)
