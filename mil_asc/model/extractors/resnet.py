"""The residual network that FUSE is compared with (paper, Table 3; He et al. 2016, arXiv 1512.03385)."""

import torch
from torch import nn

from mil_asc.checks import check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn


class BasicBlock(nn.Module):
    """3x3 conv - BN - ReLU - 3x3 conv - BN, plus the input, ReLU: (B, C, F, T) -> (B, C', F, T).

    If the width changes, a 1x1 convolution and BN are applied to the input before it is added. ``kernel_sizes`` may
    be other odd sizes; ``damping`` is that of ``DampedConv2d`` (1: none).
    """

    def __init__(self, in_channels, out_channels, kernel_sizes=(3, 3), damping=1.0):
        super().__init__()
        first, second = kernel_sizes
        self.residual = nn.Sequential(
            conv_bn(in_channels, out_channels, first, activation=nn.ReLU(inplace=True), damping=damping),
            conv_bn(out_channels, out_channels, second, damping=damping),
        )
        self.shortcut = nn.Identity() if in_channels == out_channels else conv_bn(in_channels, out_channels, 1)

    def forward(self, x_BCFT):
        """ReLU of the residual plus the shortcut."""
        return torch.relu(self.residual(x_BCFT) + self.shortcut(x_BCFT))


class ResNet(nn.Sequential, Extractor):
    """3x3 conv - BN - ReLU, then stages of basic blocks with 2x2 max-pooling between them.

    (B, 1, F, T) -> (B, 64, F/8, T/8). The paper states the blocks, their convolutions and the widths. Our choice is
    max-pooling instead of strided convolutions, so that the instances are the same as those of the other extractors.

    Arguments
    ---------
    channels : list of int
        Width of every stage; the stem has the width of the first.
    blocks : list of int
        Blocks of every stage; same length as ``channels``.

    Example
    -------
    >>> import torch
    >>> ResNet()(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 64, 32, 39])
    """

    tiny = {"channels": [4, 4, 6, 8], "blocks": [1, 1, 1, 1]}

    def __init__(self, channels=(8, 16, 32, 64), blocks=(3, 3, 3, 1)):
        check_counts("channels", channels)
        check_counts("blocks", blocks, length=len(channels))
        layers = [conv_bn(1, channels[0], 3, activation=nn.ReLU(inplace=True))]
        width = channels[0]
        for stage, (outs, count) in enumerate(zip(channels, blocks)):
            if stage > 0:
                layers.append(nn.MaxPool2d(2))
            layers += [BasicBlock(width if i == 0 else outs, outs) for i in range(count)]
            width = outs
        super().__init__(*layers)
        context = 1 + sum(2 * count * 2**stage for stage, count in enumerate(blocks))
        self.set_geometry(channels[-1], time_reduction=2 ** (len(channels) - 1), context_frames=context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (every pooling halves, rounding down)."""
        return n_mels // self.time_reduction

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return num_frames // self.time_reduction
