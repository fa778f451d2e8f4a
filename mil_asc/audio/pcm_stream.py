"""Sound as bytes of a pipe: raw PCM, or WAV whose length nobody knows yet; mono float32 blocks.

libsndfile reads neither from a pipe. A WAV file written into a pipe states any length, so it is read to its end, unless
its header states that other chunks follow the samples.
"""

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from mil_asc.audio.containers import UnusableAudio
from mil_asc.audio.decode import MAX_RATE, MIN_RATE, mean_of_channels

ENCODINGS = ("u8", "s16le", "s24le", "s32le", "f32le", "f64le")
MOST_CHANNELS = 1024
MOST_HEADER_BYTES = 1 << 20
"""Bytes before the samples of a WAV file; programs write some hundreds."""
_MOST_BEHIND = 1 << 20  # bytes of chunks behind the samples; a header written into a pipe states any length
_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WAV = {
    (_INTEGER, 8): "u8",
    (_INTEGER, 16): "s16le",
    (_INTEGER, 24): "s24le",
    (_INTEGER, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}


class PcmFormat(NamedTuple):
    """How samples are written: a name of ``ENCODINGS``, sampling rate (in Hz), interleaved channels.

    ``most_bytes`` of samples are read, and what follows is none; None: all that comes.
    """

    encoding: str
    rate: int
    channels: int
    most_bytes: int | None = None

    @property
    def frame_bytes(self) -> int:
        """Bytes of a sample of every channel."""
        return int(self.encoding[1:].removesuffix("le")) // 8 * self.channels


def read_wav_header(file: BinaryIO) -> PcmFormat:
    """The format of a WAV file, which is then at its first sample.

    The length that it states counts only if it states chunks behind the samples, such as a name or marks.

    Raises
    ------
    UnusableAudio
        It is no WAV file of uncompressed samples.
    """
    magic = file.read(12)
    if len(magic) < 12 or magic[:4] not in (b"RIFF", b"RF64") or magic[8:] != b"WAVE":
        raise UnusableAudio("empty" if not magic else "no WAV header: say what raw samples are, such as --raw s16le")
    found, read = None, 12
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise UnusableAudio("truncated: the WAV header has no samples behind it")
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"data":
            break
        read += 8 + size + size % 2
        if read > MOST_HEADER_BYTES:
            raise UnusableAudio("its WAV header is too long: not audio or corrupt")
        content = file.read(size + size % 2)
        if name == b"fmt ":
            found = _format_of(content)
    if found is None:
        raise UnusableAudio("the WAV header states no format: corrupt")
    behind = (
        struct.unpack("<I", magic[4:8])[0] - read - size
    )  # RIFF does not count its own 8 bytes, nor ``read`` data's
    return found._replace(most_bytes=size) if 0 < behind <= _MOST_BEHIND else found


def _format_of(content: bytes) -> PcmFormat:
    if len(content) < 16:
        raise UnusableAudio("truncated: the WAV header has no complete format")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if kind == _EXTENSIBLE and len(content) >= 26:
        kind = struct.unpack("<H", content[24:26])[0]
    if (kind, bits) not in _WAV:
        raise UnusableAudio(f"WAV samples of format {kind} with {bits} bits: only uncompressed ones can be streamed")
    if not 1 <= channels <= MOST_CHANNELS or not MIN_RATE <= rate <= MAX_RATE:
        raise UnusableAudio(f"the WAV header states {channels} channels at {rate} Hz: corrupt")
    return PcmFormat(_WAV[kind, bits], rate, channels)


def read_pcm(file: BinaryIO, form: PcmFormat, seconds: float = 1.0) -> Iterator[np.ndarray]:
    """Mono float32 blocks (n,) of ``seconds`` to the end of the file; full scale is 1.

    The last block is shorter; bytes behind the last complete frame are left out.

    Example
    -------
    >>> import io
    >>> file = io.BytesIO(np.array([0, 16384, -32768, 0, 7], "<i2").tobytes())
    >>> [block.tolist() for block in read_pcm(file, PcmFormat("s16le", 1000, 2), 0.001)]
    [[0.25], [-0.5]]
    """
    count = max(round(seconds * form.rate), 1) * form.frame_bytes
    left = math.inf if form.most_bytes is None else form.most_bytes
    while content := file.read(int(min(count, left))):
        left -= len(content)
        complete = len(content) - len(content) % form.frame_bytes
        if complete:
            yield mean_of_channels(_samples(content[:complete], form.encoding).reshape(-1, form.channels))


def _samples(content: bytes, encoding: str) -> np.ndarray:
    """(N,) float32 samples of all channels."""
    if encoding[0] == "f":
        with np.errstate(over="ignore"):  # infinity is refused later
            return np.frombuffer(content, f"<f{int(encoding[1:3]) // 8}").astype(np.float32)
    if encoding == "u8":
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / 128
    if encoding == "s24le":
        bytes_N4 = np.zeros((len(content) // 3, 4), np.uint8)
        bytes_N4[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return bytes_N4.view("<i4")[:, 0].astype(np.float32) / 2**31
    bits = int(encoding[1:3])
    return np.frombuffer(content, f"<i{bits // 8}").astype(np.float32) / 2 ** (bits - 1)
