"""Stretch: spectrograms read at another speed along time, and at another scale along the mel filters."""

import math

import torch

from mil_asc.augment.piece import SpectrogramPiece, uniform
from mil_asc.checks import check_number

LARGEST_CHANGE = 1.0
"""Of a duration or of the mel axis: twice as long, or half."""


class Stretch(SpectrogramPiece):
    """Every clip becomes longer or shorter, and its mel spectrum wider or narrower, by factors drawn for each clip.

    Cheap stand-ins for time stretching and pitch shifting, on log-mel spectrograms, and on a whole batch at once: the
    "random resize crop" of D. Niizumi, D. Takeuchi, Y. Ohishi, N. Harada and K. Kashino, "BYOL for Audio:
    Self-Supervised Learning for General-Purpose Audio Representation", IJCNN 2021. The shape stays: of a clip that
    became longer a part is left, at a place drawn uniformly, and one that became shorter is continued by its own other
    end, as in ``TimeRoll``. Beyond the lowest and the highest filter, these are repeated. Values between frames and
    between filters are interpolated linearly.

    Arguments
    ---------
    time, frequency : float
        Largest relative change of the duration, and of the mel axis (0 to 1): with 0.25, factors are drawn between
        1 / 1.25 and 1.25, uniformly on a logarithmic scale; 0: off.

    Raises
    ------
    ValueError
        A value is not between 0 and 1.

    Example
    -------
    >>> torch.manual_seed(0).initial_seed()
    0
    >>> Stretch(time=0.25, frequency=0.25)(torch.randn(8, 1, 64, 157)).shape
    torch.Size([8, 1, 64, 157])
    """

    def __init__(self, time=0.0, frequency=0.0):
        for name, share in (("time_stretch", time), ("frequency_stretch", frequency)):
            check_number(name, share, least=0)
            if share > LARGEST_CHANGE:
                raise ValueError(f"{name} must be a number from 0 to {LARGEST_CHANGE:g}, got {share}")
        self.time, self.frequency = time, frequency

    @property
    def active(self):
        """Whether anything changes."""
        return max(self.time, self.frequency) > 0

    @property
    def moves_instances(self):
        """Whether durations change."""
        return self.time > 0

    def __call__(self, logmel_B1FT):
        """Stretched spectrograms."""
        logmel_BFT = logmel_B1FT.squeeze(1)
        if self.time:
            position_BT = positions(logmel_BFT.shape[2], self.time, logmel_BFT)
            logmel_BFT = read_at(logmel_BFT, position_BT, cyclic=True)
        if self.frequency:
            position_BF = positions(logmel_BFT.shape[1], self.frequency, logmel_BFT)
            logmel_BFT = read_at(logmel_BFT.transpose(1, 2), position_BF, cyclic=False).transpose(1, 2)
        return logmel_BFT.unsqueeze(1)


def positions(count, change, like_BFT):
    """Where each clip is read along an axis of ``count`` frames or filters: (B, count) float, evenly spaced.

    The distance between two is drawn from 1 / (1 + ``change``) to 1 + ``change``. The first one is drawn so that as
    much as possible lies within the axis, which is from 0 to ``count`` - 1. ``like_BFT`` gives B and the device.
    """
    clips = len(like_BFT)
    step_B = uniform(clips, -math.log1p(change), math.log1p(change), like_BFT).exp()
    start_B = uniform(clips, 0.0, 1.0, like_BFT) * (count - 1) * (1 - step_B)
    return start_B.unsqueeze(1) + step_B.unsqueeze(1) * torch.arange(count, device=like_BFT.device)


def read_at(x_BKT, position_BT, cyclic):
    """Values at positions along the last axis, interpolated linearly: (B, K, T') with (B, T) positions -> (B, K, T).

    Beyond the ends, a ``cyclic`` axis goes on at its other end; else the entry at the end is repeated.

    Example
    -------
    >>> ramp = torch.tensor([[[0.0, 10.0, 20.0]]])
    >>> read_at(ramp, torch.tensor([[0.5, 2.0, 3.0]]), cyclic=True)
    tensor([[[ 5., 20.,  0.]]])
    >>> read_at(ramp, torch.tensor([[-1.0, 2.0, 3.0]]), cyclic=False)
    tensor([[[ 0., 20., 20.]]])
    """
    count = x_BKT.shape[2]
    position_BT = position_BT % count if cyclic else position_BT.clamp(0, count - 1)
    below_BT = position_BT.floor()
    share_B1T = (position_BT - below_BT).unsqueeze(1)
    first_BT = below_BT.long() % count  # the remainder of a tiny negative position is rounded to count itself
    second_BT = (first_BT + 1) % count if cyclic else (first_BT + 1).clamp(max=count - 1)
    shape = (-1, x_BKT.shape[1], -1)
    first_BKT, second_BKT = (x_BKT.gather(2, index.unsqueeze(1).expand(shape)) for index in (first_BT, second_BT))
    return first_BKT + share_B1T * (second_BKT - first_BKT)
