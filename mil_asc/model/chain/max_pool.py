"""Max pooling of 2 x 2 in training on a CPU, with numba's kernels: one byte per result is kept for the backward pass.

``sizes`` are B, F, T and C of what is pooled.
"""

import torch
from numba import float32, uint8
from torch.autograd.function import once_differentiable

from mil_asc.model.chain.compiled import kernel
from mil_asc.model.chain.cpu_numbers import get, mark, mark_at, put
from mil_asc.model.chain.memory import elements, run
from mil_asc.model.chain.pieces import CHUNKS


def max_pool(x_BCFT):
    """(B, C, F, T) -> (B, C, F // 2, T // 2), as ``torch.nn.MaxPool2d(2)``; float32 or bfloat16, in channels_last.

    Of equal values in a window the first gets the gradient, as in PyTorch.
    """
    return _MaxPool.apply(x_BCFT)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BCFT):
        batch, channels, height, width = x_BCFT.shape
        ctx.sizes = batch, height, width, channels
        out_BCFT = _empty(x_BCFT, batch, channels, height // 2, width // 2)
        place_BCFT = _empty(x_BCFT, *out_BCFT.shape, dtype=torch.uint8)
        arrays = elements(x_BCFT), elements(out_BCFT), elements(place_BCFT)
        run(greatest, (*arrays, ctx.sizes))
        ctx.save_for_backward(place_BCFT)
        return out_BCFT

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_BCFT):
        gradient_BCFT = gradient_BCFT.contiguous(memory_format=torch.channels_last)
        batch, height, width, channels = ctx.sizes
        out_BCFT = _empty(gradient_BCFT, batch, channels, height, width)
        arrays = elements(gradient_BCFT), elements(ctx.saved_tensors[0]), elements(out_BCFT)
        run(scatter, (*arrays, ctx.sizes))
        return out_BCFT


def _empty(x, *shape, dtype=None):
    return torch.empty(shape, dtype=dtype or x.dtype, device=x.device, memory_format=torch.channels_last)


@kernel
def greatest(x, out, place, sizes, first, last):
    """out = greatest value of each window; place = 0 to 3, which one. NaN is greater than everything."""
    batch, height, width, channels = sizes
    row = width * channels
    rows = batch * (height // 2)
    for r in range(rows * first // CHUNKS, rows * last // CHUNKS):
        above = (r // (height // 2) * height + r % (height // 2) * 2) * row
        target = r * (width // 2) * channels
        for _ in range(width // 2):
            for c in range(channels):
                best, where = get(x, above + c), uint8(0)
                for k in range(1, 4):
                    other = get(x, above + k // 2 * row + k % 2 * channels + c)
                    if other > best or other != other:
                        best, where = other, uint8(k)
                put(out, target + c, best)
                mark(place, target + c, where)
            above += 2 * channels
            target += channels


@kernel
def scatter(gradient, place, out, sizes, first, last):
    """out = the gradient at the place of the greatest value of each window, else 0."""
    batch, height, width, channels = sizes
    row = width * channels
    for r in range(batch * height * first // CHUNKS, batch * height * last // CHUNKS):
        f, base = r % height, r * row
        source = (r // height * (height // 2) + f // 2) * (width // 2) * channels
        used = width // 2 * 2 if f < height // 2 * 2 else 0
        for t in range(used):
            k = uint8(f % 2 * 2 + t % 2)
            at, to = source + t // 2 * channels, base + t * channels
            for c in range(channels):
                put(out, to + c, get(gradient, at + c) if mark_at(place, at + c) == k else float32(0))
        for i in range(used * channels, row):
            put(out, base + i, float32(0))
