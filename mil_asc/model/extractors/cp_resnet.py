"""CP-ResNet, a residual network with a configurable receptive field (paper, Tables 8 and 9).

Koutini et al., "The receptive field as a regularizer in deep convolutional neural networks for acoustic scene
classification", EUSIPCO 2019, arXiv 1907.01803.
"""

from torch import nn

from mil_asc.checks import check_count, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import damped_conv
from mil_asc.model.extractors.resnet import BasicBlock

POOLED_BLOCKS = (1, 2, 4)
"""Blocks of the first stage, counted from 1, that are followed by max-pooling."""


class CPResNet(nn.Sequential, Extractor):
    """5x5 conv of stride 2 - BN - ReLU, then three stages of basic blocks, each twice as wide as the one before.

    (B, 1, F, T) -> (B, 4 base_channels, F', T'), F' = (F - 1)/16 and T' = (T - 1)/16, rounded down: the stem pads 1.
    Without blocks in the third stage there are 2 base_channels, or base_channels if the second has none either.
    The first block has a 3x3 and a 1x1 convolution; of the later ones, the first ``rho`` are 3x3, the others 1x1.
    The receptive field is 2 context_frames + 15 rows and columns: 23, 31, 39, 55, 71, 87, 103, 135 for rho = 0 to 7.

    With a 1x1 convolution to 10 classes without bias, and BN, the default has 3,956,628 parameters (our count).
    The published 65K parameters are those of a narrower network of 635K, pruned; nothing is pruned here. Which network
    that was is not known (partial): base_channels 48, rho 9, blocks [4, 4, 3] is our choice of about twenty members of
    the family that have 635K with this head, 635,108. The authors damp its kernels along frequency with 0.1.

    Arguments
    ---------
    base_channels : int
        Width of the first stage.
    rho : int
        3x3 convolutions after the first block, from 0 to all of them, 2 (sum(blocks) - 1).
    blocks : list of int
        Blocks of the three stages: at least 4 in the first; the others may have 0.
    damping : float
        Factor of the outermost rows of every kernel (``DampedConv2d``), from 0 to 1; 1: no damping.

    Example
    -------
    >>> import torch
    >>> CPResNet(base_channels=16)(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 64, 15, 19])
    """

    tiny = {"base_channels": 4}
    later = {"damping": 1.0}

    def __init__(self, base_channels=128, rho=7, blocks=(4, 4, 4), damping=1.0):
        check_count("base_channels", base_channels)
        _check_blocks(blocks)
        check_count("rho", rho, least=0)
        if rho > 2 * (sum(blocks) - 1):
            raise ValueError(f"rho must be from 0 to {2 * (sum(blocks) - 1)} with blocks {blocks!r}, got {rho}")
        check_number("damping", damping, least=0)
        if damping > 1:
            raise ValueError(f"damping must be a number from 0 to 1, got {damping!r}")
        widths = [base_channels * 2**stage for stage, count in enumerate(blocks) for _ in range(count)]
        kernels = [3, 1, *(3 if k < rho else 1 for k in range(2 * len(widths) - 2))]
        stem = damped_conv(1, base_channels, (5, 5), stride=2, padding=1, bias=False, damping=damping)
        layers = [nn.Sequential(stem, nn.BatchNorm2d(base_channels), nn.ReLU(inplace=True))]
        width, step, context = base_channels, 2, 2
        for number, outs in enumerate(widths, start=1):
            pair = kernels[2 * number - 2 : 2 * number]
            layers.append(BasicBlock(width, outs, pair, damping))
            context += step * sum(size // 2 for size in pair)
            if number in POOLED_BLOCKS:
                layers.append(nn.MaxPool2d(2))
                step *= 2
            width = outs
        super().__init__(*layers)
        self.set_geometry(width, time_reduction=step, context_frames=context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins."""
        return (n_mels - 1) // 2 // 8

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return (num_frames - 1) // 2 // 8


def _check_blocks(blocks):
    legal = isinstance(blocks, list | tuple) and len(blocks) == 3
    if not legal or not all(type(count) is int and count >= 0 for count in blocks):
        raise ValueError(f"blocks must be a list of 3 whole numbers from 0 up, got {blocks!r}")
    if blocks[0] < max(POOLED_BLOCKS):
        raise ValueError(f"the first of blocks must be at least {max(POOLED_BLOCKS)}, got {blocks!r}")
