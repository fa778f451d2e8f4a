"""The files of a waveform store: clips in a few shards, and an index of them all.

<cache folder>/<key>/0000.i16    the samples of some clips, one after another, int16
                     0000.json   their paths, lengths and scales, the checksum of the samples, and unusable files
                     ...
                     index.json  all of it; written last, when the store is complete
              <key>.lock         held by the process that prepares; its time is that of the last use

A process that reads a store has a shared lock on each file of samples.
"""

import contextlib
import fcntl
import json
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mil_asc.errors import UserError
from mil_asc.runtime.files import flush_to_disk

FORMAT_VERSION = 2  # part of a store's key
SAMPLE_BYTES = 2
INDEX = "index.json"
COLUMNS = ("paths", "lengths", "scales")
"""What the index and the description of a shard list for every clip, in the order of the samples."""


_JSON_START, _JSON_END = b'{"crc32": "%08x", "content": ', b"}"
CHECKED_BYTES = 4 * 2**20  # of a shard at once, which bounds the memory of a check


class StoreError(UserError):
    """A store is missing, unfinished or damaged; ``prepare_waveforms`` builds or repairs it."""


def samples_file(store: Path, number: int) -> Path:
    """Where the samples of shard ``number`` are."""
    return store / f"{number:04d}.i16"


def entry_file(store: Path, number: int) -> Path:
    """Where the description of shard ``number`` is."""
    return store / f"{number:04d}.json"


def lock_file(store: Path) -> Path:
    """The file that the process which prepares the store has locked, and that every use touches."""
    return store.with_name(store.name + ".lock")


def is_finished(store: Path, number: int) -> bool:
    """True where shard ``number`` has both its files, and the samples that its description says, by their checksum."""
    try:
        entry = read_json(entry_file(store, number))
        with open(samples_file(store, number), "rb") as file:
            is_whole = os.fstat(file.fileno()).st_size == sum(entry["lengths"]) * SAMPLE_BYTES
            return is_whole and checksum(iter(lambda: file.read(CHECKED_BYTES), b"")) == entry["crc32"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # absent, or not what was written
        return False


def checksum(blocks: Iterator[bytes | memoryview]) -> int:
    """CRC-32 of the blocks, one after another.

    Example
    -------
    >>> checksum(iter([b"1234", b"56789"])) == 0xCBF43926
    True
    """
    value = 0
    for block in blocks:
        value = zlib.crc32(block, value)
    return value


def write_index(store: Path, shard_count: int, **facts) -> None:
    """Join the descriptions of all shards into the index; ``facts`` are kept beside them.

    The shards are on the disk before the index is.
    """
    flush_to_disk(store)
    entries = [read_json(entry_file(store, number)) for number in range(shard_count)]
    index = {
        **facts,
        "shard_rows": [len(entry["paths"]) for entry in entries],
        "shard_crc32": [entry["crc32"] for entry in entries],
        "bad": {path: reason for entry in entries for path, reason in entry["bad"].items()},
    }
    for column in COLUMNS:
        index[column] = [value for entry in entries for value in entry[column]]
    write_json(store / INDEX, index)
    flush_to_disk(store)


def read_index(store: Path) -> dict:
    """The content of the index; a ``StoreError`` where it is missing or damaged."""
    try:
        index = read_json(store / INDEX)
        lengths = {len(index[column]) for column in COLUMNS}
        shards = len(index["shard_rows"]) == len(index["shard_crc32"])
        if not shards or lengths != {sum(index["shard_rows"])} or not {"bad", "sample_rate"} <= index.keys():
            raise ValueError("columns of different lengths")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"{store}: no finished waveform store") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store}: {INDEX} is damaged") from error
    return index


def map_shards(store: Path, sizes: np.ndarray) -> list[mmap.mmap | bytes]:
    """Each shard's samples mapped for reading (no bytes where it is empty), after a check of its size.

    A mapping keeps a shared lock on its file, which shows that it is in use, where the file system has locks.

    Arguments
    ---------
    store : Path
        The folder of the store.
    sizes : numpy.ndarray
        int, what each shard must hold (in bytes).
    """
    maps = []
    for number, size in enumerate(sizes.tolist()):
        path = samples_file(store, number)
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise StoreError(f"{path}: damaged, it should hold {size} bytes")
                with contextlib.suppress(OSError):  # no locks there: the lock matters only to who frees stores
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        except FileNotFoundError as error:
            raise StoreError(f"{path}: missing") from error
    return maps


def check_shard(store: Path, number: int, mapped: mmap.mmap | bytes, expected: int) -> None:
    """Compare the samples of a shard with their checksum; a damaged shard is removed, so that it is built again.

    Arguments
    ---------
    store : Path
        The folder of the store.
    number : int
        The shard.
    mapped : mmap.mmap or bytes
        Its samples, as ``map_shards`` returns them.
    expected : int
        CRC-32 of the samples.

    Raises
    ------
    StoreError
        The samples are not those that were written.
    """
    if checksum(_blocks(mapped)) != expected:
        path = samples_file(store, number)
        path.unlink(missing_ok=True)
        raise StoreError(f"{path}: damaged (its checksum differs), so it was removed: start again to decode its clips")


def _blocks(mapped: mmap.mmap | bytes) -> Iterator[memoryview]:
    """Views of a mapping, whose pages are given back one by one."""
    with memoryview(mapped) as whole:
        for start in range(0, len(whole), CHECKED_BYTES):
            with whole[start : start + CHECKED_BYTES] as block:
                yield block
            mapped.madvise(mmap.MADV_DONTNEED)


def read_json(path: Path) -> dict:
    """What ``write_json`` wrote; a ``ValueError`` where the content does not have its checksum."""
    text = path.read_bytes()
    file = json.loads(text)
    if zlib.crc32(text[len(_JSON_START % 0) : -len(_JSON_END)]) != int(file["crc32"], 16):
        raise ValueError(f"{path}: the checksum differs")
    return file["content"]


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file with the checksum of its content, atomically."""
    text = json.dumps(content).encode()
    with atomic_file(path) as file:
        file.write(_JSON_START % zlib.crc32(text) + text + _JSON_END)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets its name only once it is complete and on the disk; else nothing is left of it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
