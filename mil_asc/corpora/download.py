"""The official archives of a development set: fetched, checked, unpacked."""

import contextlib
import errno
import json
from pathlib import Path

from filelock import FileLock, Timeout

from mil_asc.corpora.official import read_datasets
from mil_asc.corpora.transfer import Archive, fetch, is_official, open_session, size_of
from mil_asc.corpora.unpack import check_free, unpack
from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically

ADDRESS = "https://zenodo.org/records/{record}/files/{name}?download=1"
RECORD = ".archives.json"
"""In the set's folder: which archives have been unpacked there."""
LOCK = ".download.lock"
UNPACKED_SHARE = 1.25  # unpacked bytes per archive byte, a safe guess: 24-bit audio shrinks by 10 to 16 %
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


def download(
    name,
    folder,
    datasets=None,
    only=None,
    base_url=None,
    remove_archives=False,
    tries=6,
    pause=1.0,
    announce=lambda line: None,
):
    """Fetch the archives of a set into ``folder``, check them and unpack them into a folder of their own there.

    What is there already is neither fetched nor unpacked again: an archive that has been unpacked, one whose
    bytes and checksum are correct, the beginning of one (``.part``).

    Arguments
    ---------
    name : str
        Name of the set, in any case.
    folder : str or Path
        Where the archives and the set's folder go; made if it is missing.
    datasets : dict, optional
        Known sets in the form of ``mil_asc/corpora/official.yaml``, which is the default.
    only : sequence of str, optional
        Archives to take: ``doc``, ``meta``, ``audio`` for all audio, ``audio.1``, ...; default all.
    base_url : str, optional
        Address of a mirror, below which the archives lie under their official names.
    remove_archives : bool
        Remove each archive as soon as it has been unpacked.
    tries : int
        How often a request is repeated when a server is busy or a connection breaks off.
    pause : float
        Time to wait before a repetition (in seconds); doubled each time, up to two minutes.
    announce : callable
        Called with a line of text for every step that is done.

    Returns
    -------
    Path
        The set's folder, with ``meta.csv``, ``evaluation_setup/`` and ``audio/``.

    Raises
    ------
    UserError
        An unknown set or archive; no answer, a refusal or repeated breaks; wrong bytes; an archive that
        cannot be unpacked or would write outside the folder; a disk that is too small; a folder that cannot
        be written or into which another process is downloading.
    """
    facts = _find_set(name, read_datasets() if datasets is None else datasets)
    archives = _list_archives(facts, base_url)
    chosen = _select(archives, only)
    folder = Path(folder)
    target = folder / facts["archive_prefix"]
    with _disk_errors(folder), _only_process(folder, target), open_session(tries, pause) as session:
        record = _read_record(target)
        todo = [archive for archive in chosen if record.get(archive.suffix) != archive.md5]
        _check_space(folder, todo, remove_archives)
        for archive in chosen:
            path = folder / archive.name
            if archive not in todo:
                announce(f"{archive.name}: unpacked before")
            else:
                if not is_official(path, archive, announce):
                    fetch(archive, path, session, tries, pause)
                count = unpack(path, target, f"{archive.part}, unpacking")
                record[archive.suffix] = archive.md5
                write_atomically(target / RECORD, json.dumps(record, indent=1) + "\n")
                announce(f"{archive.name}: {archive.size} bytes, checksum correct, {count} files unpacked")
            if remove_archives:
                path.unlink(missing_ok=True)
        _check_complete(target, facts, archives, record, announce)
    return target


def _find_set(name, datasets):
    if name.lower() not in datasets:
        raise UserError(f"no set is called {name!r}; there are {', '.join(datasets)} (upper or lower case)")
    return datasets[name.lower()]


def _list_archives(facts, base_url):
    archives = []
    for suffix, (size, md5) in facts["archives"].items():
        name = f"{facts['archive_prefix']}.{suffix}"
        url = ADDRESS.format(record=facts["zenodo_record"], name=name)
        url = f"{base_url.rstrip('/')}/{name}" if base_url else url
        archives.append(Archive(suffix, name, url, size, md5))
    return archives


def _select(archives, only):
    """The archives named in ``only``, in their official order; ``audio`` means all audio."""
    if only is None:
        return archives
    parts = {archive.part for archive in archives} | {archive.part.partition(".")[0] for archive in archives}
    unknown = [part for part in only if part not in parts]
    if unknown or not only:
        legal = ", ".join(dict.fromkeys(archive.part for archive in archives))
        raise UserError(f"the set has no archive {(unknown or [''])[0]!r}; there are {legal}, and audio for all audio")
    return [archive for archive in archives if {archive.part, archive.part.partition(".")[0]} & set(only)]


@contextlib.contextmanager
def _disk_errors(folder):
    """Errors of the file system become one line."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise UserError(
                f"the disk of {folder} is full; downloaded parts are kept: make room, and run the same command again"
            ) from error
        where = error.filename or folder
        raise UserError(f"{where} cannot be read or written: {error.strerror or error}; see --to {folder}") from error


@contextlib.contextmanager
def _only_process(folder, target):
    """Hold the lock of ``folder``, which is made; folders that are still empty after a failure are removed again."""
    made = [path for path in (target, folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process is downloading into {folder}: wait for it or name another folder") from error
    try:
        yield
    except BaseException:
        _remove_empty(folder, made)
        raise
    finally:
        lock.release()


def _remove_empty(folder, made):
    """Remove those of ``made``, the inner ones first, that hold nothing; the lock in ``folder`` is nothing."""
    for path in made:
        if path == folder and [inner.name for inner in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _read_record(target):
    """Suffix -> MD5 of the archives that were unpacked into ``target``."""
    path = target / RECORD
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: remove it, and the archives are unpacked again") from error
    if not isinstance(record, dict):
        raise UserError(f"{path} is damaged: remove it, and the archives are unpacked again")
    return record


def _check_space(folder, todo, remove_archives):
    """Room for what is still to be fetched, and a guess of what it unpacks to."""
    missing = [
        max(0, archive.size - size_of(folder / f"{archive.name}.part"))
        for archive in todo
        if size_of(folder / archive.name) != archive.size
    ]
    archives = max(missing, default=0) if remove_archives else sum(missing)
    unpacked = round(UNPACKED_SHARE * sum(archive.size for archive in todo))
    hint = "" if remove_archives else " (less with --remove_archives)"
    check_free(folder, archives + unpacked, f"the archives and what is in them{hint}")


def _check_complete(target, facts, archives, record, announce):
    """With all archives unpacked, the set must have its official number of recordings."""
    missing = [archive.part for archive in archives if record.get(archive.suffix) != archive.md5]
    if missing:
        announce(f"{target} is not complete; not there yet: {', '.join(missing)}")
        return
    found = sum(1 for _ in (target / "audio").rglob("*.wav"))
    if found != facts["files"]:
        raise UserError(
            f"{target / 'audio'} holds {found} recordings, the official set has {facts['files']}: "
            f"remove {target / RECORD}, and the same command unpacks the archives again"
        )
    announce(f"{found} recordings, as in the official set")
