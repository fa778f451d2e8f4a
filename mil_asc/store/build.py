"""Every clip decoded once, in parallel, into int16 files that any number of experiments read.

    <cache folder>/<key>/0000.i16    the samples of some clips, one after another, int16
                         0000.json   their paths, lengths and scales, and the files that cannot be used
                         ...
                         index.json  all of it; there only when the store is complete
                  <key>.lock         held by the process that prepares

Shapes: B batch (rows of the store), N samples.
"""

import contextlib
import errno
import hashlib
import json
import logging
import math
import mmap
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import filelock
import numpy as np
import soundfile
from tqdm import tqdm

from mil_asc.audio.decode import RESAMPLER, decode
from mil_asc.audio.quantize import dequantize, quantize
from mil_asc.errors import AudioError, UserError

FORMAT_VERSION = 1

_MAX_SHARDS = 128  # each is an open file
_MAPPED_BYTES = 8 * 2**20  # copied out before the mappings give their pages back
_MIN_CLIPS_IN_SHARD = 16
_SIZED_FILES = 64  # headers read to estimate the size of the store
_PLAINLY = 0.9  # share of the estimate that must fit before the start
_SAMPLE_BYTES = 2
_INDEX = "index.json"
_LASTING = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


class StoreError(UserError):
    """A store is missing, unfinished or damaged; `prepare_waveforms` builds or mends it."""


def prepare_waveforms(
    folder: str | os.PathLike,
    paths: Iterable[str | os.PathLike],
    cache_folder: str | os.PathLike,
    sample_rate: int = 16000,
    min_seconds: float = 0.0,
    workers: int | None = None,
    progress: bool = True,
) -> "WaveformCache":
    """Decode the clips into a store below `cache_folder`, or open the store that is there already.

    The store belongs to exactly these files (path, size, time of change), this rate, this shortest length
    and this decoder: a changed file makes a new store; the old one stays and may be deleted by hand.
    A killed run is continued by the next. Two processes may call this at once: one works, one waits.

    Parameters
    ----------
    folder : where the audio is.
    paths : files, relative to `folder`, in any order; one named twice is kept once.
    cache_folder : may be shared by data sets and experiments; made when needed.
    sample_rate : in Hz.
    min_seconds : a shorter clip counts as a bad file.
    workers : threads that decode (default: the usable cores).
    progress : show a bar on stderr.

    Returns
    -------
    WaveformCache, rows in the order of the sorted paths. A file that cannot be used (missing ones too)
    does not raise: it stands in `.bad` with the reason.

    Raises
    ------
    UserError : no paths; the cache folder cannot be written; the disk is too small or becomes full
        (finished work is kept); a source file cannot be opened for a passing reason (too many open files).

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> soundfile.write(folder / "tone.wav", np.sin(np.arange(8000) * 0.1), 8000)
    >>> cache = prepare_waveforms(folder, ["tone.wav", "lost.wav"], folder / "cache", progress=False)
    >>> cache.paths, cache.bad
    (['tone.wav'], {'lost.wav': 'no such file'})
    >>> cache.read_one(cache.row("tone.wav")).shape
    (16000,)
    """
    folder = Path(folder).resolve()
    clips = sorted({Path(path).as_posix() for path in paths})
    if not clips:
        raise UserError(f"{folder}: no audio files were named, so there is nothing to prepare")
    job = _Job(folder, clips, sample_rate, min_seconds)
    store = Path(cache_folder) / job.key()
    with _one_line_errors(Path(cache_folder), job):
        cache = _open_if_complete(store)
        if cache is None:
            store.mkdir(parents=True, exist_ok=True)
            with _locked(store):
                cache = _open_if_complete(store) or _build(job, store, workers, progress)
    return cache


class WaveformCache:
    """A finished store, opened for reading. Cheap to open, may be pickled and read in several processes.

    The samples are mapped into memory and copied out batch by batch. The mapping gives its pages back
    now and then, so resident memory stays bounded; the system's page cache keeps what has been read.

    Parameters
    ----------
    store : the folder that `prepare_waveforms` made.

    Attributes
    ----------
    paths : list of str, the usable files, sorted; row r of the store is paths[r].
    bad : dict, path -> why it cannot be used.
    rows : dict, path -> row.
    sample_rate : int, in Hz.
    lengths : int64 (rows,), samples of each clip, at least 1.
    scales : float32 (rows,), so that int16 * scale is the waveform.

    Raises
    ------
    StoreError : the store is missing, unfinished or damaged.
    """

    def __init__(self, store: str | os.PathLike):
        """Read the index and open every shard, after a check of its size."""
        self.store = Path(store)
        index = _read_index(self.store)
        self.paths: list[str] = index["paths"]
        self.bad: dict[str, str] = index["bad"]
        self.rows = {path: row for row, path in enumerate(self.paths)}
        self.sample_rate: int = index["sample_rate"]
        self.lengths = np.array(index["lengths"], dtype=np.int64)
        self.scales = np.array(index["scales"], dtype=np.float32)
        self._offsets = np.cumsum(self.lengths) - self.lengths
        self._shard_rows = np.array(index["shard_rows"], dtype=np.int64)
        self._shards = np.repeat(np.arange(len(self._shard_rows)), self._shard_rows)
        shard_samples = _sums(self.lengths, self._shard_rows)
        self._shard_starts = np.cumsum(shard_samples) - shard_samples
        self._maps = _map_shards(self.store, shard_samples * _SAMPLE_BYTES)
        self._samples = [np.frombuffer(mapped, dtype=np.int16) for mapped in self._maps]
        self._touched = 0

    def __len__(self) -> int:
        """Number of usable clips."""
        return len(self.paths)

    def __reduce__(self):
        """Pickled as the name of its folder, and opened again on the other side."""
        return WaveformCache, (self.store,)

    @property
    def nbytes(self) -> int:
        """Bytes of all samples together."""
        return int(self.lengths.sum()) * _SAMPLE_BYTES

    def row(self, path: str | os.PathLike) -> int:
        """The row of a file; KeyError with the reason when it is bad or was never asked for."""
        path = Path(path).as_posix()
        if path not in self.rows:
            raise KeyError(f"{path}: {self.bad.get(path, 'not in this store')}")
        return self.rows[path]

    def read(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A batch of at least one row.

        Returns
        -------
        wav_BN : int16, N = the longest of the batch. A shorter clip goes on by repeating itself from its
            start, so that its padding has its own statistics: mask it by `length_B`.
        scale_B : float32; `wav_BN * scale_B[:, None]` is the waveform.
        length_B : int64, the samples that are the clip's own.
        """
        rows = np.asarray(rows, dtype=np.int64)
        length_B = self.lengths[rows]
        wav_BN = np.empty((len(rows), length_B.max()), dtype=np.int16)
        for wav_N, row, length in zip(wav_BN, rows.tolist(), length_B.tolist(), strict=True):
            self._read_samples(row, wav_N[:length])
            _repeat(wav_N, length)
        return wav_BN, self.scales[rows], length_B

    def read_one(self, row: int) -> np.ndarray:
        """One clip as float32 (N,), its own length, full scale 1."""
        wav_N = np.empty(self.lengths[row], dtype=np.int16)
        self._read_samples(row, wav_N)
        return dequantize(wav_N, self.scales[row])

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All samples of the store, row after row, in blocks that fit into memory: (first sample, int16 block)."""
        for start, samples in zip(self._shard_starts.tolist(), self._samples, strict=True):
            block = np.empty(len(samples), dtype=np.int16)
            self._fill(samples, block, 0)
            yield start, block

    def _read_samples(self, row: int, wav_N: np.ndarray) -> None:
        shard = self._shards[row]
        start = int(self._offsets[row] - self._shard_starts[shard])
        self._fill(self._samples[shard], wav_N, start)

    def _fill(self, mapped: np.ndarray, wav_N: np.ndarray, start: int) -> None:
        """Copy out of a mapping, which gives its pages back when many have been touched."""
        wav_N[:] = mapped[start : start + len(wav_N)]
        self._touched += wav_N.nbytes
        if self._touched > _MAPPED_BYTES:
            self._touched = 0
            for memory in filter(None, self._maps):
                memory.madvise(mmap.MADV_DONTNEED)


class _Job(NamedTuple):
    """What a store is made from."""

    folder: Path
    clips: list[str]
    sample_rate: int
    min_seconds: float

    def key(self) -> str:
        """Name of the store: a hash over all that its content depends on."""
        made_by = [FORMAT_VERSION, sys.byteorder, _MAX_SHARDS, _MIN_CLIPS_IN_SHARD, RESAMPLER]
        made_from = [self.sample_rate, float(self.min_seconds), str(self.folder)]
        files = [(clip, *_fingerprint(os.path.join(self.folder, clip))) for clip in self.clips]
        text = json.dumps([made_by, made_from, files])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def shards(self) -> list[list[str]]:
        """The clips of each shard."""
        count = max(_MIN_CLIPS_IN_SHARD, math.ceil(len(self.clips) / _MAX_SHARDS))
        return [self.clips[start : start + count] for start in range(0, len(self.clips), count)]

    def bytes_needed(self, clips: list[str]) -> int:
        """Estimate for these clips, from the headers of a few of them."""
        few = clips[:: math.ceil(len(clips) / _SIZED_FILES)]
        seconds = sum(_seconds(self.folder / clip) for clip in few) / len(few)
        return int(seconds * len(clips) * self.sample_rate) * _SAMPLE_BYTES

    def decode(self, clip: str) -> tuple[np.ndarray, float] | str:
        """The clip as int16 and scale, or why it cannot be used."""
        path = str(self.folder / clip)
        try:
            return quantize(decode(path, self.sample_rate, self.min_seconds))
        except AudioError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno not in _LASTING:
                raise  # the machine's fault, not the file's: it must not be written down
            return str(error).removeprefix(f"{path}: ")


def _fingerprint(path: str) -> tuple[int, int, bool]:
    """Size, time of change (ns), readable; it is the same for all files that are not there."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1, False
    return status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)


def _seconds(path: Path) -> float:
    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError:
        return 0.0


# --- building ---


def _build(job: _Job, store: Path, workers: int | None, progress: bool) -> WaveformCache:
    """Decode what no finished shard holds yet, then write the index."""
    (store / _INDEX).unlink(missing_ok=True)
    for leftover in store.glob("*.tmp"):
        leftover.unlink()
    shards = job.shards()
    missing = [number for number in range(len(shards)) if not _is_finished(store, number)]
    todo = [clip for number in missing for clip in shards[number]]
    if todo:
        _check_space(job, store, todo)
    with tqdm(
        total=len(job.clips),
        initial=len(job.clips) - len(todo),
        desc="Decoding",
        unit="clip",
        mininterval=0.5,
        disable=not progress,
    ) as bar:
        decoded = _in_parallel(job.decode, todo, workers or len(os.sched_getaffinity(0)))
        with contextlib.closing(decoded):
            for number in missing:
                _write_shard(store, number, shards[number], decoded, bar)
    _write_index(job, store, len(shards))
    return WaveformCache(store)


def _in_parallel(work: Callable, items: list, workers: int) -> Iterator:
    """Results in order, from threads (libsndfile and soxr release the lock), a few items ahead."""
    ahead = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_shard(store: Path, number: int, clips: list[str], decoded: Iterator, bar: tqdm) -> None:
    """The samples first, then their description: a shard counts as finished when it has both."""
    entry = {"paths": [], "lengths": [], "scales": [], "bad": {}}
    with _appearing(_samples_file(store, number)) as file:
        for clip in clips:
            result = next(decoded)
            if isinstance(result, str):
                entry["bad"][clip] = result
            else:
                _append(entry, clip, *result, file)
            bar.update()
    _write_json(_entry_file(store, number), entry)


def _append(entry: dict, clip: str, wav_N: np.ndarray, scale: float, file: BinaryIO) -> None:
    file.write(wav_N)
    entry["paths"].append(clip)
    entry["lengths"].append(len(wav_N))
    entry["scales"].append(scale)


def _write_index(job: _Job, store: Path, shard_count: int) -> None:
    entries = [_read_json(_entry_file(store, number)) for number in range(shard_count)]
    index = {
        "folder": str(job.folder),
        "sample_rate": job.sample_rate,
        "min_seconds": job.min_seconds,
        "shard_rows": [len(entry["paths"]) for entry in entries],
        "bad": {path: reason for entry in entries for path, reason in entry["bad"].items()},
    }
    for column in ("paths", "lengths", "scales"):
        index[column] = [value for entry in entries for value in entry[column]]
    _write_json(store / _INDEX, index)


def _check_space(job: _Job, store: Path, clips: list[str]) -> None:
    needed, free = job.bytes_needed(clips), shutil.disk_usage(store).free
    if needed * _PLAINLY > free:
        raise UserError(
            f"{store.parent}: the waveforms need about {_size(needed)} more, {_size(free)} are free; "
            "make room or choose another cache folder"
        )


# --- files of a store ---


def _samples_file(store: Path, number: int) -> Path:
    return store / f"{number:04d}.i16"


def _entry_file(store: Path, number: int) -> Path:
    return store / f"{number:04d}.json"


def _is_finished(store: Path, number: int) -> bool:
    try:
        entry = _read_json(_entry_file(store, number))
        return _samples_file(store, number).stat().st_size == sum(entry["lengths"]) * _SAMPLE_BYTES
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # absent, or not what was written
        return False


def _read_index(store: Path) -> dict:
    try:
        index = _read_json(store / _INDEX)
        columns = {len(index[column]) for column in ("paths", "lengths", "scales")}
        if columns != {sum(index["shard_rows"])} or not {"bad", "sample_rate"} <= index.keys():
            raise ValueError("columns of different lengths")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"{store}: no finished store of waveforms") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store}: {_INDEX} is damaged") from error
    return index


def _map_shards(store: Path, sizes: np.ndarray) -> list[mmap.mmap | bytes]:
    """Each shard's file mapped for reading (no bytes where it is empty), after a check of its size."""
    maps = []
    for number, size in enumerate(sizes.tolist()):
        path = _samples_file(store, number)
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise StoreError(f"{path}: damaged, it should hold {size} bytes")
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        except FileNotFoundError as error:
            raise StoreError(f"{path}: missing") from error
    return maps


def _open_if_complete(store: Path) -> WaveformCache | None:
    try:
        return WaveformCache(store)
    except StoreError as error:
        logger.debug("%s", error)
        return None


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: dict) -> None:
    with _appearing(path) as file:
        file.write(json.dumps(content).encode())


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name only once it is complete; nothing is left of it otherwise."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(store: Path) -> Iterator[None]:
    lock = filelock.FileLock(store.with_name(store.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.warning("another process is preparing the waveforms in %s: waiting for it", store)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _one_line_errors(cache_folder: Path, job: _Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(_explain(error, cache_folder, job)) from error


def _explain(error: OSError, cache_folder: Path, job: _Job) -> str:
    if error.errno in _DISK_FULL:
        needed = _size(job.bytes_needed(job.clips))
        return (
            f"{cache_folder}: {error.strerror}: the waveforms need about {needed} in all; "
            "finished work is kept: make room and start again, it continues"
        )
    return f"{cache_folder}: cannot keep waveforms there: {error.strerror or error}"


# --- arrays ---


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over consecutive groups of `counts` values; a group may be empty."""
    totals = np.concatenate([[0], np.cumsum(values)])
    ends = np.cumsum(counts)
    return totals[ends] - totals[ends - counts]


def _repeat(wav_N: np.ndarray, length: int) -> None:
    """Continue the first `length` samples periodically to the end, in place."""
    while length < len(wav_N):
        count = min(length, len(wav_N) - length)
        wav_N[length : length + count] = wav_N[:count]
        length += count


def _size(count: float) -> str:
    """
    >>> _size(1530000)
    '1.5 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:.1f} TB"
