"""SHA-256 checksums of a folder's files, in the form that ``sha256sum --check`` reads."""

import hashlib
import re
from pathlib import Path

from mil_asc.runtime.files import write_atomically

BLOCK_BYTES = 1 << 20


def checksum(path):
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_checksums(path, names):
    """Write to ``path`` the checksums of the files called ``names`` in the same folder."""
    path = Path(path)
    write_atomically(path, "".join(f"{checksum(path.parent / name)}  {name}\n" for name in sorted(names)))


def find_damage(path, names, others=True):
    """What is wrong with the files that the checksums at ``path`` name, in a few words; None if nothing.

    ``names`` are files that must be among them; without ``others`` there may be no more. A name is that of a file in
    the same folder: one with a path is wrong, and nothing outside of the folder is read.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a").write_text("one")
    >>> write_checksums(folder / "sums", ["a"])
    >>> _ = (folder / "a").write_text("two")
    >>> find_damage(folder / "sums", ["a"])
    'a does not match its checksum in sums'
    """
    path = Path(path)
    if not path.is_file():
        return f"{path.name} is missing"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    sums = {found[2]: found[1] for line in lines if (found := re.fullmatch(r"([0-9a-f]{64})  (.+)", line))}
    for name in sorted({*names, *sums}):
        if Path(name).name != name or not (others or name in names):
            return f"{path.name} names {name!r:.80}"
        if not (path.parent / name).is_file():
            return f"{name} is missing"
        if name not in sums:
            return f"{path.name} has no checksum of {name}"
        if checksum(path.parent / name) != sums[name]:
            return f"{name} does not match its checksum in {path.name}"
    return None
