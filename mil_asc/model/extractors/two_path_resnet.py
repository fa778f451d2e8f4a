"""A residual network with separate paths for low and high frequencies (paper, Table 8, "deep residual network").

McDonnell and Gao, "Acoustic scene classification using deep residual networks with late fusion of separated high
and low frequency paths", ICASSP 2020.
"""

import torch
from torch import nn

from mil_asc.checks import check_count
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.streams import STACKS, norm_relu, stream, stream_context

BLOCKS = 2
"""Blocks of a stack."""


class TwoPathResNet(Extractor):
    """Two residual networks, for the lower and the upper half of the mel bins, joined by a 1x1 conv.

    (B, in_channels, F, T) -> (B, 32 filters, F, T/16), T/16 rounded up; frequency is never pooled. Each path: BN - 3x3
    conv of stride 2 along time, then four stacks of two pre-activation blocks. How a map is padded depends on its
    number of frames, so a part of a clip gives the same columns only if its frames leave the same remainder by 16.

    With the published head (BN without scale and offset, 1x1 conv to 10 classes, BN likewise, mean) the default has
    3,245,236 parameters (our count, for one input channel; the publication states 3.2M for three, which have
    3,246,108 here).

    Arguments
    ---------
    filters : int
        Width of the first stack; 24 in the publication.
    in_channels : int
        Channels of the input; 3 in the publication, log-mel and deltas.

    Example
    -------
    >>> TwoPathResNet(filters=4)(torch.randn(2, 1, 128, 313)).shape
    torch.Size([2, 128, 128, 20])
    """

    tiny = {"filters": 4}
    later = {"in_channels": 1}

    def __init__(self, filters=24, in_channels=1):
        super().__init__()
        check_count("filters", filters)
        check_count("in_channels", in_channels)
        self.low = stream(in_channels, filters, BLOCKS)
        self.high = stream(in_channels, filters, BLOCKS)
        width = 4 * filters * 2 ** (STACKS - 1)
        self.join = nn.Sequential(*norm_relu(width // 4), nn.Conv2d(width // 4, width, 1, bias=False))
        self.set_geometry(width, 2**STACKS, stream_context(BLOCKS), in_channels)

    def forward(self, x_BCFT):
        """(B, in_channels, F, T) -> (B, 32 filters, F, T/16)."""
        half = x_BCFT.shape[2] // 2
        both_BCFT = torch.cat([self.low(x_BCFT[:, :, :half]), self.high(x_BCFT[:, :, half:])], dim=2)
        return self.join(both_BCFT)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map: all ``n_mels`` of them, at least 2 (one per path)."""
        if n_mels < 2:
            raise ValueError(f"two frequency paths need at least 2 mel bins, got {n_mels}")
        return n_mels

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-num_frames // self.time_reduction)
