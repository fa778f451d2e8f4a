"""ResNet-50 without its linear layer (paper, Table 8; He et al. 2016, arXiv 1512.03385).

Huang, Lu, Lopez-Meyer et al. use it in "Acoustic scene classification using deep learning-based ensemble averaging",
DCASE workshop 2019; their input is not known.
"""

import torch
from torch import nn

from mil_asc.checks import check_count, check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn

EXPANSION = 4
"""Width of a stage's output in terms of the width of its 3x3 convolutions."""


class Bottleneck(nn.Module):
    """1x1 conv to ``width`` - 3x3 conv of ``stride`` - 1x1 conv to four times ``width``, plus the input; ReLU.

    (B, in_channels, F, T) -> (B, 4 width, F/stride, T/stride), rounded up. Every convolution has a BN, with ReLU in
    between. If the shape changes, a 1x1 convolution of ``stride`` and BN are applied to the input before it is added.
    """

    def __init__(self, in_channels, width, stride):
        super().__init__()
        outs = EXPANSION * width
        self.residual = nn.Sequential(
            conv_bn(in_channels, width, 1, activation=nn.ReLU(inplace=True)),
            conv_bn(width, width, 3, stride=stride, activation=nn.ReLU(inplace=True)),
            conv_bn(width, outs, 1),
        )
        same = stride == 1 and in_channels == outs
        self.shortcut = nn.Identity() if same else conv_bn(in_channels, outs, 1, stride=stride)

    def forward(self, x_BCFT):
        """ReLU of the residual plus the shortcut."""
        return torch.relu(self.residual(x_BCFT) + self.shortcut(x_BCFT))


class ResNet50(nn.Sequential, Extractor):
    """7x7 conv of stride 2 - BN - ReLU - 3x3 max-pooling of stride 2, then four stages of bottleneck blocks.

    (B, 1, F, T) -> (B, 2048, F/32, T/32), rounded up at every halving. Each stage is twice as wide as the one before;
    from the second on, its first block halves height and width (in its 3x3 convolution, as in torchvision).

    The standard network of three input channels has 23,508,032 parameters; ours of one channel has 23,501,760. The
    published system has 24.5M: with 527 outputs, the classes of AudioSet, the standard network has 24,587,855, which is
    the count we infer (derived: the number of outputs is our fit). With ten classes it has 23,528,522.

    Arguments
    ---------
    width : int
        Width of the stem, and of the 3x3 convolutions of the first stage.
    blocks : list of int
        Blocks of the four stages.

    Example
    -------
    >>> ResNet50(width=8)(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 256, 8, 10])
    """

    tiny = {"width": 4, "blocks": [1, 2, 2, 2]}

    def __init__(self, width=64, blocks=(3, 4, 6, 3)):
        check_count("width", width)
        check_counts("blocks", blocks, length=4)
        layers = [conv_bn(1, width, 7, stride=2, activation=nn.ReLU(inplace=True)), nn.MaxPool2d(3, 2, padding=1)]
        ins, step, context = width, 4, 3 + 2
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Bottleneck(ins, width * 2**stage, stride))
                ins, context, step = EXPANSION * width * 2**stage, context + step, step * stride
        super().__init__(*layers)
        self.set_geometry(ins, time_reduction=step, context_frames=context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (five halvings, rounded up)."""
        return -(-n_mels // self.time_reduction)

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-num_frames // self.time_reduction)
