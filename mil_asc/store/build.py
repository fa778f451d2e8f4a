"""Building a waveform store: every clip decoded once, in parallel, for any number of experiments to read."""

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
from tqdm import tqdm

from mil_asc.audio.decode import RESAMPLER, decode, read_duration
from mil_asc.audio.ffmpeg import ffmpeg_version, needs_ffmpeg
from mil_asc.audio.quantize import quantize
from mil_asc.corpora.remote_folder import RemoteFolder, as_folder
from mil_asc.errors import AudioError, UserError
from mil_asc.runtime.files import size_text
from mil_asc.store.read import WaveformStore
from mil_asc.store.shards import (
    FORMAT_VERSION,
    INDEX,
    SAMPLE_BYTES,
    StoreError,
    atomic_file,
    entry_file,
    is_finished,
    lock_file,
    samples_file,
    write_index,
    write_json,
)

MAX_SHARDS = 128  # each is an open file
MIN_CLIPS_IN_SHARD = 16
SIZED_FILES = 64  # headers read to estimate the size of the store
SIZED_OBJECTS = 4  # the same of objects, which are fetched for it
FFMPEG_BYTES_PER_SECOND = 16_000  # of a file that ffmpeg decodes: 128 kbit/s
NEEDED_SHARE = 0.9  # of the estimated size that must be free before the start
PERMANENT_ERRNOS = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
"""Errors that belong to the file; others (too many open files) are temporary, and must not be recorded."""
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


def prepare_waveforms(
    folder: str | os.PathLike,
    paths: Iterable[str | os.PathLike],
    cache_folder: str | os.PathLike,
    sample_rate: int = 16000,
    min_seconds: float = 0.0,
    workers: int | None = None,
    progress: bool = True,
) -> WaveformStore:
    """Decode the clips into a store below ``cache_folder``, or open the store that is there already.

    The store belongs to exactly these files (path, size, times of change), this rate, this shortest length
    and this decoder: a changed file makes a new store; the old one stays until ``tools/stores.py`` frees it.
    A killed run is continued by the next. Two processes may call this at once: one works, one waits.

    Arguments
    ---------
    folder : str, Path or RemoteFolder
        Where the audio is; a recording of a ``RemoteFolder`` is fetched when it is decoded, and not kept.
    paths : iterable of str or Path
        Files, relative to ``folder``, in any order; one named twice is kept once.
    cache_folder : str or Path
        Where stores are kept, one sub-folder each; may be shared by data sets and experiments; made when needed.
    sample_rate : int
        Rate of the stored samples (in Hz).
    min_seconds : float
        A shorter clip counts as a bad file.
    workers : int, optional
        Threads that decode; by default one per usable core.
    progress : bool
        Whether to show a bar on standard error.

    Returns
    -------
    WaveformStore
        Rows in the order of the sorted paths. A file that cannot be used (missing ones too) raises no error: it
        is listed in ``bad`` with the reason.

    Raises
    ------
    UserError
        No paths; the cache folder cannot be written; the disk is too small or becomes full (finished work is
        kept); a source file cannot be opened for a passing reason (too many open files) or not be fetched.

    Example
    -------
    >>> import tempfile, soundfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> soundfile.write(folder / "tone.wav", np.sin(np.arange(8000) * 0.1), 8000)
    >>> store = prepare_waveforms(folder, ["tone.wav", "lost.wav"], folder / "cache", progress=False)
    >>> store.paths, store.bad
    (['tone.wav'], {'lost.wav': 'no such file'})
    >>> store.read_one(store.row("tone.wav")).shape
    (16000,)
    """
    folder = as_folder(folder)
    clips = sorted({Path(path).as_posix() for path in paths})
    if not clips:
        raise UserError(f"{folder}: no audio files were named, so there is nothing to prepare")
    job = Job(folder, clips, sample_rate, min_seconds, Path(cache_folder))
    target = Path(cache_folder) / job.key()
    with _one_line_errors(Path(cache_folder), job):
        store = _open_if_complete(target)
        if store is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(target):
                target.mkdir(exist_ok=True)
                store = _open_if_complete(target) or _build(job, target, workers, progress)
    with contextlib.suppress(OSError):  # a store that may only be read has no last use
        lock_file(target).touch()
    return store


class Job(NamedTuple):
    """What a store is made from: ``clips`` are paths relative to ``folder``; rate in Hz; copies go to ``scratch``."""

    folder: Path | RemoteFolder
    clips: list[str]
    sample_rate: int
    min_seconds: float
    scratch: Path | None = None

    def key(self) -> str:
        """Name of the store: a hash over everything that its content depends on."""
        made_by = [FORMAT_VERSION, sys.byteorder, MAX_SHARDS, MIN_CLIPS_IN_SHARD, RESAMPLER]
        made_from = [self.sample_rate, float(self.min_seconds), str(self.folder)]
        if any(map(needs_ffmpeg, self.clips)):
            made_by.append(ffmpeg_version())
        files = [(clip, *_fingerprint(self.folder, clip)) for clip in self.clips]
        text = json.dumps([made_by, made_from, files])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def shards(self) -> list[list[str]]:
        """The clips of each shard."""
        count = max(MIN_CLIPS_IN_SHARD, math.ceil(len(self.clips) / MAX_SHARDS))
        return [self.clips[start : start + count] for start in range(0, len(self.clips), count)]

    def bytes_needed(self, clips: list[str]) -> int:
        """Estimate for these clips, from the headers of a few of them."""
        most = SIZED_OBJECTS if isinstance(self.folder, RemoteFolder) else SIZED_FILES
        few = clips[:: math.ceil(len(clips) / most)]
        seconds = sum(map(self._seconds, few)) / len(few)
        return int(seconds * len(clips) * self.sample_rate) * SAMPLE_BYTES

    def decode(self, clip: str) -> tuple[np.ndarray, float] | str:
        """The clip as int16 and scale, or why it cannot be used."""
        if isinstance(self.folder, RemoteFolder) and clip not in self.folder.objects:
            return "no such file"
        name = os.path.join(self.folder, clip)
        try:
            with self._local(clip) as path:
                return quantize(decode(path, self.sample_rate, self.min_seconds, name))
        except AudioError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno not in PERMANENT_ERRNOS:
                raise
            return error.args[0].removeprefix(f"{name}: ")

    def _local(self, clip: str) -> AbstractContextManager[str]:
        """The path of a clip, or of a copy of it."""
        if isinstance(self.folder, RemoteFolder):
            return self.folder.fetched(clip, self.scratch)
        return contextlib.nullcontext(os.path.join(self.folder, clip))

    def _seconds(self, clip: str) -> float:
        """Estimate of the length, by the header, or by the size where there is none to read."""
        try:
            with self._local(clip) as path:
                if needs_ffmpeg(clip):
                    return os.stat(path).st_size / FFMPEG_BYTES_PER_SECOND
                return read_duration(path)
        except (AudioError, OSError, ValueError):
            return 0.0


def _fingerprint(folder: Path | RemoteFolder, clip: str) -> tuple:
    """Size and version of an object; of a file size, times of change of the content and of the entry (in ns), readable.

    It is the same for all missing files.

    An archive gives clips of one length the same size and time of change: when two of them change places, only the
    entries change.
    """
    if isinstance(folder, RemoteFolder):
        return tuple(folder.objects.get(clip, (-1, "")))
    path = os.path.join(folder, clip)
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return -1, -1, -1, False
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, os.access(path, os.R_OK)


def _build(job: Job, target: Path, workers: int | None, progress: bool) -> WaveformStore:
    """Decode what no finished shard holds yet, then write the index."""
    (target / INDEX).unlink(missing_ok=True)
    for leftover in target.glob("*.tmp"):
        leftover.unlink()
    shards = job.shards()
    missing = [number for number in range(len(shards)) if not is_finished(target, number)]
    todo = [clip for number in missing for clip in shards[number]]
    if todo:
        _check_space(job, target, todo)
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
                _write_shard(target, number, shards[number], decoded, bar)
    facts = {"folder": str(job.folder), "sample_rate": job.sample_rate, "min_seconds": job.min_seconds}
    write_index(target, len(shards), **facts)
    return WaveformStore(target)


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


def _write_shard(target: Path, number: int, clips: list[str], decoded: Iterator, bar: tqdm) -> None:
    """The samples first, then their description: a shard counts as finished when it has both."""
    entry = {"paths": [], "lengths": [], "scales": [], "bad": {}, "crc32": 0}
    with atomic_file(samples_file(target, number)) as file:
        for clip in clips:
            result = next(decoded)
            if isinstance(result, str):
                entry["bad"][clip] = result
            else:
                wav_N, scale = result
                file.write(wav_N)
                entry["crc32"] = zlib.crc32(wav_N, entry["crc32"])
                entry["paths"].append(clip)
                entry["lengths"].append(len(wav_N))
                entry["scales"].append(scale)
            bar.update()
    write_json(entry_file(target, number), entry)


def _open_if_complete(target: Path) -> WaveformStore | None:
    try:
        return WaveformStore(target)
    except StoreError as error:
        logger.debug("%s", error)
        return None


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    lock = filelock.FileLock(lock_file(target))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.warning("another process is preparing the waveforms in %s: waiting for it", target)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _check_space(job: Job, target: Path, clips: list[str]) -> None:
    needed, free = job.bytes_needed(clips), shutil.disk_usage(target).free
    if needed * NEEDED_SHARE > free:
        raise UserError(
            f"{target.parent}: the waveforms need about {size_text(needed)} more, {size_text(free)} are free; "
            "make room or choose another cache folder"
        )


@contextlib.contextmanager
def _one_line_errors(cache_folder: Path, job: Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(_explain(error, cache_folder, job)) from error


def _explain(error: OSError, cache_folder: Path, job: Job) -> str:
    if error.errno in DISK_FULL_ERRNOS:
        needed = size_text(job.bytes_needed(job.clips))
        return (
            f"{cache_folder}: {error.strerror}: the waveforms need about {needed} in all; "
            "finished work is kept: make room and start again, it continues"
        )
    return f"{cache_folder}: cannot keep waveforms there: {error.strerror or error}"
