"""The samples of a stream: checked, at the model's rate, and the latest of them kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from mil_asc.audio.decode import check_samples

PIECE_SECONDS = 10.0
"""Sound that is resampled at once; the samples do not depend on it."""
FIRST_SIZE = 16384
"""Samples that a buffer holds at first; it doubles as it is needed."""


class ArrivingSamples:
    """Samples at the model's rate, by the resampler of files.

    Arguments
    ---------
    rate, model_rate : int
        Rate of what arrives and of what is given (in Hz).

    Attributes
    ----------
    frames : int
        Samples that have arrived.
    has_sound : bool
        Whether one of them is not zero.
    silent_frames : int
        Samples before the first that is not zero.
    """

    def __init__(self, rate: int, model_rate: int):
        self._rate, self._model_rate = rate, model_rate
        self.frames, self.silent_frames, self.has_sound, self._given = 0, 0, False, 0
        self._resampler = None
        if rate != model_rate:
            self._resampler = soxr.ResampleStream(rate, model_rate, 1, dtype="float32", quality="HQ")

    @staticmethod
    def check(wav_n: np.ndarray) -> None:
        """Refuse samples that are not finite or absurdly large (``UnusableAudio``); zeros pass."""
        with np.errstate(invalid="ignore"):  # any() warns of some NaN
            if len(wav_n) and wav_n.any():
                check_samples(wav_n.min(), wav_n.max())

    def parts(self, wav_n: np.ndarray) -> Iterator[np.ndarray]:
        """The next samples, (n,) float32, in parts of ``PIECE_SECONDS`` at the most."""
        piece = max(round(PIECE_SECONDS * self._rate), 1)
        for first in range(0, len(wav_n), piece):
            yield self._resampled(wav_n[first : first + piece])

    def _resampled(self, wav_n: np.ndarray) -> np.ndarray:
        self.frames += len(wav_n)
        if not self.has_sound:
            self.has_sound = bool(wav_n.any())
            self.silent_frames += int((wav_n != 0).argmax()) if self.has_sound else len(wav_n)
        out_n = wav_n if self._resampler is None else self._resampler.resample_chunk(wav_n)
        self._given += len(out_n)
        return out_n

    def rest(self) -> np.ndarray:
        """What the resampler still holds, so that all parts together have the length that a file would have."""
        left = max(round(self.frames * self._model_rate / self._rate) - self._given, 0)
        if self._resampler is None or left == 0:
            return np.zeros(0, np.float32)
        out_n = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)[:left]
        return np.pad(out_n, (0, left - len(out_n)))


class RecentSamples:
    """The latest samples of a stream, at most ``most`` of them.

    Attributes
    ----------
    begin, end : int
        Position in the stream of the first one kept, and behind the last.

    Example
    -------
    >>> recent = RecentSamples(6)
    >>> recent.append(np.arange(5, dtype=np.float32))
    >>> recent.drop(3)
    >>> recent.room, recent.until(5).tolist()
    (4, [3.0, 4.0])
    """

    def __init__(self, most: int):
        self.most, self.begin, self.end = most, 0, 0
        self._buffer = np.empty(min(FIRST_SIZE, most), np.float32)

    @property
    def room(self) -> int:
        """Samples that can be appended before others must be dropped."""
        return self.most - (self.end - self.begin)

    @property
    def num_bytes(self) -> int:
        """Memory of the buffer (in bytes)."""
        return self._buffer.nbytes

    def append(self, wav_n: np.ndarray) -> None:
        """Keep the next samples, at most ``room``."""
        kept, needed = self.end - self.begin, self.end - self.begin + len(wav_n)
        if needed > len(self._buffer):
            larger = np.empty(min(max(2 * len(self._buffer), needed), self.most), np.float32)
            larger[:kept] = self._buffer[:kept]
            self._buffer = larger
        self._buffer[kept:needed] = wav_n
        self.end += len(wav_n)

    def drop(self, begin: int) -> None:
        """Forget what comes before position ``begin``."""
        moved = min(begin, self.end) - self.begin
        if moved > 0:
            kept = self.end - self.begin - moved
            self._buffer[:kept] = self._buffer[moved : moved + kept].copy()
            self.begin += moved

    def until(self, end: int) -> np.ndarray:
        """(n,) the samples kept before position ``end``: a view that lasts until the next change."""
        return self._buffer[: max(end - self.begin, 0)]
