"""The scene branch of DcaseNet-v3 (paper, Table 9).

Jung, Shim, Kim and Yu, "DcaseNet: an integrated pretrained deep neural network for detecting and classifying acoustic
scenes and events", ICASSP 2021, arXiv 2009.09642 (code: Jungjee/DcaseNet).
"""

import torch
from torch import nn

from mil_asc.checks import check_count, check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn

REDUCTION = 16
"""Ratio of the width of a map to the hidden width of its squeeze-and-excitation."""


class SqueezeExcitation(nn.Module):
    """Each channel times a factor from 0 to 1, of the channels' means over the map: (B, C, F, T), same shape.

    Mean - linear to C/16 - ReLU - linear to C - sigmoid, both without bias (Hu et al., CVPR 2018).
    """

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x_BCFT):
        """The map with its channels weighted."""
        return x_BCFT * self.gate(x_BCFT.mean((2, 3), keepdim=True))


class SEBlock(nn.Module):
    """3x3 conv of ``stride`` - BN - ReLU - 3x3 conv - BN - squeeze-and-excitation, plus the input; ReLU.

    (B, in_channels, F, T) -> (B, out_channels, F/stride, T/stride), rounded up. If the shape changes, a 1x1 convolution
    of ``stride`` and BN are applied to the input before it is added.
    """

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.residual = nn.Sequential(
            conv_bn(in_channels, out_channels, 3, stride=stride, activation=nn.ReLU(inplace=True)),
            conv_bn(out_channels, out_channels, 3),
            SqueezeExcitation(out_channels),
        )
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else conv_bn(in_channels, out_channels, 1, stride=stride)

    def forward(self, x_BCFT):
        """ReLU of the residual plus the shortcut."""
        return torch.relu(self.residual(x_BCFT) + self.shortcut(x_BCFT))


def double_block(in_channels, out_channels, pool):
    """Two 3x3 conv - BN - ReLU, and average pooling over ``pool`` rows and frames."""
    return [
        conv_bn(in_channels, out_channels, 3, activation=nn.ReLU(inplace=True)),
        conv_bn(out_channels, out_channels, 3, activation=nn.ReLU(inplace=True)),
        nn.AvgPool2d(pool),
    ]


class DcaseNet(nn.Sequential, Extractor):
    """Four double blocks with average pooling, then three blocks with squeeze-and-excitation, the first of stride 2.

    (B, 1, F, T) -> (B, 384, F', T'): the poolings leave F/16 and T/40, rounded down; the stride halves both,
    rounding up. An instance is 80 frames long. Squeeze-and-excitation averages over the whole map, so every column
    depends on the whole clip. These are the layers of the scene branch in the authors' code (exact); the branches for
    tagging and events, with which it was trained jointly, are left out.

    The default has 10,005,056 parameters, and 10,055,626 with the authors' head (mean, linear to 128, linear to 10
    classes). The complete network of three tasks has 13,882,920; the publication states 13.2M.

    Arguments
    ---------
    channels : list of int
        Width of the four double blocks, and of the other blocks.
    blocks : int
        Blocks with squeeze-and-excitation.

    Example
    -------
    >>> DcaseNet([4, 4, 4, 4, 16])(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 16, 8, 4])
    """

    tiny = {"channels": [4, 6, 8, 8, 48], "blocks": 2}

    def __init__(self, channels=(64, 128, 256, 256, 384), blocks=3):
        check_counts("channels", channels, length=5)
        check_count("blocks", blocks)
        layers = []
        for ins, outs, pool in zip([1, *channels], channels[:4], (2, 2, 2, (2, 5))):
            layers += double_block(ins, outs, pool)
        for block in range(blocks):
            layers.append(SEBlock(channels[4 if block else 3], channels[4], stride=1 if block else 2))
        super().__init__(*layers)
        self.set_geometry(channels[4], time_reduction=80, context_frames=None)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins."""
        return -(-(n_mels // 16) // 2)

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-(num_frames // 40) // 2)
