"""Formats whose header states the length in a fixed place, or not at all.

AU, NIST, AVR, WVE, MPC2K and MAT4 state it; PAF, PVF and IRCAM do not.

Each reader takes the start of a file, and returns where its samples are; nothing where the header does not say.
"""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

HEADER_BYTES = 4096
"""Bytes from the start of a file that the readers see."""

_AU_UNKNOWN = 0xFFFFFFFF
_PAF_START, _PAF24_BLOCK_BYTES = 2048, 32  # ten samples of 24 bits of one channel are in a block
_IRCAM_START = 1024


class Extent(NamedTuple):
    """Where samples are: ``start`` (in bytes), ``stated`` bytes from there on (None: unknown), bytes of a frame."""

    start: int
    stated: int | None
    frame_bytes: int = 1


def read_extent(head: bytes) -> Extent | None:
    """Where the samples of a file are by its header, or None for formats that are not known here.

    Arguments
    ---------
    head : bytes
        The first ``HEADER_BYTES`` of the file, or all of it.

    Returns
    -------
    Extent or None

    Example
    -------
    >>> read_extent(b".snd" + struct.pack(">5I", 24, 32000, 3, 16000, 1))
    Extent(start=24, stated=32000, frame_bytes=1)
    """
    for magic, read in _READERS.items():
        if re.match(magic, head, flags=re.DOTALL):
            try:
                return read(head)
            except (struct.error, ValueError, KeyError, IndexError):  # damaged: for libsndfile to judge
                return None
    return None


def _read_au(head: bytes) -> Extent:
    start, length = struct.unpack_from(">2I" if head.startswith(b".snd") else "<2I", head, 4)
    return Extent(start, None if length == _AU_UNKNOWN else length)


def _read_nist(head: bytes) -> Extent:
    """NIST SPHERE: a header of text, ``NAME -TYPE VALUE`` in each line."""
    fields = dict(re.findall(rb"^(\w+) -i (\d+)\s*$", head, flags=re.MULTILINE))
    start = int(head[8:16])
    if b"sample_count" not in fields:
        return Extent(start, None)
    sample_bytes, channels = (int(fields.get(name, 1)) for name in (b"sample_n_bytes", b"channel_count"))
    return Extent(start, int(fields[b"sample_count"]) * sample_bytes * channels)


def _read_avr(head: bytes) -> Extent:
    stereo, bits = struct.unpack_from(">2H", head, 12)
    (frames,) = struct.unpack_from(">I", head, 26)
    return Extent(128, frames * (bits // 8) * (2 if stereo else 1))


def _read_wve(head: bytes) -> Extent:
    return Extent(32, struct.unpack_from(">I", head, 18)[0])


def _read_mpc2k(head: bytes) -> Extent:
    stereo = head[21]
    (frames,) = struct.unpack_from("<I", head, 30)
    return Extent(42, frames * 2 * (2 if stereo else 1))


def _read_mat4(head: bytes) -> Extent:
    """Two matrices: the rate, and the samples. Each has type, rows, columns, 0 and length of its name, all 4 bytes."""
    order = "<" if head.startswith(b"\0\0\0\0") else ">"
    start, size = 0, 0
    for _ in range(2):
        kind, rows, columns, _, name = struct.unpack_from(order + "5I", head, start + size)
        start += size + 20 + name
        size = rows * columns * {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}[kind % 1000 // 10]
    return Extent(start, size)


def _read_paf(head: bytes) -> Extent:
    kind, channels = struct.unpack_from(">2I" if head.startswith(b" paf") else "<2I", head, 16)
    return Extent(_PAF_START, None, max(1, channels) * {0: 2, 1: _PAF24_BLOCK_BYTES, 2: 1}[kind])


def _read_pvf(head: bytes) -> Extent:
    first, second, *_ = head.split(b"\n", 2)
    channels, _, bits = map(int, second.split())
    return Extent(len(first) + len(second) + 2, None, max(1, channels * bits // 8))


def _read_ircam(head: bytes) -> Extent:
    """Of either byte order whatever the magic says; the lower half of the encoding is the bytes in a sample."""
    channels, encoding = min(struct.unpack_from(order + "2I", head, 8) for order in "<>")
    return Extent(_IRCAM_START, None, max(1, channels * (encoding & 0xFFFF)))


_READERS: dict[bytes, Callable[[bytes], Extent]] = {
    rb"\.snd|dns\.": _read_au,
    rb"NIST_1A\n": _read_nist,
    rb"2BIT": _read_avr,
    rb"ALawSoundFile\*\*": _read_wve,
    rb"\x01\x04.{17}": _read_mpc2k,
    rb"\0{4}\x01\0{3}\x01\0{3}|\0\0\x03\xe8\0{3}\x01\0{3}\x01": _read_mat4,
    rb" paf|fap ": _read_paf,
    rb"PVF1\n": _read_pvf,
    rb"\x64\xa3.\0|\0.\xa3\x64": _read_ircam,
}
"""Pattern of what a file starts with -> the reader of that format."""
