"""Files at a URL such as ``s3://bucket/a.wav``, through fsspec, which is imported only when a URL is used.

Addresses and credentials are those that the file system of the scheme finds: environment variables and files of the
user. No copy is left behind, however the process ends, because a copy never has a name (Linux).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from mil_asc.errors import UserError

INSTALL = 'pip install -e ".[remote]"'
VERSIONS = ("etag", "generation", "mtime", "lastmodified", "updated", "created")
"""What file systems call that which changes with the content of an object, in any spelling; the first counts."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(r"[^/]*:(?!\d+(/|$)).*@")  # not the port of a host
_SHORTENED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_REASON_CHARACTERS = 200  # of what a file system says, in a message
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


class ObjectMissing(UserError):
    """There is nothing at a URL."""


class RemoteObject(NamedTuple):
    """An object below a URL: its path from there, its size (in bytes) and its version; None where not known."""

    name: str
    size: int | None
    version: str | None


def is_url(path: Any) -> bool:
    """Whether a path is the URL of a folder or an object.

    Example
    -------
    >>> is_url("s3://bucket/a"), is_url("data/a"), is_url("")
    (True, False, False)
    """
    return isinstance(path, str) and _URL.match(path) is not None


def refuse_url(option: str, path: str | os.PathLike) -> None:
    """A ``UserError`` if what must be a local path is a URL, also one in which ``Path`` has joined the slashes."""
    text = os.fspath(path)
    if _SHORTENED.match(text) and not os.path.exists(text):
        given = text if is_url(text) else text.replace(":/", "://", 1)
        raise UserError(f"{option} {given}: a URL does not work here, give a local folder")


def refuse_one_slash(path: str) -> None:
    """A ``UserError`` if a path that is not there would be a URL with another slash."""
    if _SHORTENED.match(path) and not is_url(path) and not os.path.exists(path):
        raise UserError(f"{path}: no such file or folder; did you mean {path.replace(':/', '://', 1)}?")


def absolute(path: str) -> str:
    """What identifies a path: a URL without a slash at its end, or an absolute path.

    Example
    -------
    >>> absolute("s3://bucket/a/"), absolute("/data/a/")
    ('s3://bucket/a', '/data/a')
    """
    return path.rstrip("/") if is_url(path) else os.path.abspath(path)


def object_url(folder: str, name: str) -> str:
    """The URL of an object by its name below a folder, as ``objects_below`` gives it.

    Example
    -------
    >>> object_url("s3://bucket/a", "b c.wav"), object_url("https://host/a", "b c.wav")
    ('s3://bucket/a/b c.wav', 'https://host/a/b%20c.wav')
    """
    return f"{folder}/{quote(name) if _has_links(folder) else name}"


def check_url(url: str) -> None:
    """A ``UserError`` unless there is a file system for this URL; nothing is sent."""
    _open(url)


def objects_below(url: str) -> Iterator[RemoteObject]:
    """The objects below a folder, those of a folder before those of its sub-folders, sorted.

    One folder's names are held at a time. Links to folders (``file://``) are not followed. Of a URL that is an object
    itself nothing is returned.

    Raises
    ------
    UserError
        There is nothing, it cannot be read, a package is missing, or the name of an object has an empty part or ``..``.
    """
    url = url.rstrip("/")
    system, root = _open(url)
    yield from _below(system, root.rstrip("/"), "", url)


def is_object(url: str) -> bool:
    """Whether there is an object at exactly this URL."""
    system, path = _open(url)
    with _one_line_errors(url):
        return bool(system.isfile(path))


def has_version(url: str, version: str) -> bool:
    """Whether an object still has the version that ``objects_below`` gave; true where it does not state that any more.

    A file system may state more of one object than of those in a listing, so only what the listing stated counts.
    """
    system, path = _open(url)
    system.invalidate_cache()
    with _one_line_errors(url):
        now = _versions(system.info(path))
    kind = version.partition(" ")[0]
    return now.get(kind, version) == version


@contextlib.contextmanager
def fetched(url: str, folder: str | os.PathLike | None = None) -> Iterator[str]:
    """The path of a copy of an object, which is gone afterwards.

    Arguments
    ---------
    url : str
        The object.
    folder : str or Path, optional
        Where the copy takes its room; by default the folder of temporary files.

    Raises
    ------
    UserError
        The object cannot be read, or there is no room for the copy; ``ObjectMissing`` if there is none.
    """
    system, path = _open(url)
    try:
        file = tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise UserError(f"{url}: there is no folder for a copy: set TMPDIR ({error.strerror})") from error
    with file:
        copy = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        with _one_line_errors(url, os.fspath(folder or tempfile.gettempdir())):
            system.get_file(path, copy)
        yield copy


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    found = _URL.match(url)
    if found is None or "::" in url:
        raise UserError(f"{url} is no URL such as s3://bucket/folder")
    if _SECRET.match(url[found.end() :]) or (_has_links(url) and "@" in url[found.end() :].partition("/")[0]):
        raise UserError(
            f"{url[: found.end()]}...: a name or password before an @ would stand in results: give them as the file "
            "system's settings"
        )
    if _has_links(url) and "?" in url:
        raise UserError(f"{url.partition('?')[0]}?...: what follows the ? would stand in results: leave it out")
    try:
        import fsspec
    except ImportError as error:
        raise UserError(f"{url}: URLs need fsspec: {INSTALL}") from error
    try:
        fsspec.get_filesystem_class(found[1])
    except ImportError as error:
        raise UserError(f"{url}: {_reason(error)}; for s3:// {INSTALL}") from error
    except ValueError as error:
        raise UserError(f"{url}: fsspec knows no {found[1]}://, but s3, gs, https, file and more") from error
    for name in ("aiobotocore", "botocore"):  # they announce where credentials come from
        logging.getLogger(name).setLevel(logging.WARNING)
    with _one_line_errors(url):
        system, path = fsspec.core.url_to_fs(url)
    return system, path


def _below(system: Any, folder: str, above: str, url: str) -> Iterator[RemoteObject]:
    files: list[RemoteObject] = []
    folders: list[str] = []
    system.invalidate_cache()  # listings would fill the memory, and hide what has changed
    with _one_line_errors(f"{url}/{above}".rstrip("/")):
        entries = system.ls(folder, detail=True)
    for entry in entries:
        is_folder = entry.get("type") == "directory"
        name = _name_in(folder, entry["name"], is_folder)
        if name is None:
            continue
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise UserError(f"{url}/{above}{name}: the name of an object must not have empty parts, '.' or '..'")
        if is_folder:
            folders.append(name)
        else:
            files.append(RemoteObject(above + name, _size(entry), _version(entry)))
    del entries
    yield from sorted(files)
    for name in sorted(folders):
        yield from _below(system, object_url(folder, name), f"{above}{name}/", url)


def _name_in(folder: str, full: str, is_folder: bool) -> str | None:
    """The name of an entry in its folder; None for the folder's own entry, which stores without folders have."""
    if _has_links(folder):  # a page may link anything: what is directly below it counts
        name = full.removeprefix(f"{folder}/").removesuffix("/")
        is_below = full.startswith(f"{folder}/") and not set("/?#") & set(name) and name not in ("", ".", "..")
        return unquote(name) if is_below else None
    if full.rstrip("/") == folder and not (is_folder and full.endswith("/")):
        return None
    name = full.removeprefix(f"{folder}/")
    return name.removesuffix("/") if is_folder else name


def _has_links(url: str) -> bool:
    """Whether names in listings are those of links, in which some characters are spelt out."""
    return url.lower().startswith(("http://", "https://"))


def _size(entry: dict) -> int | None:
    return None if entry.get("size") is None else int(entry["size"])


def _version(entry: dict) -> str | None:
    found = _versions(entry)
    return next((found[kind] for kind in VERSIONS if kind in found), None)


def _versions(entry: dict) -> dict[str, str]:
    """Each kind of version that an entry states -> that kind and its value; times as seconds."""
    found = {}
    for key, value in entry.items():
        kind = key.lower().replace("_", "")
        if kind in VERSIONS and value:
            found[kind] = f"{kind} {value.timestamp() if isinstance(value, datetime.datetime) else value}"
    return found


@contextlib.contextmanager
def _one_line_errors(url: str, room: str = "") -> Iterator[None]:
    """Turn whatever a file system raises into a ``UserError`` that names the URL; ``room`` is where a copy goes."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(f"{url}: there is no such object, folder or bucket") from error
    except Exception as error:  # every file system has errors of its own, which are no OSError
        if isinstance(error, OSError) and error.errno in _DISK_FULL_ERRNOS:
            raise UserError(f"{room}: no room for a copy of {url}: {error.strerror}") from error
        raise UserError(f"{url}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text[:_REASON_CHARACTERS] or type(error).__name__
