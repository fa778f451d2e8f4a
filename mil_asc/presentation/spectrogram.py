"""The spectrogram of a recording, as a picture that lies exactly over its time axis.

Shapes: F frequency, T frame, N sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mil_asc.presentation.pixels import brightness, data_uri, in_colour, narrowed, png, spectrogram_of

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer

PIECE_SECONDS = 30.0
"""Length of what a spectrogram is computed of at once, without its margins."""
MOST_COLUMNS = 4000
LEVELS = 63
PLAIN_HOP = 512
"""Samples from one frame to the next where a network takes the waveform itself."""


class Spectrogram(NamedTuple):
    """What is shown of a waveform.

    Attributes
    ----------
    logmel_FT : numpy.ndarray
        (F, T) log-mel spectrogram that the network takes, or natural-log power of one that takes the waveform.
    hop_seconds : float
        Time from one frame to the next; the first frame lies at 0.
    is_mel : bool
        Whether the network takes it.
    """

    logmel_FT: np.ndarray
    hop_seconds: float
    is_mel: bool

    def extent(self, seconds: float) -> tuple[float, float]:
        """Left edge and width of its picture as shares of ``seconds``: a frame reaches half a step to either side."""
        return -self.hop_seconds / 2 / seconds, self.logmel_FT.shape[1] * self.hop_seconds / seconds

    def picture(self) -> str:
        """The spectrogram as the data of a PNG picture, low frequencies at the bottom; at most 4000 columns."""
        bright_FT = brightness(narrowed(self.logmel_FT, MOST_COLUMNS))[::-1]
        return data_uri("image/png", png(in_colour((bright_FT * LEVELS).round() / LEVELS)))


def spectrogram(classifier: Explainer, wav_N: np.ndarray) -> Spectrogram:
    """The spectrogram of (N,) float32 samples of any length at the model's rate."""
    rate = classifier.interface.sample_rate
    logmel_FT = spectrogram_in_pieces(classifier, wav_N)
    if logmel_FT is None:
        return Spectrogram(spectrogram_of(wav_N, hop=PLAIN_HOP), PLAIN_HOP / rate, False)
    return Spectrogram(logmel_FT, classifier.interface.hop_samples / rate, True)


def spectrogram_in_pieces(classifier: Explainer, wav_N: np.ndarray) -> np.ndarray | None:
    """(F, T) ``classifier.spectrogram`` of a waveform of any length, computed from pieces that overlap by a second."""
    hop, rate = classifier.interface.hop_samples, classifier.interface.sample_rate
    own, margin, first, parts = max(round(PIECE_SECONDS * rate) // hop, 1), rate // hop + 1, 0, []
    while True:
        begin, end = max(first - margin, 0), (first + own + margin) * hop
        is_last = end >= len(wav_N)
        piece_FT = classifier.spectrogram(wav_N[begin * hop :] if is_last else wav_N[begin * hop : end])
        if piece_FT is None:
            return None
        parts.append(piece_FT[:, first - begin : None if is_last else first - begin + own])
        if is_last:
            return np.concatenate(parts, axis=1)
        first += own
