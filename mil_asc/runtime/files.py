"""Atomic writes: a killed process leaves no half-written files."""

import os
from pathlib import Path


def flush_to_disk(path):
    """Wait until the file or folder at ``path`` is written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path, data):
    """Write bytes or text; at any time ``path`` has either its old content or the complete new content."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    data = data.encode() if isinstance(data, str) else data
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
