"""The files of a waveform store: clips in a few shards, and an index of them all.

<cache folder>/<key>/0000.i16    the samples of some clips, one after another, int16
                     0000.json   their paths, lengths and scales, and the files that cannot be used
                     ...
                     index.json  all of it; written last, when the store is complete
              <key>.lock         held by the process that prepares
"""

import contextlib
import json
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mil_asc.errors import UserError

FORMAT_VERSION = 1  # part of a store's key
SAMPLE_BYTES = 2
INDEX = "index.json"
COLUMNS = ("paths", "lengths", "scales")
"""What the index and the description of a shard list for every clip, in the order of the samples."""


class StoreError(UserError):
    """A store is missing, unfinished or damaged; ``prepare_waveforms`` builds or repairs it."""


def samples_file(store: Path, number: int) -> Path:
    """Where the samples of shard ``number`` are."""
    return store / f"{number:04d}.i16"


def entry_file(store: Path, number: int) -> Path:
    """Where the description of shard ``number`` is."""
    return store / f"{number:04d}.json"


def is_finished(store: Path, number: int) -> bool:
    """True where shard ``number`` has both its files, and as many samples as its description says."""
    try:
        entry = read_json(entry_file(store, number))
        return samples_file(store, number).stat().st_size == sum(entry["lengths"]) * SAMPLE_BYTES
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # absent, or not what was written
        return False


def write_index(store: Path, shard_count: int, **facts) -> None:
    """Join the descriptions of all shards into the index; ``facts`` are kept beside them."""
    entries = [read_json(entry_file(store, number)) for number in range(shard_count)]
    index = {
        **facts,
        "shard_rows": [len(entry["paths"]) for entry in entries],
        "bad": {path: reason for entry in entries for path, reason in entry["bad"].items()},
    }
    for column in COLUMNS:
        index[column] = [value for entry in entries for value in entry[column]]
    write_json(store / INDEX, index)


def read_index(store: Path) -> dict:
    """The content of the index; a ``StoreError`` where it is missing or damaged."""
    try:
        index = read_json(store / INDEX)
        lengths = {len(index[column]) for column in COLUMNS}
        if lengths != {sum(index["shard_rows"])} or not {"bad", "sample_rate"} <= index.keys():
            raise ValueError("columns of different lengths")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(f"{store}: no finished waveform store") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{store}: {INDEX} is damaged") from error
    return index


def map_shards(store: Path, sizes: np.ndarray) -> list[mmap.mmap | bytes]:
    """Each shard's samples mapped for reading (no bytes where it is empty), after a check of its size.

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
                maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        except FileNotFoundError as error:
            raise StoreError(f"{path}: missing") from error
    return maps


def read_json(path: Path) -> dict:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file atomically."""
    with atomic_file(path) as file:
        file.write(json.dumps(content).encode())


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets its name only once it is complete; nothing is left of it otherwise."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
