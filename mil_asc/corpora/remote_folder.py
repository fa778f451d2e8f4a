"""A data folder at a URL: which objects it holds, and copies of them, one at a time."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.runtime.remote_files import ObjectMissing, fetched, has_version, object_url


class RemoteFolder(os.PathLike):
    """Stands where a corpus has the ``Path`` of its data folder; as text it is its URL.

    Arguments
    ---------
    url : str
        Of the folder.
    objects : mapping
        Path of every object below the folder -> its size (in bytes, None where not known) and its version.
    record : str
        Where this list is kept, for messages.
    listed : str
        When it was made; the version of an object that has none of its own.
    """

    def __init__(
        self, url: str, objects: Mapping[str, tuple[int | None, str]] | None = None, record: str = "", listed: str = ""
    ):
        self.url, self.objects, self.record, self.listed = url.rstrip("/"), objects or {}, record, listed

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return self.url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFolder) and (self.url, self.objects) == (other.url, other.objects)

    def __hash__(self) -> int:
        return hash(self.url)

    def url_of(self, name: str) -> str:
        """The URL of an object."""
        return object_url(self.url, name)

    @contextlib.contextmanager
    def fetched(self, name: str, scratch: str | os.PathLike) -> Iterator[str]:
        """The path of a copy of an object, which is gone afterwards and takes its room in the folder ``scratch``.

        Raises
        ------
        UserError
            The object cannot be fetched, or is not the one that was listed.
        """
        try:
            stated, version = self.objects[name]
            with fetched(self.url_of(name), scratch) as path:
                size = os.stat(path).st_size
                if stated is not None and size != stated:
                    raise ObjectMissing(f"{self.url_of(name)}: {size} bytes, {stated} were listed")
                if version != self.listed and not has_version(self.url_of(name), version):
                    raise ObjectMissing(f"{self.url_of(name)}: it was replaced since it was listed")
                yield path
        except ObjectMissing as error:
            raise UserError(f"{error}; the folder has changed: remove {self.record} to list it anew") from error


def as_folder(folder: str | os.PathLike) -> Path | RemoteFolder:
    """The data folder of a corpus as it is used: a ``RemoteFolder``, or an absolute path without links."""
    return folder if isinstance(folder, RemoteFolder) else Path(folder).resolve()


def place_of(folder: str | os.PathLike) -> str:
    """What identifies a data folder in records: its URL, or its absolute path."""
    return folder.url if isinstance(folder, RemoteFolder) else os.path.abspath(folder)


def place_of_clip(folder: str | os.PathLike, path: str) -> str:
    """What identifies the recording at ``path`` below a data folder: its URL, or its absolute path without links."""
    if isinstance(folder, RemoteFolder):
        return folder.url_of(path)
    return os.path.realpath(os.path.join(folder, path))
