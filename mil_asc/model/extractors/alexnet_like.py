"""The AlexNet-like extractor for channels of three durations (paper, Table 8, "AlexNet-like").

Wu and Lee, "Time-frequency feature decomposition based on sound duration for acoustic scene classification", ICASSP
2020; the layers are those of the authors' code for DCASE 2019 task 1A.
"""

from torch import nn

from mil_asc.checks import check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn

GROUPS = 3
"""Long, medium and short sounds stay apart in all convolutions."""


class AlexNetLike(nn.Sequential, Extractor):
    """Five 3x3 conv - BN - ReLU in three groups, one per input channel; 2x2 max-pooling after 1, 2, 3 and 5.

    (B, 3, F, T) -> (B, 192, F/16, T/16). The convolutions have no bias. 292,176 parameters; with the published head for
    segments of 128 mel bins and 128 frames (Linear 1024 - BN - ReLU - Linear 256 - BN - ReLU - Linear 10) 13,143,642,
    the published 13M. Exact: the layers. That the row of the paper's table is this network is our reading, and so are
    the lengths of the medians that make the channels (``LogMelDurations``) at a hop of 32 ms.

    Arguments
    ---------
    channels : list of int
        Widths of the five convolutions, multiples of 3.

    Example
    -------
    >>> import torch
    >>> AlexNetLike()(torch.randn(2, 3, 256, 313)).shape
    torch.Size([2, 192, 16, 19])
    """

    tiny = {"channels": [3, 6, 6, 6, 6]}

    def __init__(self, channels=(48, 96, 192, 192, 192)):
        check_counts("channels", channels, length=5)
        if any(width % GROUPS for width in channels):
            raise ValueError(f"channels must be multiples of {GROUPS}, got {list(channels)}")
        layers = []
        for place, (ins, outs) in enumerate(zip([GROUPS, *channels[:-1]], channels)):
            layers.append(conv_bn(ins, outs, 3, groups=GROUPS, activation=nn.ReLU(inplace=True)))
            layers += [] if place == 3 else [nn.MaxPool2d(2)]
        super().__init__(*layers)
        self.set_geometry(channels[-1], time_reduction=16, context_frames=1 + 2 + 4 + 8 + 8, in_channels=GROUPS)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (every pooling halves, rounding down)."""
        return n_mels // self.time_reduction

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return num_frames // self.time_reduction
