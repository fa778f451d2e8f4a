"""Atomic writes: a killed process leaves no half-written files or folders."""

import os
import re
import shutil
import socket
import time
from contextlib import contextmanager
from pathlib import Path

STALE_SECONDS = 24 * 3600
"""A partial file of another computer is left over for certain when nothing was written to it for so long."""


def size_text(count):
    """A number of bytes as a person reads it.

    Example
    -------
    >>> size_text(1530000), size_text(12)
    ('1.5 MB', '12 bytes')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:.1f} TB"


def flush_to_disk(path):
    """Wait until the file or folder at ``path`` is written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path, data):
    """Write bytes or text; at any time ``path`` has either its old content or the complete new content.

    The data is first written to ``.NAME.COMPUTER.PROCESS.partial`` beside it. Such files of this name that killed
    processes left are removed.
    """
    path = Path(path)
    _remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial")
    data = data.encode() if isinstance(data, str) else data
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _remove_leftovers(path):
    """Partial files for ``path`` whose process on this computer has ended, or that are older than ``STALE_SECONDS``."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(.+)\.(\d+)\.partial")
    for name in os.listdir(path.parent):
        found = pattern.fullmatch(name)
        if found:
            has_ended = found[1] == socket.gethostname() and not _is_running(int(found[2]))
            leftover = path.with_name(name)
            if has_ended or _age(leftover) > STALE_SECONDS:
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _age(path):
    """Seconds since the file was written to; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


@contextmanager
def complete_folder(path):
    """A new folder that appears at ``path`` when the block ends without an error; otherwise nothing changes.

    The block gets the folder ``.NAME.COMPUTER.PROCESS.partial`` beside it to fill. A folder that is at ``path`` is
    replaced. Partial folders that killed processes left are removed.

    Example
    -------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "new"
    >>> with complete_folder(place) as partial:
    ...     _ = (partial / "a").write_text("one")
    >>> sorted(path.name for path in place.iterdir())
    ['a']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(path)
    _remove_leftovers(path)
    place = f".{path.name}.{socket.gethostname()}.{os.getpid()}"
    partial, old = path.with_name(f"{place}.partial"), path.with_name(f"{place}.old.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            flush_to_disk(file)
        flush_to_disk(partial)
        if path.is_dir() and any(path.iterdir()):
            os.replace(path, old)
        os.replace(partial, path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old.is_dir() and not path.exists():
            os.replace(old, path)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def set_aside(path):
    """Folders that ``complete_folder`` was replacing at ``path`` when a process was killed, the newest first.

    Between two renames there is nothing at ``path``: the old folder is called ``.NAME.COMPUTER.PROCESS.old.partial``
    then. Those of another process of this computer that runs are left out.
    """
    path = Path(path)
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(.+)\.(\d+)\.old\.partial")
    try:
        found = [(one, pattern.fullmatch(one.name)) for one in path.parent.iterdir()]
    except OSError:
        return []
    left = [one for one, match in found if match and one.is_dir() and not _is_in_use(match[1], int(match[2]))]
    return sorted(left, key=_seconds_aside)


def recover_folder(path):
    """Put a folder back that a killed process had set aside, if there is nothing at ``path``; otherwise remove it.

    Where something is at ``path``, the replacement was complete. Folders of another computer stay for a day.
    """
    path = Path(path)
    for old in set_aside(path):
        if f".{socket.gethostname()}." not in old.name and _seconds_aside(old) <= STALE_SECONDS:
            continue
        if path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, path)


def _is_in_use(computer, process):
    return computer == socket.gethostname() and process != os.getpid() and _is_running(process)


def _seconds_aside(path):
    """Seconds since a folder was renamed."""
    return time.time() - path.stat().st_ctime
