"""The fully convolutional network of Hu et al. for DCASE 2020 task 1A.

Hu et al., "A two-stage approach to device-robust acoustic scene classification", ICASSP 2021.
"""

import torch
from torch import nn

from mil_asc.checks import check_count, check_counts, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn


class ChannelAttention(nn.Module):
    """Each channel times a factor from 0 to 1, of its mean and its maximum over the map: (B, C, F, T), same shape.

    Sigmoid of f(means) + f(maxima), where f is linear to C/2 - ReLU - linear to C (Woo et al., ECCV 2018). The widths
    are published; ReLU and the sum are those of that publication.
    """

    def __init__(self, channels):
        super().__init__()
        hidden = max(1, channels // 2)
        self.shared = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1)
        )

    def forward(self, x_BCFT):
        """The map with its channels weighted."""
        mean_BC11, greatest_BC11 = x_BCFT.mean((2, 3), keepdim=True), x_BCFT.amax((2, 3), keepdim=True)
        return x_BCFT * torch.sigmoid(self.shared(mean_BC11) + self.shared(greatest_BC11))


class FCNN(nn.Sequential, Extractor):
    """BN - 5x5 conv of stride 2 - 3x3 conv - pooling - two 3x3 conv - pooling - four 3x3 conv - pooling.

    (B, in_channels, F, T) -> (B, 576, F/16, T/16). BN - ReLU follow every convolution, none of which has a bias;
    dropout is between the last four, pooling is 2x2 max-pooling. 11,774,454 parameters at 3 channels; with the
    published head 11,780,329. Exact: the layers of the authors' code. The head (1x1 conv to a map per class, BN, ReLU,
    BN, channel attention, mean) is left out unless ``class_maps`` is given. Its attention averages over the whole map,
    so then every column depends on the whole clip, and the model's own linear layer follows, which the publication does
    not have. The paper's table has another FCNN, of 871K parameters, whose layers are not known.

    Arguments
    ---------
    channels : list of int
        Widths before the first, the second and the third pooling.
    dropout : float
        Probability (0 to below 1).
    in_channels : int
        Channels of the input; 3 in the publication, log-mel and deltas.
    class_maps : int
        Maps of the published head, 10 in the publication; 0: without that head.

    Example
    -------
    >>> import torch
    >>> FCNN(channels=[4, 6, 8])(torch.randn(2, 3, 256, 313)).shape
    torch.Size([2, 8, 16, 19])
    """

    tiny = {"channels": [4, 6, 8]}
    later = {"class_maps": 0}

    def __init__(self, channels=(144, 288, 576), dropout=0.3, in_channels=3, class_maps=0):
        check_counts("channels", channels, length=3)
        check_number("dropout", dropout, least=0, below=1)
        check_count("in_channels", in_channels)
        check_count("class_maps", class_maps, least=0)
        low, middle, high = channels
        super().__init__(
            nn.BatchNorm2d(in_channels),
            conv_bn(in_channels, low, 5, stride=2, activation=nn.ReLU(inplace=True)),
            conv_bn(low, low, 3, activation=nn.ReLU(inplace=True)),
            nn.MaxPool2d(2),
            conv_bn(low, middle, 3, activation=nn.ReLU(inplace=True)),
            conv_bn(middle, middle, 3, activation=nn.ReLU(inplace=True)),
            nn.MaxPool2d(2),
            conv_bn(middle, high, 3, activation=nn.ReLU(inplace=True)),
            *(layer for _ in range(3) for layer in _dropped(high, dropout)),
            nn.MaxPool2d(2),
            *(_published_head(high, class_maps) if class_maps else []),
        )
        context = None if class_maps else 2 + 2 + 2 * 4 + 4 * 8  # the convolutions at each frame rate
        self.set_geometry(class_maps or high, time_reduction=16, context_frames=context, in_channels=in_channels)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins: half, rounded up, then every pooling halves."""
        return (n_mels + 1) // 2 // 8

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return (num_frames + 1) // 2 // 8


def _published_head(channels, class_maps):
    """From the last pooling to the mean, which is left to the model; batch norms without scale and offset."""
    return [
        nn.Conv2d(channels, class_maps, 1, bias=False),
        nn.BatchNorm2d(class_maps, affine=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(class_maps, affine=False),
        ChannelAttention(class_maps),
    ]


def _dropped(channels, dropout):
    return [nn.Dropout(dropout), conv_bn(channels, channels, 3, activation=nn.ReLU(inplace=True))]
