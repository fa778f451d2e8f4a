"""The waveform store: round trip, reuse, resume, two processes, full disk, damage, memory."""

import contextlib
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from mil_asc.audio.decode import decode
from mil_asc.audio.quantize import dequantize
from mil_asc.errors import UserError
from mil_asc.store import build as cache_module
from mil_asc.store.build import StoreError, WaveformCache, prepare_waveforms

ROOT = Path(__file__).parents[2]


def write_clips(folder, count=40, seconds=0.2, rate=16000):
    """Noise of different lengths and peaks; the relative paths, sorted."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / f"audio/{number:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = int(seconds * rate) + 16 * (number % 5)
        wav = generator.standard_normal(frames) * 0.1 / (1 + number)
        soundfile.write(path, wav, rate, subtype="FLOAT")
        paths.append(f"audio/{path.name}")
    return paths


def prepare(folder, paths, store, **how):
    return prepare_waveforms(folder, paths, store, progress=False, **how)


def times(store):
    """When each file of the store was written, the lock aside."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(store.iterdir())}


def start(folder, paths, store, delay=0.0):
    """Another process that prepares, `delay` seconds slower a clip."""
    code = f"""
import time
from mil_asc.store import build as cache
decode = cache.decode
def slow(*arguments):
    time.sleep({delay})
    return decode(*arguments)
cache.decode = slow
result = cache.prepare_waveforms({str(folder)!r}, {paths!r}, {str(store)!r}, workers=1, progress=False)
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


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    return SimpleNamespace(folder=folder, paths=write_clips(folder), store=tmp_path / "cache")


# --- reading ---


def test_round_trip(data):
    cache = prepare(data.folder, data.paths[::-1] + data.paths[:3], data.store)
    assert cache.paths == data.paths and cache.bad == {} and len(cache) == 40
    assert cache.sample_rate == 16000 and cache.rows[data.paths[7]] == cache.row(data.paths[7]) == 7
    assert cache.lengths.dtype == np.int64 and cache.scales.dtype == np.float32
    assert cache.nbytes == 2 * cache.lengths.sum()
    for row, path in enumerate(cache.paths):
        wav_N = decode(data.folder / path)
        assert cache.lengths[row] == len(wav_N)
        stored_N = cache.read_one(row)
        assert stored_N.dtype == np.float32
        assert np.abs(stored_N - wav_N).max() <= 0.51 * cache.scales[row]


def test_batch_repeats_short_clips(data):
    cache = prepare(data.folder, data.paths, data.store)
    rows = [4, 0, 39, 4]
    wav_BN, scale_B, length_B = cache.read(rows)
    assert wav_BN.dtype == np.int16 and wav_BN.shape == (4, cache.lengths[rows].max())
    np.testing.assert_array_equal(length_B, cache.lengths[rows])
    np.testing.assert_array_equal(scale_B, cache.scales[rows])
    for wav_N, row, scale, length in zip(wav_BN, rows, scale_B, length_B, strict=True):
        np.testing.assert_array_equal(dequantize(wav_N[:length], scale), cache.read_one(row))
        np.testing.assert_array_equal(wav_N, np.resize(wav_N[:length], len(wav_N)))


def test_very_short_clip_is_repeated_many_times(tmp_path):
    for name, count in (("a.wav", 3), ("b.wav", 100)):
        soundfile.write(tmp_path / name, np.arange(1, count + 1) / 200, 16000, subtype="FLOAT")
    wav_BN, _, length_B = prepare(tmp_path, ["a.wav", "b.wav"], tmp_path / "cache").read(np.array([0, 1]))
    assert length_B.tolist() == [3, 100]
    np.testing.assert_array_equal(wav_BN[0], np.resize(wav_BN[0, :3], 100))


def everything(cache):
    """All samples of a store."""
    return np.concatenate([np.zeros(0, np.int16), *(block for _, block in cache.blocks())])


def test_blocks_are_the_rows_one_after_another(data):
    cache = prepare(data.folder, data.paths, data.store)
    rows = [cache.read([row])[0][0] for row in range(len(cache))]
    np.testing.assert_array_equal(everything(cache), np.concatenate(rows))
    starts, blocks = zip(*cache.blocks(), strict=True)
    assert list(starts) == [sum(len(block) for block in blocks[:i]) for i in range(len(blocks))]


def test_pickle(data):
    cache = prepare(data.folder, data.paths, data.store)
    content = pickle.dumps(cache)
    assert len(content) < 1000
    again = pickle.loads(content)
    assert again.paths == cache.paths
    np.testing.assert_array_equal(again.read([3, 4])[0], cache.read([3, 4])[0])


def test_many_clips_open_fast_and_with_few_files(tmp_path):
    """23,000 rows, built from one tiny clip under many names."""
    soundfile.write(tmp_path / "a.wav", [0.1, 0.2], 16000)
    job = cache_module._Job(tmp_path, [f"{number}.wav" for number in range(23000)], 16000, 0.0)
    store = tmp_path / "cache"
    store.mkdir()
    for number, clips in enumerate(job.shards()):
        count = len(clips)
        (store / f"{number:04d}.i16").write_bytes(bytes(4 * count))
        entry = {"paths": clips, "lengths": [2] * count, "scales": [0.1] * count, "bad": {}}
        (store / f"{number:04d}.json").write_text(json.dumps(entry))
    cache_module._write_index(job, store, number + 1)
    begin = time.perf_counter()
    cache = WaveformCache(store)
    assert time.perf_counter() - begin < 1.0
    assert len(cache) == 23000 and number + 1 <= 256


def test_descriptors_are_closed(data):
    cache = prepare(data.folder, data.paths, data.store)
    before = len(os.listdir("/proc/self/fd"))
    del cache
    assert len(os.listdir("/proc/self/fd")) == before - 3


def test_resident_memory_does_not_grow(tmp_path):
    paths = write_clips(tmp_path, count=32, seconds=60)
    code = f"""
import re
from pathlib import Path
from mil_asc.store.build import prepare_waveforms
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1000
cache = prepare_waveforms({str(tmp_path)!r}, {paths!r}, {str(tmp_path / "cache")!r}, progress=False)
assert cache.nbytes > 60e6
cache.read([0, 1])
before = resident()
for _ in range(3):
    for row in range(0, len(cache), 2):
        cache.read([row, row + 1])
print(resident() - before)
"""
    prepare(tmp_path, paths, tmp_path / "cache")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 15  # MB


# --- reuse ---


def test_second_call_decodes_nothing(data, monkeypatch):
    store = prepare(data.folder, data.paths, data.store).store
    before = times(store)
    monkeypatch.setattr(cache_module, "decode", None)
    again = prepare(data.folder, data.paths[::-1], data.store)
    assert again.store == store and times(store) == before
    assert {path.suffix for path in store.iterdir()} == {".i16", ".json"}


def test_key_follows_what_made_the_store(data):
    def key(**how):
        return prepare(data.folder, how.pop("paths", data.paths), data.store, **how).store.name

    keys = [key(), key(sample_rate=8000), key(min_seconds=0.1), key(paths=data.paths[1:])]
    os.utime(data.folder / data.paths[5], ns=(1, 1))
    keys.append(key())
    soundfile.write(data.folder / data.paths[5], np.ones(50) / 2, 16000, subtype="FLOAT")
    os.utime(data.folder / data.paths[5], ns=(1, 1))
    keys.append(key())
    moved = data.folder.with_name("moved")
    shutil.copytree(data.folder, moved, copy_function=shutil.copy2)
    keys.append(prepare(moved, data.paths, data.store).store.name)
    (data.folder / data.paths[5]).unlink()
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_changed_file_is_decoded_anew(data):
    prepare(data.folder, data.paths, data.store)
    soundfile.write(data.folder / data.paths[5], np.ones(50) / 2, 16000, subtype="FLOAT")
    cache = prepare(data.folder, data.paths, data.store)
    assert cache.lengths[5] == 50


@pytest.mark.parametrize("count, shards", ((1, 1), (16, 1), (17, 2), (2048, 128), (2049, 121), (23000, 128)))
def test_shards_are_not_too_many_nor_too_small(count, shards):
    job = cache_module._Job(Path("/"), [str(number) for number in range(count)], 16000, 0.0)
    assert len(job.shards()) == shards
    assert [clip for shard in job.shards() for clip in shard] == job.clips


# --- bad files ---


def test_bad_files_are_listed(data):
    soundfile.write(data.folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(data.folder / "short.wav", np.ones(160) / 2, 16000)
    (data.folder / "text.wav").write_text("hello")
    paths = [*data.paths, "silent.wav", "short.wav", "text.wav", "missing.wav"]
    cache = prepare(data.folder, paths, data.store, min_seconds=0.1)
    assert cache.paths == data.paths
    assert sorted(cache.bad) == ["missing.wav", "short.wav", "silent.wav", "text.wav"]
    assert cache.bad["missing.wav"] == "no such file"
    assert cache.bad["short.wav"] == "too short: 0.010 s, at least 0.100 s needed"
    assert cache.bad["silent.wav"].startswith("silent")
    with pytest.raises(KeyError, match="no such file"):
        cache.row("missing.wav")
    with pytest.raises(KeyError, match="not in this store"):
        cache.row("other.wav")
    assert prepare(data.folder, paths, data.store, min_seconds=0.1).bad == cache.bad


def test_all_files_bad(tmp_path):
    cache = prepare(tmp_path, [f"{number}.wav" for number in range(20)], tmp_path / "cache")
    assert len(cache) == 0 and len(cache.bad) == 20 and cache.nbytes == 0
    assert everything(cache).shape == (0,)


def test_no_files(tmp_path):
    with pytest.raises(UserError, match="no audio files"):
        prepare(tmp_path, [], tmp_path / "cache")


def test_fault_of_the_machine_is_not_written_down(data, monkeypatch):
    def too_many(path, *_):
        try:
            raise OSError(24, "Too many open files")
        except OSError as error:
            raise cache_module.AudioError(f"{path}: too many open files") from error

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode", too_many)
        with pytest.raises(UserError, match="too many open files"):
            prepare(data.folder, data.paths, data.store)
    assert prepare(data.folder, data.paths, data.store).bad == {}


# --- interruption ---


def test_resume_after_kill(data):
    process = start(data.folder, data.paths, data.store, delay=0.05)
    wait_for(lambda: list(data.store.glob("*/0000.json")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (store,) = (path for path in data.store.iterdir() if path.is_dir())
    assert not (store / "index.json").exists()
    before = times(store)
    (store / "0002.i16.tmp").write_bytes(b"leftover")
    cache = prepare(data.folder, data.paths, data.store)
    assert cache.store == store and cache.paths == data.paths
    after = times(store)
    assert not [name for name in after if name.endswith(".tmp")]
    finished = [name for name in before if name.endswith((".i16", ".json"))]
    assert {"0000.i16", "0000.json"} <= set(finished)
    assert all(after[name] == before[name] for name in finished if name[:4] == "0000")
    for row in (0, 20, 39):
        wav_N = decode(data.folder / cache.paths[row])
        assert np.abs(cache.read_one(row) - wav_N).max() <= 0.51 * cache.scales[row]


def test_keyboard_interrupt(data, monkeypatch):
    def interrupt(path, *arguments):
        if path.endswith("020.wav"):
            raise KeyboardInterrupt
        return decode(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(data.folder, data.paths, data.store)
    (store,) = (path for path in data.store.iterdir() if path.is_dir())
    assert sorted(times(store)) == ["0000.i16", "0000.json"]


def test_interrupt_signal_stops_promptly(data):
    process = start(data.folder, data.paths, data.store, delay=0.05)
    wait_for(lambda: list(data.store.glob("*/0000.json")))
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begin < 2 and errors.strip().endswith("KeyboardInterrupt")
    assert not list(data.store.glob("*/*.tmp"))


def test_two_processes_at_once(data, caplog):
    process = start(data.folder, data.paths, data.store, delay=0.03)
    wait_for(lambda: list(data.store.glob("*/0000.i16.tmp")))
    with caplog.at_level(logging.INFO):
        cache = prepare(data.folder, data.paths, data.store)
    assert "waiting" in caplog.text
    output, errors = process.communicate(timeout=20)
    assert output.strip() == "40", errors
    assert cache.paths == data.paths
    assert len([path for path in data.store.iterdir() if path.is_dir()]) == 1


# --- disk ---


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


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_full_disk_keeps_finished_work(tmp_path, monkeypatch):
    paths = write_clips(tmp_path / "data", count=64, seconds=1.25)  # 2.6 MB
    with tiny_disk(tmp_path / "disk", "1m") as disk:
        monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
        with pytest.raises(UserError) as caught:
            prepare(tmp_path / "data", paths, disk)
        message = one_line(caught)
        assert message.startswith(f"{disk}: No space left") and "2.6 MB" in message and "kept" in message
        (store,) = (path for path in disk.iterdir() if path.is_dir())
        before = times(store)
        assert sorted(before) == ["0000.i16", "0000.json"]
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        cache = prepare(tmp_path / "data", paths, disk)
        assert len(cache) == 64
        assert {name: times(store)[name] for name in before} == before
        del cache  # its descriptors would keep the disk busy


def test_disk_that_is_plainly_too_small_is_refused(data, monkeypatch):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(UserError) as caught:
        prepare(data.folder, data.paths, data.store)
    message = one_line(caught)
    assert message.startswith(f"{data.store}: ") and "258.6 kB" in message and "100.0 kB are free" in message
    assert not list(data.store.glob("*/*.i16*"))


def test_cache_folder_below_a_file(data):
    data.store.write_text("a file")
    with pytest.raises(UserError, match="cannot keep waveforms there: Not a directory") as caught:
        prepare(data.folder, data.paths, data.store / "below")
    assert one_line(caught).startswith(f"{data.store}/below: ")


def test_cache_folder_is_a_file(data):
    data.store.write_text("a file")
    with pytest.raises(UserError, match="cannot keep waveforms there"):
        prepare(data.folder, data.paths, data.store)


# --- damage ---


def shorten(path):
    path.write_bytes(path.read_bytes()[:-2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("names", (["0001.i16"], ["index.json"], ["0001.json", "index.json"]))
@pytest.mark.parametrize("harm", (Path.unlink, shorten, empty))
def test_damaged_store_is_mended(data, names, harm):
    cache = prepare(data.folder, data.paths, data.store)
    expected = everything(cache)
    before = times(cache.store)
    for name in names:
        harm(cache.store / name)
    again = prepare(data.folder, data.paths, data.store)
    np.testing.assert_array_equal(everything(again), expected)
    after = times(cache.store)
    assert after["0000.i16"] == before["0000.i16"] and after.keys() == before.keys()


@pytest.mark.parametrize("harm", (Path.unlink, shorten))
@pytest.mark.parametrize("name", ("0001.i16", "index.json"))
def test_opening_a_damaged_store(data, name, harm):
    store = prepare(data.folder, data.paths, data.store).store
    harm(store / name)
    with pytest.raises(StoreError) as caught:
        WaveformCache(store)
    assert one_line(caught).startswith(str(store))


def test_progress_is_on_stderr_and_can_be_off(data, capsys):
    prepare(data.folder, data.paths, data.store)
    assert capsys.readouterr() == ("", "")
    shutil.rmtree(data.store)
    prepare_waveforms(data.folder, data.paths, data.store)
    out, err = capsys.readouterr()
    assert out == "" and "40/40" in err
