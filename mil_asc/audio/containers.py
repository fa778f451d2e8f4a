"""Header checks of WAV, AIFF and Ogg files: is the file complete?

libsndfile shortens a truncated file of these formats without an error, so their headers are compared with the
size of the file. (It reports a truncated FLAC or MP3 file itself.)
"""

import os
from typing import BinaryIO

_UNKNOWN_LENGTH_BYTES = 0x7FFFF000  # a WAV file written into a pipe states this length or more
_OGG_PAGE_BYTES = 65536  # no Ogg page is longer
_OGG_PAGE_HEADER_BYTES = 27
_OGG_LAST_PAGE = 4  # flag in a page's header


class UnusableAudio(Exception):
    """Why the samples of an open file cannot be used, without the name of the file."""


def check_container(file: BinaryIO) -> None:
    """Raise ``UnusableAudio`` where a WAV, AIFF or Ogg file is empty or truncated; other formats pass.

    Arguments
    ---------
    file : BinaryIO
        The open file, at its start; it is left at any position.
    """
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UnusableAudio("empty (0 bytes)")
    magic = file.read(4)
    if magic in (b"RIFF", b"RIFX", b"RF64"):
        _check_wav(file, size, "big" if magic == b"RIFX" else "little")
    elif magic == b"FORM":
        _check_length(int.from_bytes(file.read(4), "big"), size - 8)
    elif magic == b"OggS":
        _check_ogg(file, size)


def _check_wav(file: BinaryIO, size: int, order: str) -> None:
    """The data chunk must not state more bytes than follow it."""
    long_length = 0  # RF64: the length of the data chunk is in the ds64 chunk
    position = 12
    while position + 8 <= size:
        file.seek(position)
        chunk = file.read(24)
        name, length = chunk[:4], int.from_bytes(chunk[4:8], order)
        if name == b"ds64":
            long_length = int.from_bytes(chunk[16:24], "little")
        if name == b"data":
            stated = long_length or (length if length < _UNKNOWN_LENGTH_BYTES else 0)
            _check_length(stated, size - position - 8)
            return
        position += 8 + length + length % 2
    raise UnusableAudio("truncated: the file ends before its samples")


def _check_length(stated: int, found: int) -> None:
    if stated > found:
        raise UnusableAudio(f"truncated: the header states {stated} bytes, the file has {found}")


def _check_ogg(file: BinaryIO, size: int) -> None:
    """The last page must be complete and be marked as the last."""
    file.seek(max(0, size - _OGG_PAGE_BYTES))
    tail = file.read(_OGG_PAGE_BYTES)
    start = tail.rfind(b"OggS")
    page = tail[start:] if start >= 0 else b""
    if len(page) < _OGG_PAGE_HEADER_BYTES or not page[5] & _OGG_LAST_PAGE or len(page) < _ogg_page_length(page):
        raise UnusableAudio("truncated: the Ogg stream has no end")


def _ogg_page_length(page: bytes) -> int:
    segments = page[26]
    return _OGG_PAGE_HEADER_BYTES + segments + sum(page[_OGG_PAGE_HEADER_BYTES : _OGG_PAGE_HEADER_BYTES + segments])
