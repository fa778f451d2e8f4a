"""Which waveform stores there are, when they were last used, and how to free those that are not in use."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import filelock

from mil_asc.errors import UserError
from mil_asc.store.shards import INDEX, StoreError, lock_file, read_index

_STORE_NAME = re.compile(r"[0-9a-f]{20}")
_STORE_FILE = re.compile(r"(\d{4}\.(i16|json)|index\.json)(\.tmp)?")


class StoredWaveforms(NamedTuple):
    """A waveform store on the disk.

    ``folder``: where it is; ``nbytes``: size of its files; ``clips``: number of usable clips, None where it is
    unfinished, damaged or of another version; ``source``: data folder it was made from, or None as for ``clips``;
    ``last_use``: when a run last opened or built it (in seconds since 1970).
    """

    folder: Path
    nbytes: int
    clips: int | None
    source: str | None
    last_use: float


def list_stores(folder: str | os.PathLike) -> list[StoredWaveforms]:
    """The stores in a cache folder, or the store that ``folder`` itself is; the one used last comes last.

    A folder that holds anything but files of a store is not listed.

    Raises
    ------
    UserError
        There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a cache folder, such as recipes/AnyFolder/results/waveforms")
    found = [_describe(each) for each in [folder, *folder.iterdir()] if _is_store(each)]
    return sorted(found, key=lambda store: (store.last_use, store.folder))


def is_in_use(store: Path) -> bool:
    """True where a process prepares the store at this folder, or has it open, or where that cannot be known."""
    try:
        with _exclusively(store):
            return False
    except OSError:
        return True


def free_store(store: Path) -> None:
    """Delete the store at this folder; its empty lock file stays.

    Raises
    ------
    UserError
        It is in use, or may not be deleted.
    """
    try:
        with _exclusively(store):
            shutil.rmtree(store)
    except BlockingIOError as error:
        raise UserError(f"{store}: in use, not deleted") from error
    except OSError as error:
        raise UserError(f"{store}: cannot be deleted: {error.strerror or error}") from error


def _is_store(folder: Path) -> bool:
    if not _STORE_NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return all(_STORE_FILE.fullmatch(name) for name in os.listdir(folder))


def _describe(folder: Path) -> StoredWaveforms:
    try:
        index = read_index(folder)
        clips, source = len(index["paths"]), index["folder"]
    except StoreError:
        clips, source = None, None
    lock = lock_file(folder)
    last_use = (lock if lock.exists() else folder).stat().st_mtime
    return StoredWaveforms(folder, sum(path.stat().st_size for path in folder.iterdir()), clips, source, last_use)


@contextlib.contextmanager
def _exclusively(store: Path) -> Iterator[None]:
    """No other process prepares the store or has it open meanwhile; a ``BlockingIOError`` where one does."""
    with contextlib.ExitStack() as held:
        lock = filelock.FileLock(lock_file(store))
        try:
            held.enter_context(lock.acquire(timeout=0))
        except filelock.Timeout as error:
            raise BlockingIOError from error
        for path in [*store.glob("*.i16"), *store.glob(INDEX)]:
            file = held.enter_context(open(path, "rb+"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
