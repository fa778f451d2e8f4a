"""Long recordings in blocks: the samples that ``mil_asc.audio.decode.decode`` returns, in bounded memory.

Shapes: N samples, C channels.
"""

import contextlib
import math
import os
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from mil_asc.audio.decode import check_length, check_samples, mean_of_channels, opened, read_frames

BLOCK_SECONDS = 10.0
"""Length of a block (in seconds); the samples do not depend on it."""


class SoundBlocks:
    """An open recording as mono blocks at one rate. It can be iterated once, inside ``open_blocks``.

    Arguments
    ---------
    sound : soundfile.SoundFile
        Open, at its first frame.
    sample_rate : int
        Rate of the blocks (in Hz).
    min_seconds : float
        A shorter recording is refused.

    Attributes
    ----------
    num_samples : int
        Samples of all blocks together.
    """

    def __init__(self, sound: soundfile.SoundFile, sample_rate: int, min_seconds: float = 0.0):
        self._sound, self._sample_rate = sound, sample_rate
        self.num_samples = round(sound.frames * sample_rate / sound.samplerate)
        check_length(self.num_samples / sample_rate, min_seconds)

    def __iter__(self) -> Iterator[np.ndarray]:
        """(n,) float32 blocks; what cannot be used is noticed where it stands, silence at the end."""
        low, high, left = math.inf, -math.inf, self.num_samples
        for block_n in self._resampled():
            own_n = block_n[:left]
            left -= len(own_n)
            if len(own_n):
                low, high = self._extremes(own_n, low, high)
                yield own_n
        if left:  # the resampler may end a sample early
            low, high = min(low, 0.0), max(high, 0.0)
            yield np.zeros(left, np.float32)
        check_samples(low, high)

    def _extremes(self, wav_n: np.ndarray, low: float, high: float) -> tuple[float, float]:
        least, greatest = wav_n.min(), wav_n.max()
        if least != 0 or greatest != 0:  # silence of a block is allowed
            check_samples(least, greatest)
        return min(low, float(least)), max(high, float(greatest))

    def _resampled(self) -> Iterator[np.ndarray]:
        rate, frames = self._sound.samplerate, self._sound.frames
        step = max(round(BLOCK_SECONDS * rate), 1)
        stream = None
        if rate != self._sample_rate:
            stream = soxr.ResampleStream(rate, self._sample_rate, 1, dtype="float32", quality="HQ")
        for first in range(0, frames, step):
            mono_n = mean_of_channels(read_frames(self._sound, min(step, frames - first)))
            self._check_input(mono_n)
            yield mono_n if stream is None else stream.resample_chunk(mono_n, last=first + step >= frames)

    @staticmethod
    def _check_input(mono_n: np.ndarray) -> None:
        low, high = mono_n.min(), mono_n.max()
        if low != 0 or high != 0:
            check_samples(low, high)


@contextlib.contextmanager
def open_blocks(
    path: str | os.PathLike,
    sample_rate: int = 16000,
    min_seconds: float = 0.0,
    name: str | None = None,
    max_hours: float | None = None,
) -> Iterator[SoundBlocks]:
    """``SoundBlocks`` of a file; joined, they are the array that ``decode`` returns, bit for bit.

    Arguments
    ---------
    path : str or Path
        As ``decode`` takes it. What ffmpeg decodes is kept in memory as a whole.
    sample_rate : int
        Rate of the blocks (in Hz).
    min_seconds : float
        A shorter recording is refused.
    name : str, optional
        What the recording is called in messages, and whose ending says its format; by default the path.
    max_hours : float, optional
        A longer recording is refused; by default after ``MAX_HOURS``.

    Raises
    ------
    AudioError
        As ``decode`` raises it, at the latest when the last block was taken.

    Example
    -------
    >>> import tempfile
    >>> file = tempfile.mkdtemp() + "/tone.wav"
    >>> soundfile.write(file, np.sin(np.arange(48000 * 15) * 0.1), 48000)
    >>> with open_blocks(file) as blocks:
    ...     print(blocks.num_samples, [len(block) for block in blocks][0] > 150_000)
    240000 True
    """
    with opened(path, name, max_hours) as sound:
        yield SoundBlocks(sound, sample_rate, min_seconds)
