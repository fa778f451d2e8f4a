"""Atomic writes: a killed process leaves no half-written files."""

import os
import re
import socket
import time
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
