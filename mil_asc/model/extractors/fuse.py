"""FUSE, the fully separated convolutional network (paper, section 3.2, Eq. 9, Table 1)."""

from torch import nn

from mil_asc.checks import check_count, check_counts, check_odd
from mil_asc.model.axis_conv import AxisConv2d
from mil_asc.model.chain.conditions import fits
from mil_asc.model.extractors.base import Extractor


class FuseConvBlock(nn.Sequential):
    """Frequency-wise depthwise conv (k x 1) - BN - ReLU - time-wise depthwise conv (1 x k) - BN - ReLU.

    (B, channels, F, T) -> (B, channels, F, T).
    """

    def __init__(self, channels, frequency_kernel=3, time_kernel=3):
        super().__init__(
            AxisConv2d(channels, frequency_kernel, axis=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            AxisConv2d(channels, time_kernel, axis=3),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class FuseConvMod(nn.Module):
    """Pointwise conv - BN, then a chain of blocks whose outputs are all summed (Eq. 9).

    (B, in_channels, F, T) -> (B, out_channels, F/2, T/2), or (B, out_channels, F, T) without pooling.
    No ReLU follows the pointwise convolution, as Eq. 9 is written; with one, channels die and
    training is less stable.
    """

    kernels = True
    """False: PyTorch's operations alone in training on a CPU too, for comparisons."""

    def __init__(self, in_channels, out_channels, num_blocks=3, frequency_kernel=3, time_kernel=3, pool=True):
        super().__init__()
        self.pointwise = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        self.blocks = nn.ModuleList(
            FuseConvBlock(out_channels, frequency_kernel, time_kernel) for _ in range(num_blocks)
        )
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()

    def forward(self, x_BCFT):
        """Sum of the pointwise output and every block's output, pooled."""
        if self.kernels and fits(x_BCFT, self):
            return self._fused(x_BCFT)
        x_BCFT = self.pointwise(x_BCFT)
        total_BCFT = x_BCFT
        for block in self.blocks:
            x_BCFT = block(x_BCFT)
            total_BCFT = total_BCFT + x_BCFT
        return self.pool(total_BCFT)

    def _fused(self, x_BCFT):
        from mil_asc.model.chain.fused_chain import pointwise, sum_of_blocks  # they need numba
        from mil_asc.model.chain.max_pool import max_pool

        total_BCFT = sum_of_blocks(pointwise(x_BCFT, self.pointwise[0]), self.pointwise[1], self.blocks)
        return max_pool(total_BCFT) if isinstance(self.pool, nn.MaxPool2d) else total_BCFT


class FUSE(nn.Sequential, Extractor):
    """Fully separated convolutional network: one FuseConvMod per entry of ``channels``; the last does not pool.

    Arguments
    ---------
    channels : sequence of int
        Output channels of every module (Table 1: 32, 64, 128, 256).
    num_blocks : int
        FUSE-ConvBlocks in a module, n of Eq. 9.
    frequency_kernel, time_kernel : int
        Odd sizes of the depthwise kernels along frequency and time.

    Example
    -------
    >>> import torch
    >>> FUSE()(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 256, 32, 39])
    """

    tiny = {"channels": [4, 4, 6, 8], "num_blocks": 1}

    def __init__(self, channels=(32, 64, 128, 256), num_blocks=3, frequency_kernel=3, time_kernel=3):
        check_counts("channels", channels)
        check_count("num_blocks", num_blocks, least=0)
        check_odd("frequency_kernel", frequency_kernel)
        check_odd("time_kernel", time_kernel)
        pairs = zip([1, *channels[:-1]], channels)
        super().__init__(
            *(
                FuseConvMod(ins, outs, num_blocks, frequency_kernel, time_kernel, pool=i < len(channels) - 1)
                for i, (ins, outs) in enumerate(pairs)
            )
        )
        context = sum(num_blocks * (time_kernel // 2) * 2**i for i in range(len(channels)))
        self.set_geometry(channels[-1], time_reduction=2 ** (len(channels) - 1), context_frames=context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (every pooling halves, rounding down)."""
        return n_mels // self.time_reduction

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return num_frames // self.time_reduction
