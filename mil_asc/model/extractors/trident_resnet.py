"""A residual network with three frequency streams (paper, Table 9, "Trident ResNet").

Suh, Park, Jeong and Lee, "Designing acoustic scene classification models with CNN variants", DCASE 2020 technical
report, first of task 1A.
"""

import torch
from torch import nn

from mil_asc.checks import check_count
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.streams import STACKS, norm_relu, stream, stream_context


class TridentResNet(Extractor):
    """Residual networks for the lowest quarter, the second quarter and the upper half of the mel bins; BN - ReLU.

    (B, in_channels, F, T) -> (B, 8 filters, F, T/16), T/16 rounded up; frequency is never pooled. Each stream: BN -
    3x3 conv of stride 2 along time, then four stacks of pre-activation blocks, twelve blocks in all. Blocks that do
    not halve time have a dilation of 2 along frequency in their first convolution, the very first block aside. How a
    map is padded depends on its number of frames, as in ``TwoPathResNet``.

    With the published head (1x1 conv to 768, BN, 1x1 conv to 10 classes, BN, mean) the default has 13,146,162
    parameters; the publication states 13M. Derived: streams, twelve blocks, which of them halve time, the dilation and
    the head are published; the widths and the blocks' inner layers (those of McDonnell and Gao) are our fit to the
    count, which other designs match too.

    Arguments
    ---------
    filters : int
        Width of the first stack.
    blocks : int
        Blocks of each of the four stacks.
    dilation : int
        Along frequency.
    in_channels : int
        Channels of the input; 3 in the publication, log-mel and deltas.

    Example
    -------
    >>> TridentResNet(filters=2, blocks=2)(torch.randn(2, 3, 128, 313)).shape
    torch.Size([2, 16, 128, 20])
    """

    tiny = {"filters": 2, "blocks": 2}

    def __init__(self, filters=32, blocks=3, dilation=2, in_channels=3):
        super().__init__()
        check_count("filters", filters)
        check_count("blocks", blocks)
        check_count("dilation", dilation)
        check_count("in_channels", in_channels)
        self.streams = nn.ModuleList(stream(in_channels, filters, blocks, dilation) for _ in range(3))
        width = filters * 2 ** (STACKS - 1)
        self.last = nn.Sequential(*norm_relu(width))
        self.set_geometry(width, 2**STACKS, stream_context(blocks), in_channels)

    def forward(self, x_BCFT):
        """(B, in_channels, F, T) -> (B, 8 filters, F, T/16)."""
        height = x_BCFT.shape[2]
        edges = [0, height // 4, height // 2, height]
        bands = [x_BCFT[:, :, low:high] for low, high in zip(edges[:-1], edges[1:])]
        return self.last(torch.cat([one(band) for one, band in zip(self.streams, bands)], dim=2))

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map: all ``n_mels`` of them, at least 4 (one for the lowest stream)."""
        if n_mels < 4:
            raise ValueError(f"three frequency streams need at least 4 mel bins, got {n_mels}")
        return n_mels

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-num_frames // self.time_reduction)
