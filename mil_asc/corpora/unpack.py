"""One archive unpacked, after a look at all it contains; nothing of it can be written outside the set's folder."""

import errno
import lzma
import shutil
import stat
import zipfile
import zlib
from pathlib import PurePosixPath

from mil_asc.corpora.progress import byte_bar
from mil_asc.errors import UserError

STAGING = ".unpacking"
CONTENT_FOLDERS = ("audio", "evaluation_setup")  # top folders of an archive that has no folder around everything
BLOCK_BYTES = 2**20  # written at once
LONGEST_NAME, DEEPEST_NAME = 1000, 32  # bytes and levels of a path that honest archives stay far below
DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, UnicodeDecodeError)
"""What ``zipfile`` raises for archives that are damaged, beside ``OSError``: see ``_is_damage``."""
BOMB_RATIO = 200  # unpacked bytes per archive byte that no honest archive reaches: text lists stay below 30


class UnsafeArchive(UserError):
    """An archive that would write where it must not, or more than it may."""


def unpack(path, target, label="unpacking"):
    """Unpack a ``.zip`` into a folder, without the one folder around all its content.

    All names are checked before anything is written, and files are moved to their places only after all of them
    have been unpacked.

    Arguments
    ---------
    path : Path
        The archive; an unsafe one is removed.
    target : Path
        The set's folder; made if it is missing.
    label : str
        What the progress bar says.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    UserError
        The archive is damaged or larger than the disk.
    UnsafeArchive
        A path out of ``target``, a link, a device, sizes that no honest archive has.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _check_members(archive, path)
            total = sum(info.file_size for info in members.values())
            target.mkdir(parents=True, exist_ok=True)
            staging = target / STAGING
            _remove_tree(staging)  # of a process that was killed
            check_free(target, total, f"what is in {path.name}")
            try:
                with byte_bar(label, total) as bar:
                    for place, info in members.items():
                        _unpack_file(archive, info, staging / place, bar)
                for place in members:
                    (target / place).parent.mkdir(parents=True, exist_ok=True)
                    (staging / place).replace(target / place)
            finally:
                _remove_tree(staging)
    except UnsafeArchive:
        path.unlink()
        raise
    except (*DAMAGES, OSError) as error:
        if isinstance(error, OSError) and not _is_damage(error):
            raise
        raise UserError(
            f"{path} cannot be unpacked ({error}): remove it, and the same command fetches it again"
        ) from error
    return len(members)


def _check_members(archive, path):
    """The files of an archive (place below the set's folder -> entry), after every safety check."""
    members = {}
    for info in archive.infolist():
        name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or any(c in name for c in "\\:\0"):
            raise UnsafeArchive(_refusal(path, f"the path {name!r} does not stay inside the data set's folder"))
        if len(name.encode(errors="replace")) > LONGEST_NAME or len(parts) > DEEPEST_NAME:
            raise UnsafeArchive(_refusal(path, f"the path {name[:60]!r}... is too long or too deep"))
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(_refusal(path, f"{name!r} is a link or a device"))
        if info.flag_bits & 1:
            raise UserError(f"{path} cannot be unpacked: {name!r} is encrypted")
        if not info.is_dir():
            if parts in members:
                raise UnsafeArchive(_refusal(path, f"{name!r} is in it twice"))
            members[parts] = info
    _check_no_file_is_a_folder(members, path)
    total, most = sum(info.file_size for info in members.values()), BOMB_RATIO * path.stat().st_size
    if total > most:
        raise UnsafeArchive(_refusal(path, f"it would unpack to {total} bytes, over {BOMB_RATIO} times its own size"))
    tops = {parts[0] if len(parts) > 1 else None for parts in members}
    around = len(tops) == 1 and not tops & {None, *CONTENT_FOLDERS}
    return {PurePosixPath(*(parts[1:] if around else parts)): info for parts, info in members.items()}


def _check_no_file_is_a_folder(members, path):
    for parts in members:
        for level in range(1, len(parts)):
            if parts[:level] in members:
                raise UnsafeArchive(_refusal(path, f"{'/'.join(parts[:level])!r} is a file and a folder"))


def _is_damage(error):
    """Whether an ``OSError`` comes from the content: bzip2's has no number, a seek to nowhere is invalid."""
    return error.errno in (None, errno.EINVAL) and error.filename is None


def _refusal(path, why):
    return f"{path} is unsafe: {why}; nothing of it was unpacked, and it was removed"


def _unpack_file(archive, info, place, bar):
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, open(place, "wb") as file:
        while block := source.read(BLOCK_BYTES):
            file.write(block)
            bar.update(len(block))


def _remove_tree(folder):
    if folder.exists():
        shutil.rmtree(folder)


def check_free(folder, needed, what):
    """Raise a ``UserError`` unless the disk of ``folder`` has ``needed`` bytes free for ``what``."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed for {what}"
        )
