"""The official archives of a development set: fetched, checked, unpacked.

``requests`` (which SpeechBrain brings along) with urllib3's ``Retry`` carries the transfer. Going on after a
break is ours: the packages that offer it need a newer Python, cannot go on with what an earlier start left,
or append the whole file to its beginning where a server ignores ``Range``.
"""

import contextlib
import errno
import hashlib
import json
import re
import shutil
import stat
import time
import zipfile
import zlib
from dataclasses import dataclass
from http.client import responses
from pathlib import Path, PurePosixPath

import requests
from filelock import FileLock, Timeout
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from mil_asc.corpora.official import read_datasets
from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically

ADDRESS = "https://zenodo.org/records/{record}/files/{name}?download=1"
RECORD = ".archives.json"
"""In the set's folder: which archives have been unpacked there."""

_LOCK, _STAGING = ".download.lock", ".unpacking"
_CONTENT = ("audio", "evaluation_setup")  # top folders of an archive that has no folder around everything
_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT = (30, 60)  # seconds: to connect, and between two pieces
_LONGEST_PAUSE = 120
_PIECE, _BLOCK = 2**16, 2**20  # bytes read at once from the network, and from the disk
_PROGRESS = 2**20  # a connection that brought fewer bytes than this counts as a failed try
_UNPACKED = 1.25  # unpacked bytes per archive byte, guessed on the safe side: 24-bit audio shrinks by 10 to 16 %
_BOMB = 200  # unpacked bytes per archive byte that no honest archive reaches: text lists stay below 30
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Archive:
    """One file of an official record. ``size`` in bytes; ``md5`` in hexadecimal digits."""

    suffix: str
    name: str
    url: str
    size: int
    md5: str

    @property
    def part(self):
        """What the archive is called in ``only``: its suffix without ``.zip``."""
        return self.suffix.removesuffix(".zip")


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
    bytes and checksum are right, the beginning of one (``.part``).

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
        Seconds to wait before a repetition; doubled each time, up to two minutes.
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
    with _disk_errors(folder), _only_process(folder), _open_session(tries, pause) as session:
        record = _read_record(target)
        todo = [archive for archive in chosen if record.get(archive.suffix) != archive.md5]
        _check_space(folder, todo, remove_archives)
        for archive in chosen:
            path = folder / archive.name
            if archive not in todo:
                announce(f"{archive.name}: unpacked before")
            else:
                if not _stands(path, archive, announce):
                    fetch(archive, path, session, tries, pause)
                count = unpack(path, target, f"{archive.part}, unpacking")
                record[archive.suffix] = archive.md5
                write_atomically(target / RECORD, json.dumps(record, indent=1) + "\n")
                announce(f"{archive.name}: {archive.size} bytes, checksum right, {count} files unpacked")
            if remove_archives:
                path.unlink(missing_ok=True)
        _check_complete(target, facts, archives, record, announce)
    return target


def fetch(archive, path, session, tries=6, pause=1.0):
    """Bring an archive to ``path``, from where an earlier start stopped, and check its bytes and checksum.

    Until both are right it is called ``path`` plus ``.part``. ``session`` is a ``requests.Session``; for
    ``tries`` and ``pause`` see ``download``. Raises ``UserError``: a refusal, repeated breaks, wrong bytes.
    """
    partial = path.with_name(path.name + ".part")
    have = _size(partial)
    if have > archive.size:
        partial.unlink()
        have = 0
    furthest, breaks = have, 0
    with _bar(f"{archive.part}, fetching", archive.size, have) as bar:
        while have < archive.size:
            reason = _receive(archive, partial, session, tries, bar)
            have = _size(partial)
            if have > archive.size:
                partial.unlink()
                raise UserError(
                    f"{archive.url} sends more than the official {archive.size} bytes: nothing of it is kept"
                )
            if have < archive.size:
                breaks = 1 if have >= furthest + _PROGRESS else breaks + 1
                furthest = max(furthest, have)
                if breaks > tries:
                    raise UserError(
                        f"the connection to {archive.url} broke off again and again ({reason}); {have} of "
                        f"{archive.size} bytes are kept in {partial}: the same command goes on from there"
                    )
                bar.set_postfix_str(f"broken off, try {breaks} of {tries}")
                time.sleep(min(pause * 2 ** (breaks - 1), _LONGEST_PAUSE))
    found = md5_of(partial, f"{archive.part}, checking")
    if found != archive.md5:
        partial.unlink()
        raise UserError(
            f"{archive.name} from {archive.url} has the MD5 checksum {found}, the official archive has "
            f"{archive.md5}: it was removed, and the same command fetches it again"
        )
    partial.replace(path)


def md5_of(path, label="checking"):
    """MD5 checksum of a file of any size, in hexadecimal digits; ``label`` names the progress bar."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, _bar(label, path.stat().st_size) as bar:
        while block := file.read(_BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def unpack(path, target, label="unpacking"):
    """Unpack a ``.zip`` into ``target``, less the one folder around all its content; returns the number of files.

    All names are looked at before anything is written, and files come to their places only after all of them
    have been unpacked. Raises ``UserError`` for an archive that is damaged, larger than the disk, or unsafe:
    a path out of ``target``, a link, a device, sizes that no honest archive has. An unsafe archive is removed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _check_members(archive, path)
            total = sum(info.file_size for info in members.values())
            target.mkdir(parents=True, exist_ok=True)
            staging = target / _STAGING
            _remove_tree(staging)  # of a process that was killed
            _check_free(target, total, f"what is in {path.name}")
            try:
                with _bar(label, total) as bar:
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
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be unpacked ({error}): remove it, and the same command fetches it again"
        ) from error
    return len(members)


class UnsafeArchive(UserError):
    """An archive that would write where it must not, or more than it may."""


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
        if error.errno in _DISK_FULL:
            raise UserError(
                f"the disk of {folder} is full; what has come is kept: make room, and the same command goes on"
            ) from error
        where = error.filename or folder
        raise UserError(f"{where} cannot be read or written: {error.strerror or error}; see --to {folder}") from error


@contextlib.contextmanager
def _only_process(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process is downloading into {folder}: wait for it or name another folder") from error
    try:
        yield
    finally:
        lock.release()


def _open_session(tries, pause):
    """A session that repeats a request by itself while the server is busy or out of reach."""
    retry = Retry(
        total=tries,
        backoff_factor=pause,
        backoff_max=_LONGEST_PAUSE,
        retry_after_max=_LONGEST_PAUSE,
        status_forcelist=_BUSY,
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # byte counts are those of the file
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _receive(archive, partial, session, tries, bar):
    """Write the rest of an archive, as much as comes in one answer; returns why no more came, or nothing."""
    with _ask(archive, _size(partial), session, tries) as response:
        start = _first_byte(archive, response, _size(partial))
        with open(partial, "r+b" if partial.exists() else "wb") as file:
            file.truncate(start)
            file.seek(start)
            bar.n = start
            try:
                for piece in response.iter_content(_PIECE):
                    file.write(piece)
                    bar.update(len(piece))
                    if file.tell() > archive.size:
                        break
            except requests.RequestException as error:
                return _reason(error)
    return "it ended too early"


def _ask(archive, have, session, tries):
    """The server's answer to the request for all bytes from ``have`` on; a refusal is a ``UserError``."""
    later = "the same command goes on from there"
    try:
        response = session.get(archive.url, headers=_range(have), stream=True, timeout=_TIMEOUT)
        if response.status_code == 416:  # some servers refuse any range
            response.close()
            response = session.get(archive.url, stream=True, timeout=_TIMEOUT)
    except requests.ConnectionError as error:
        raise UserError(
            f"no connection to {archive.url}, tried {tries + 1} times ({_reason(error)}): {later}"
        ) from error
    except requests.RequestException as error:
        raise UserError(f"{archive.url} cannot be fetched: {_reason(error)}") from error
    code = response.status_code
    if code in (200, 206):
        return response
    response.close()
    answer = f"{archive.url} answers {code} {responses.get(code, '')}".rstrip()
    if code in _BUSY:
        raise UserError(f"{answer}, tried {tries + 1} times; later on, {later}")
    raise UserError(f"{answer}; the address of a mirror can be given with --base_url")


def _range(have):
    return {"Range": f"bytes={have}-"} if have else {}


def _first_byte(archive, response, have):
    """Where in the archive the answer begins: 0 if the server ignores ranges."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) > have:
            raise UserError(f"{archive.url} answers with another piece of the file than was asked for")
        start, total = int(match[1]), match[2]
    if total not in (None, "*", str(archive.size)):
        raise UserError(f"{archive.url} has {total} bytes, the official archive has {archive.size}: it was not fetched")
    return start


def _reason(error):
    """The innermost cause of an error of ``requests``, in a few words."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = next((a for a in reversed(error.args) if isinstance(a, str)), "") or type(error).__name__
    return " ".join(text.split())


def _stands(path, archive, announce):
    """Whether the whole archive is at ``path``; another file of that name is put aside as ``.bad``."""
    if not path.exists():
        return False
    if _size(path) == archive.size and md5_of(path, f"{archive.part}, checking") == archive.md5:
        return True
    aside = path.with_name(path.name + ".bad")
    path.replace(aside)
    announce(f"{path} is not the official archive (bytes or checksum differ): renamed to {aside.name}")
    return False


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _bar(label, total, initial=0):
    return tqdm(
        desc=label,
        total=total,
        initial=initial,
        unit="B",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        disable=None,
    )


def _check_members(archive, path):
    """The files of an archive (place below the set's folder -> entry), after every safety check."""
    members = {}
    for info in archive.infolist():
        name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or any(c in name for c in "\\:\0"):
            raise UnsafeArchive(_refusal(path, f"the path {name!r} does not stay inside the data set's folder"))
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(_refusal(path, f"{name!r} is a link or a device"))
        if info.flag_bits & 1:
            raise UserError(f"{path} cannot be unpacked: {name!r} is encrypted")
        if not info.is_dir():
            if parts in members:
                raise UnsafeArchive(_refusal(path, f"{name!r} stands in it twice"))
            members[parts] = info
    total, most = sum(info.file_size for info in members.values()), _BOMB * path.stat().st_size
    if total > most:
        raise UnsafeArchive(_refusal(path, f"it would unpack to {total} bytes, over {_BOMB} times its own size"))
    tops = {parts[0] if len(parts) > 1 else None for parts in members}
    around = len(tops) == 1 and not tops & {None, *_CONTENT}
    return {PurePosixPath(*(parts[1:] if around else parts)): info for parts, info in members.items()}


def _refusal(path, why):
    return f"{path} is unsafe: {why}; nothing of it was unpacked, and it was removed"


def _unpack_file(archive, info, place, bar):
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, open(place, "wb") as file:
        while block := source.read(_BLOCK):
            file.write(block)
            bar.update(len(block))


def _remove_tree(folder):
    if folder.exists():
        shutil.rmtree(folder)


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
        max(0, archive.size - _size(folder / f"{archive.name}.part"))
        for archive in todo
        if _size(folder / archive.name) != archive.size
    ]
    archives = max(missing, default=0) if remove_archives else sum(missing)
    unpacked = round(_UNPACKED * sum(archive.size for archive in todo))
    hint = "" if remove_archives else " (less with --remove_archives)"
    _check_free(folder, archives + unpacked, f"the archives and what is in them{hint}")


def _check_free(folder, needed, what):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed for {what}"
        )


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
