"""AclNet, an end-to-end network on waveforms (paper, Table 8).

Huang and Alvarado Leanos, "AclNet: efficient end-to-end audio classification CNN", arXiv 1811.06669; for scenes: Huang,
Lu, Lopez-Meyer et al., DCASE workshop 2019.
"""

from torch import nn

from mil_asc.checks import check_count, check_counts, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn


class AclNet(Extractor):
    """Two strided convolutions of the waveform, whose filters are the rows of a map for a VGG-like network.

    (B, 1, 1, N) -> (B, 512, 2, N/5120): the convolutions round N/8 up, the poolings round down. The first two are
    along time (9 of stride 2 to 16 channels, 5 of stride 4 to 64), followed by max-pooling of 20: at 16 kHz a frame is
    10 ms. On the 64 rows: 3x3 conv to 32 - 2x2 max-pooling, then two 3x3 convs and 2x2 max-pooling for 64, 128, 256 and
    512 channels, dropout last. Every convolution has a bias, BN and ReLU. Use it at 16 kHz: 31 instances of 10 s.

    With a 1x1 convolution to 10 classes the default has 4,716,938 parameters, and 18,828,682 with twice the widths. The
    published 19.3M are those of twice the widths and 527 outputs, the classes of AudioSet: 19,358,607 (derived: from
    code of a third party; both numbers are our fit, and so are BN and ReLU after every convolution).

    Arguments
    ---------
    channels : list of int
        Width of every stage of the map. The first has one convolution, the others have two.
    filters : int
        Filters of the second convolution of the waveform, which are the rows of the map.
    pool : int
        Span of the max-pooling before the map.
    dropout : float
        Probability of the dropout, 0 to below 1.

    Example
    -------
    >>> import torch
    >>> AclNet()(torch.randn(2, 1, 1, 160000)).shape
    torch.Size([2, 512, 2, 31])
    """

    input = "waveform"
    tiny = {"channels": [4, 6], "filters": 8, "pool": 2}

    def __init__(self, channels=(32, 64, 128, 256, 512), filters=64, pool=20, dropout=0.2):
        super().__init__()
        check_counts("channels", channels)
        check_count("filters", filters)
        check_count("pool", pool)
        check_number("dropout", dropout, least=0, below=1)
        self.rows = filters // 2 ** len(channels)
        if self.rows < 1:
            raise ValueError(
                f"filters must be at least {2 ** len(channels)} with {len(channels)} stages, got {filters}"
            )
        self.low_level = nn.Sequential(
            conv_bn(1, 16, (1, 9), stride=(1, 2), bias=True, activation=nn.ReLU(inplace=True)),
            conv_bn(16, filters, (1, 5), stride=(1, 4), bias=True, activation=nn.ReLU(inplace=True)),
            nn.MaxPool2d((1, pool)),
        )
        layers, ins, step, context = [], 1, 8 * pool, 4 + 2 * 2
        for outs in channels:
            for width in [ins, outs] if layers else [ins]:
                layers.append(conv_bn(width, outs, 3, bias=True, activation=nn.ReLU(inplace=True)))
                context += step
            layers.append(nn.MaxPool2d(2))
            ins, step = outs, 2 * step
        self.high_level = nn.Sequential(*layers, nn.Dropout(dropout))
        self.set_geometry(channels[-1], time_reduction=step, context_frames=context)

    def forward(self, x_B11N):
        """(B, 1, 1, N) -> (B, ``out_channels``, rows, columns)."""
        filtered_BF1T = self.low_level(x_B11N)
        return self.high_level(filtered_BF1T.transpose(1, 2))

    def out_height(self, height):
        """Rows F' of the feature map: the filters, halved by every stage."""
        return self.rows

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` samples (int or integer tensor)."""
        return -(-num_frames // 8) // (self.time_reduction // 8)
