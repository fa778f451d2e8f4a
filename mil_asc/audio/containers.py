"""Header checks: does an audio file hold all the bytes that its header states?

libsndfile shortens most truncated files without an error, so headers are compared with the size of the file. A WAV file
that goes on after the samples that its header states would be read in part, and is refused too. libsndfile reports
truncated FLAC, ALAC (CAF) and SDS files itself, and MP3 files that state their length (Xing header).

Not determinable, because nothing in the file states its length: MP3 without a Xing header, raw AAC, and PAF, PVF, IRCAM
and XI files. Of PAF, PVF and IRCAM files it is checked that they do not end within a frame. A WAV, AU, W64 or CAF
file written into a pipe states that its length is unknown, and passes.
"""

import os
import re
from collections.abc import Callable
from typing import BinaryIO

from mil_asc.audio.fixed_headers import HEADER_BYTES, Extent, read_extent

_UNKNOWN_WAV_BYTES = 0x7FFFF000  # a WAV file written into a pipe states this length or more
_CHUNK_NAME = re.compile(rb"[ -~]{4}")
_MOST_SURPLUS_BYTES = 65536  # after the last chunk of a WAV file: programs add a few hundred
_UNKNOWN_BYTES = 2**63 - 2**32  # W64 and CAF: the largest length, less what a header may add to it
_OGG_PAGE_BYTES = 65536  # no Ogg page is longer
_OGG_PAGE_HEADER_BYTES = 27
_OGG_LAST_PAGE = 4  # flag in a page's header
_W64_CHUNK_HEADER_BYTES = 24
_VOC_SOUND_BLOCKS = (1, 9)
_MAT5_SURPLUS_BYTES = 8
_MOST_CHUNKS = 500_000  # a day of fragmented MP4 has a fifth of that; walking through them takes about a second
_EBML_SEGMENT = bytes.fromhex("18538067")


class UnusableAudio(Exception):
    """Why the samples of an open file cannot be used, without the name of the file."""


class Undecodable(UnusableAudio):
    """No decoder that the ending of its name asks for takes the file."""


class TooLong(UnusableAudio):
    """The recording is longer than is allowed."""


class UnusableSamples(UnusableAudio):
    """The file can be read, but its samples cannot be judged: too few, silent, not finite or absurdly large."""


def check_container(file: BinaryIO) -> None:
    """Raise ``UnusableAudio`` where a file is empty or truncated; formats that state no length pass.

    Arguments
    ---------
    file : BinaryIO
        The open file, at its start; it is left at any position.
    """
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UnusableAudio("empty (0 bytes)")
    head = file.read(HEADER_BYTES)
    for magic, check in _CHECKS.items():
        if head.startswith(magic):
            check(file, size)
            return
    if head[4:8] == b"ftyp":
        _check_mp4(file, size)
        return
    extent = read_extent(head)
    if extent is not None:
        _check_extent(extent, size)


class _Chunks:
    """Counts the chunks of a file: one of zeros would be walked through in steps of a few bytes."""

    def __init__(self):
        self.number = 0

    def count(self) -> None:
        """One more; ``UnusableAudio`` beyond the limit."""
        self.number += 1
        if self.number > _MOST_CHUNKS:
            raise UnusableAudio(f"corrupt: more than {_MOST_CHUNKS} chunks")


def _check_length(stated: int, found: int) -> None:
    if stated > found:
        raise UnusableAudio(f"truncated: the header states {stated} bytes, the file has {max(found, 0)}")


def _check_extent(extent: Extent, size: int) -> None:
    """All stated bytes are there; where none are stated, the file ends with a complete frame."""
    found = size - extent.start
    if extent.stated is not None:
        _check_length(extent.stated, found)
    elif found % extent.frame_bytes:
        raise UnusableAudio(f"truncated: the file ends within a frame of {extent.frame_bytes} bytes")


def _no_samples() -> UnusableAudio:
    return UnusableAudio("truncated: the file ends before its samples")


def _check_wav(file: BinaryIO, size: int) -> None:
    """The data chunk must not state more bytes than follow it, nor less than the samples."""
    file.seek(0)
    order = "big" if file.read(4) == b"RIFX" else "little"
    long_length = 0  # RF64: the length of the data chunk is in the ds64 chunk
    position = 12
    chunks = _Chunks()
    while position + 8 <= size:
        chunks.count()
        file.seek(position)
        chunk = file.read(24)
        name, length = chunk[:4], int.from_bytes(chunk[4:8], order)
        if name == b"ds64":
            long_length = int.from_bytes(chunk[16:24], "little")
        if name == b"data":
            stated = long_length or (length if length < _UNKNOWN_WAV_BYTES else 0)
            _check_length(stated, size - position - 8)
            if stated:
                _check_rest(file, position + 8 + stated + stated % 2, size, order, chunks)
            return
        position += 8 + length + length % 2
    raise _no_samples()


def _check_rest(file: BinaryIO, position: int, size: int, order: str, chunks: _Chunks) -> None:
    """What follows the samples must be chunks or zeros: a recorder that stops without an end leaves an old length."""
    while position + 8 <= size:
        chunks.count()
        file.seek(position)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], order)
        if not _CHUNK_NAME.fullmatch(chunk[:4]) or position + 8 + length > size:
            break
        position += 8 + length + length % 2
    file.seek(min(position, size))
    if size - position > _MOST_SURPLUS_BYTES and any(file.read(_MOST_SURPLUS_BYTES)):
        raise UnusableAudio(
            f"corrupt: {size - position} bytes after the samples that the header states, which may be samples too"
        )


def _check_w64(file: BinaryIO, size: int) -> None:
    """As WAV, but names have 16 bytes, lengths 8 and count the header of the chunk, and chunks start at 8 bytes."""
    position = 40
    chunks = _Chunks()
    while position + _W64_CHUNK_HEADER_BYTES <= size:
        chunks.count()
        file.seek(position)
        chunk = file.read(_W64_CHUNK_HEADER_BYTES)
        length = int.from_bytes(chunk[16:24], "little")
        if chunk.startswith(b"data"):
            stated = length - _W64_CHUNK_HEADER_BYTES if length < _UNKNOWN_BYTES else 0
            _check_length(stated, size - position - _W64_CHUNK_HEADER_BYTES)
            return
        if length < _W64_CHUNK_HEADER_BYTES:
            raise UnusableAudio("corrupt: a chunk shorter than its header")
        position += -(-length // 8) * 8
    raise _no_samples()


def _check_caf(file: BinaryIO, size: int) -> None:
    """No chunk may state more bytes than follow it; the data chunk may be of unknown length, as the last one."""
    position, found = 8, False
    chunks = _Chunks()
    while position + 12 <= size:
        chunks.count()
        file.seek(position)
        chunk = file.read(12)
        length = int.from_bytes(chunk[4:12], "big")
        found = found or chunk.startswith(b"data")
        if length >= _UNKNOWN_BYTES:
            break
        _check_length(length, size - position - 12)
        position += 12 + length
    if not found:
        raise _no_samples()


def _check_form(file: BinaryIO, size: int) -> None:
    """AIFF, AIFF-C and SVX: the outermost chunk holds all others."""
    file.seek(4)
    _check_length(int.from_bytes(file.read(4), "big"), size - 8)


def _check_voc(file: BinaryIO, size: int) -> None:
    """The first block with sound must be complete (its length is given modulo 16 MB)."""
    file.seek(20)
    position = int.from_bytes(file.read(2), "little")
    chunks = _Chunks()
    while position + 4 <= size:
        chunks.count()
        file.seek(position)
        block = file.read(4)
        length = int.from_bytes(block[1:4], "little")
        if block[0] in _VOC_SOUND_BLOCKS:
            _check_length(length, size - position - 4)
            return
        position += 4 + length
    raise _no_samples()


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


def _check_mat5(file: BinaryIO, size: int) -> None:
    """No matrix may state more bytes than follow it (libsndfile states a few too many in the last one)."""
    file.seek(126)
    order = "little" if file.read(2) == b"IM" else "big"
    position = 128
    chunks = _Chunks()
    while position + 8 <= size:
        chunks.count()
        file.seek(position + 4)
        length = int.from_bytes(file.read(4), order)
        _check_length(length - _MAT5_SURPLUS_BYTES, size - position - 8)
        position += 8 + length


def _check_mp4(file: BinaryIO, size: int) -> None:
    """No box of MP4 or M4A may state more bytes than follow it; a length of 0 reaches to the end of the file."""
    position = 0
    chunks = _Chunks()
    while position + 8 <= size:
        chunks.count()
        file.seek(position)
        box = file.read(16)
        length = int.from_bytes(box[:4], "big")
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        if length == 0:
            return
        _check_length(length, size - position)
        position += max(length, 8)


def _check_webm(file: BinaryIO, size: int) -> None:
    """The segment of WebM and Matroska must be complete, unless its length is unknown (all bits set)."""
    file.seek(0)
    head = file.read(HEADER_BYTES)
    start = head.find(_EBML_SEGMENT) + len(_EBML_SEGMENT)
    if start < len(_EBML_SEGMENT) or start >= len(head) or head[start] == 0:
        return
    width = 9 - head[start].bit_length()
    length = int.from_bytes(head[start : start + width], "big") - (1 << 7 * width)
    if length != (1 << 7 * width) - 1:
        _check_length(length, size - start - width)


_CHECKS: dict[bytes, Callable[[BinaryIO, int], None]] = {
    b"RIFF": _check_wav,
    b"RIFX": _check_wav,
    b"RF64": _check_wav,
    b"riff": _check_w64,
    b"caff": _check_caf,
    b"FORM": _check_form,
    b"OggS": _check_ogg,
    b"Creative Voice File": _check_voc,
    b"MATL": _check_mat5,
    b"\x1aE\xdf\xa3": _check_webm,
}
"""What a file starts with -> the check of that format."""
