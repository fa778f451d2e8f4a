"""Input channels of an extractor, made of the log-mel spectrogram: the spectrogram alone, with deltas, or by duration.

They are made after normalization and augmentation of the spectrogram, of operations that an ONNX file has too.
"""

import torch
from torch import nn
from torch.nn import functional as F

from mil_asc.checks import check_odd

MOST_FRAMES = 255
"""Longest median (in frames)."""


class SpectrogramAlone(nn.Module):
    """One channel, the input: (B, 1, F, T) -> (B, 1, F, T)."""

    channels = 1
    context_frames = 0

    def forward(self, x_B1FT):
        """The input itself."""
        return x_B1FT


class Deltas(nn.Module):
    """Three channels, the input and its first and second differences along time: (B, 1, F, T) -> (B, 3, F, T).

    The difference of a frame is the slope of a line fitted to five frames: ``sum_n n (x[t+n] - x[t-n]) / 10`` with n
    from 1 to 2; beyond the ends the first and the last frame are repeated. The second difference is that of the first.
    As ``torchaudio.functional.compute_deltas`` with a window of 5 frames.

    Example
    -------
    >>> ramp = torch.arange(9.0).expand(1, 1, 1, 9)
    >>> Deltas()(ramp)[0, :, 0, 4].tolist()
    [4.0, 1.0, 0.0]
    """

    channels = 3
    context_frames = 4
    """Two frames on either side, twice."""

    def forward(self, x_B1FT):
        """(B, 1, F, T) -> (B, 3, F, T)."""
        first_B1FT = _slope(x_B1FT)
        return torch.cat([x_B1FT, first_B1FT, _slope(first_B1FT)], dim=1)


class Durations(nn.Module):
    """Three channels, the input divided by the duration of sounds: (B, 1, F, T) -> (B, 3, F, T).

    With a = median of ``short`` frames of the input x, the channels are l = median of ``long`` frames of a, the long
    sounds; a - l; and x - a, the short ones. Their sum is the input. Beyond the ends the medians see zeros. Wu and Lee,
    "Time-frequency feature decomposition based on sound duration for acoustic scene classification", ICASSP 2020, with
    medians of 11 and 51 frames at a hop of 10 ms.

    Arguments
    ---------
    short, long : int
        Lengths of the medians (in frames): odd, 255 at most.

    Example
    -------
    >>> clicks = torch.zeros(1, 1, 1, 9)
    >>> clicks[..., 4] = 7.0
    >>> Durations(3, 5)(clicks)[0, :, 0, 4].tolist()
    [0.0, 0.0, 7.0]
    """

    channels = 3

    def __init__(self, short=3, long=15):
        super().__init__()
        for name, frames in (("short_median", short), ("long_median", long)):
            check_odd(name, frames)
            if frames > MOST_FRAMES:
                raise ValueError(f"{name} must be at most {MOST_FRAMES} frames, got {frames}")
        self.short = short
        self.long = long

    @property
    def context_frames(self):
        """Frames of context on either side."""
        return self.short // 2 + self.long // 2

    def forward(self, x_B1FT):
        """(B, 1, F, T) -> (B, 3, F, T)."""
        smooth_B1FT = _median(x_B1FT, self.short)
        long_B1FT = _median(smooth_B1FT, self.long)
        return torch.cat([long_B1FT, smooth_B1FT - long_B1FT, x_B1FT - smooth_B1FT], dim=1)

    def extra_repr(self):
        """Settings, for printing."""
        return f"short={self.short}, long={self.long}"


def _slope(x_B1FT):
    frames = x_B1FT.shape[3]
    padded = F.pad(x_B1FT, (2, 2, 0, 0), mode="replicate")
    back_2, back_1, ahead_1, ahead_2 = (padded[..., start : start + frames] for start in (0, 1, 3, 4))
    return (ahead_1 - back_1 + 2 * (ahead_2 - back_2)) / 10


def _median(x_B1FT, size):
    """Median of ``size`` frames around every frame: the last of the greater half of them."""
    frames = x_B1FT.shape[3]
    padded = F.pad(x_B1FT, (size // 2, size // 2))
    near_B1FTS = torch.stack([padded[..., start : start + frames] for start in range(size)], dim=4)
    return near_B1FTS.topk(size // 2 + 1, dim=4).values[..., -1]
