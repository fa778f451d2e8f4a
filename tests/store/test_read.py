"""A finished store: rows, batches and blocks, memory, file descriptors, damage."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from noise_clips import everything, one_line, prepare, times, write_clips

from mil_asc.audio.decode import decode
from mil_asc.audio.quantize import dequantize
from mil_asc.store import build, read
from mil_asc.store.read import WaveformStore
from mil_asc.store.segments import CutWaveforms
from mil_asc.store.shards import StoreError, write_index, write_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    return SimpleNamespace(folder=folder, paths=write_clips(folder), cache_folder=tmp_path / "cache")


def test_stored_clips_are_the_decoded_ones_within_half_a_step(data):
    store = prepare(data.folder, data.paths[::-1] + data.paths[:3], data.cache_folder)
    assert store.paths == data.paths and store.bad == {} and len(store) == 40
    assert store.sample_rate == 16000 and store.rows[data.paths[7]] == store.row(data.paths[7]) == 7
    assert store.lengths.dtype == np.int64 and store.scales.dtype == np.float32
    assert store.nbytes == 2 * store.lengths.sum()
    for row, path in enumerate(store.paths):
        wav_N = decode(data.folder / path)
        assert store.lengths[row] == len(wav_N)
        stored_N = store.read_one(row)
        assert stored_N.dtype == np.float32
        assert np.abs(stored_N - wav_N).max() <= 0.51 * store.scales[row]


def test_batch_repeats_its_short_clips(data):
    store = prepare(data.folder, data.paths, data.cache_folder)
    rows = [4, 0, 39, 4]
    wav_BN, scale_B, length_B = store.read(rows)
    assert wav_BN.dtype == np.int16 and wav_BN.shape == (4, store.lengths[rows].max())
    np.testing.assert_array_equal(length_B, store.lengths[rows])
    np.testing.assert_array_equal(scale_B, store.scales[rows])
    for wav_N, row, scale, length in zip(wav_BN, rows, scale_B, length_B, strict=True):
        np.testing.assert_array_equal(dequantize(wav_N[:length], scale), store.read_one(row))
        np.testing.assert_array_equal(wav_N, np.resize(wav_N[:length], len(wav_N)))


def test_very_short_clip_is_repeated_many_times(tmp_path):
    for name, count in (("a.wav", 3), ("b.wav", 100)):
        soundfile.write(tmp_path / name, np.arange(1, count + 1) / 200, 16000, subtype="FLOAT")
    wav_BN, _, length_B = prepare(tmp_path, ["a.wav", "b.wav"], tmp_path / "cache").read(np.array([0, 1]))
    assert length_B.tolist() == [3, 100]
    np.testing.assert_array_equal(wav_BN[0], np.resize(wav_BN[0, :3], 100))


def test_blocks_are_the_rows_one_after_another(data):
    store = prepare(data.folder, data.paths, data.cache_folder)
    rows = [store.read([row])[0][0] for row in range(len(store))]
    np.testing.assert_array_equal(everything(store), np.concatenate(rows))
    starts, blocks = zip(*store.blocks(), strict=True)
    assert list(starts) == [sum(len(block) for block in blocks[:i]) for i in range(len(blocks))]


def test_pickled_store_is_small_and_reads_the_same(data):
    store = prepare(data.folder, data.paths, data.cache_folder)
    content = pickle.dumps(store)
    assert len(content) < 1000
    again = pickle.loads(content)
    assert again.paths == store.paths
    np.testing.assert_array_equal(again.read([3, 4])[0], store.read([3, 4])[0])


def test_store_of_many_clips_opens_fast_and_with_few_files(tmp_path):
    """23,000 rows, built from one tiny clip under many names."""
    soundfile.write(tmp_path / "a.wav", [0.1, 0.2], 16000)
    job = build.Job(tmp_path, [f"{number}.wav" for number in range(23000)], 16000, 0.0)
    folder = tmp_path / "cache"
    folder.mkdir()
    for number, clips in enumerate(job.shards()):
        count = len(clips)
        (folder / f"{number:04d}.i16").write_bytes(bytes(4 * count))
        entry = {"paths": clips, "lengths": [2] * count, "scales": [0.1] * count, "bad": {}, "crc32": 0}
        write_json(folder / f"{number:04d}.json", entry)
    write_index(folder, number + 1, sample_rate=16000)
    begin = time.perf_counter()
    store = WaveformStore(folder)
    assert time.perf_counter() - begin < 1.0
    assert len(store) == 23000 and number + 1 <= 256


def test_file_descriptors_are_closed_with_the_store(data):
    store = prepare(data.folder, data.paths, data.cache_folder)
    before = len(os.listdir("/proc/self/fd"))
    del store
    assert len(os.listdir("/proc/self/fd")) == before - 3


@pytest.mark.slow
def test_resident_memory_does_not_grow_while_reading(tmp_path):
    paths = write_clips(tmp_path, count=32, seconds=60)
    code = f"""
import re
from pathlib import Path
from mil_asc.store.build import prepare_waveforms
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1000
store = prepare_waveforms({str(tmp_path)!r}, {paths!r}, {str(tmp_path / "cache")!r}, progress=False)
assert store.nbytes > 60e6
store.read([0, 1])
before = resident()
for _ in range(3):
    for row in range(0, len(store), 2):
        store.read([row, row + 1])
print(resident() - before)
"""
    prepare(tmp_path, paths, tmp_path / "cache")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 15  # MB


def shorten(path):
    path.write_bytes(path.read_bytes()[:-2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("names", (["0001.i16"], ["index.json"], ["0001.json", "index.json"]))
@pytest.mark.parametrize("harm", (Path.unlink, shorten, empty))
def test_damaged_store_is_repaired(data, names, harm):
    store = prepare(data.folder, data.paths, data.cache_folder)
    expected = everything(store)
    before = times(store.folder)
    for name in names:
        harm(store.folder / name)
    again = prepare(data.folder, data.paths, data.cache_folder)
    np.testing.assert_array_equal(everything(again), expected)
    after = times(store.folder)
    assert after["0000.i16"] == before["0000.i16"] and after.keys() == before.keys()


@pytest.mark.parametrize("harm", (Path.unlink, shorten))
@pytest.mark.parametrize("name", ("0001.i16", "index.json"))
def test_damaged_store_is_not_opened(data, name, harm):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    harm(folder / name)
    with pytest.raises(StoreError) as caught:
        WaveformStore(folder)
    assert one_line(caught).startswith(str(folder))


def flip(path, share=0.5):
    """Change one bit; the size and the time of change stay."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[int(len(content) * share)] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("share", (0.0, 0.5, 0.999))
def test_changed_samples_are_found_at_the_first_read_and_decoded_again(data, share):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    expected = everything(WaveformStore(folder))
    flip(folder / "0001.i16", share)
    store = prepare(data.folder, data.paths, data.cache_folder)
    assert np.array_equal(store.read([0, 15])[0][0, :3200], expected[:3200])  # of a shard that is sound
    with pytest.raises(StoreError) as caught:
        store.read([0, 16])
    assert one_line(caught).startswith(f"{folder}/0001.i16: damaged (its checksum differs)")
    again = prepare(data.folder, data.paths, data.cache_folder)
    np.testing.assert_array_equal(everything(again), expected)


def test_changed_samples_are_found_when_a_store_is_copied_or_cut(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    for look in (lambda: list(WaveformStore(folder).blocks()), lambda: CutWaveforms(folder, 0.1).read([1])):
        prepare(data.folder, data.paths, data.cache_folder)
        flip(folder / "0000.i16")
        with pytest.raises(StoreError, match="0000.i16: damaged"):
            look()


def test_finished_shard_that_changed_is_decoded_again_when_a_build_goes_on(data):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    expected = everything(WaveformStore(folder))
    flip(folder / "0001.i16")
    (folder / "index.json").unlink()
    np.testing.assert_array_equal(everything(prepare(data.folder, data.paths, data.cache_folder)), expected)


@pytest.mark.parametrize("name", ("index.json", "0001.json"))
def test_changed_digit_in_a_description_is_found(data, name):
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    scales = WaveformStore(folder).scales
    text = (folder / name).read_text()
    digit = text.index(str(float(scales[20]))) + 3
    (folder / name).write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    if name == "index.json":
        with pytest.raises(StoreError, match="index.json is damaged"):
            WaveformStore(folder)
    (folder / "index.json").unlink()
    np.testing.assert_array_equal(prepare(data.folder, data.paths, data.cache_folder).scales, scales)


def test_a_shard_is_checked_once(data, monkeypatch):
    store, checked = prepare(data.folder, data.paths, data.cache_folder), []
    monkeypatch.setattr(read, "check_shard", lambda folder, number, *_: checked.append(number))
    for row in (0, 20, 1, 39, 21, 0):
        store.read_one(row)
    assert checked == [0, 1, 2]


def test_files_of_a_store_are_on_the_disk_before_they_get_their_names(data, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        events.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def note_name(old, new):
        events.append(("name", Path(new).name))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_name)
    folder = prepare(data.folder, data.paths, data.cache_folder).folder
    names = [f"000{number}.{kind}" for number in range(3) for kind in ("i16", "json")]
    files = [(event, name + (".tmp" if event == "sync" else "")) for name in names for event in ("sync", "name")]
    index = [("sync", folder.name), ("sync", "index.json.tmp"), ("name", "index.json"), ("sync", folder.name)]
    assert events == files + index
