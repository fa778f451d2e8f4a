"""The baseline systems of DCASE challenge task 1 in 2019 and 2021 (Heittola, Mesaros and Virtanen).

Their code is public: toni-heittola/dcase2019_task1_baseline and marmoi/dcase2021_task1a_baseline.
"""

from torch import nn

from mil_asc.checks import check_count, check_counts, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn


class DCASEBaseline(nn.Sequential, Extractor):
    """7x7 conv - BN - ReLU per width; 5x5 max-pooling before the last of them, 4 x ``time_pool`` behind it.

    (B, 1, F, T) -> (B, widths[-1], F/20, T/(5 time_pool)), rounded down. Every convolution has a bias, and channel-wise
    batch norm behind it; dropout follows both poolings. The layers are those of the authors' code (exact); the time
    span of the second pooling is our choice. The authors' 100 leaves one column of a clip of 500 frames, and none of
    the 313 frames of our spectrogram; 8 leaves 7 columns.

    The widths of 2019 have 102,208 parameters, those of 2021, [16, 16, 32], have 38,608. With the authors' head at
    40 mel bins (flattened column, linear to 100, ReLU, dropout, linear to 10 classes) the systems have 116,118 and
    46,118, the published counts. Our nearest generator is ``dense`` with ``instance_dim`` 100: the same linear layer
    with a batch norm (200 parameters more) and no dropout.

    Arguments
    ---------
    widths : list of int
        Width of every convolution, two or more.
    time_pool : int
        Time span of the second pooling.
    dropout : float
        Probability of the dropout, 0 to below 1.

    Example
    -------
    >>> import torch
    >>> DCASEBaseline()(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 64, 12, 7])
    """

    tiny = {"widths": [4, 4, 6], "time_pool": 2}

    def __init__(self, widths=(32, 64), time_pool=8, dropout=0.3):
        check_counts("widths", widths)
        if len(widths) < 2:
            raise ValueError(f"widths must be two or more, as the last is behind a pooling, got {widths!r}")
        check_count("time_pool", time_pool)
        check_number("dropout", dropout, least=0, below=1)
        *early, last = [
            conv_bn(ins, outs, 7, bias=True, activation=nn.ReLU(inplace=True))
            for ins, outs in zip([1, *widths], widths)
        ]
        pool = [nn.MaxPool2d(5), nn.Dropout(dropout)]
        super().__init__(*early, *pool, last, nn.MaxPool2d((4, time_pool)), nn.Dropout(dropout))
        self.set_geometry(widths[-1], time_reduction=5 * time_pool, context_frames=3 * (len(widths) - 1) + 3 * 5)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (a twentieth, rounded down)."""
        return n_mels // 20

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return num_frames // self.time_reduction
