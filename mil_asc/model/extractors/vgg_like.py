"""The VGG-like extractor that FUSE is compared with (paper, Tables 2 and 3; Song et al., Interspeech 2019)."""

from torch import nn

from mil_asc.checks import check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn


class VGGLike(nn.Sequential, Extractor):
    """Batch norm of the spectrogram, then one stage per width: two 3x3 conv - BN - ReLU, 2x2 max-pooling.

    (B, 1, F, T) -> (B, 128, F/8, T/8). Every convolution has a bias. The complete model, with a dense full-height
    convolution to 256 channels, BN, ReLU and a linear layer to 10 classes, then has 454,508 parameters at 40 mel bins
    and 1,339,244 at 256 (the paper's 454K and 1.34M).

    Arguments
    ---------
    channels : list of int
        Width of every stage.

    Example
    -------
    >>> import torch
    >>> VGGLike()(torch.randn(2, 1, 40, 313)).shape
    torch.Size([2, 128, 5, 39])
    """

    tiny = {"channels": [4, 6, 8]}

    def __init__(self, channels=(32, 64, 128)):
        check_counts("channels", channels)
        layers = [nn.BatchNorm2d(1)]
        for ins, outs in zip([1, *channels[:-1]], channels):
            layers += [
                conv_bn(ins, outs, 3, bias=True, activation=nn.ReLU(inplace=True)),
                conv_bn(outs, outs, 3, bias=True, activation=nn.ReLU(inplace=True)),
                nn.MaxPool2d(2),
            ]
        super().__init__(*layers)
        context = sum(2 * 2**stage for stage in range(len(channels)))
        self.set_geometry(channels[-1], time_reduction=2 ** len(channels), context_frames=context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (every pooling halves, rounding down)."""
        return n_mels // self.time_reduction

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return num_frames // self.time_reduction
