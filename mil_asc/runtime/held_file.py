"""Bytes as a file that has a path and is gone with the process, even a killed one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held_file(data: bytes) -> Iterator[Path]:
    """The path of a file with these bytes, for as long as the block lasts; other processes of the user may open it.

    On Linux it lies in memory and under no name, so nothing stays however the process ends. Elsewhere it is a temporary
    file, which a killed process leaves behind.

    Example
    -------
    >>> with held_file(b"a scene") as path:
    ...     path.read_bytes()
    b'a scene'
    """
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("recording"), "wb") as file:
            file.write(data)
            file.flush()
            yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(data)
        yield path
