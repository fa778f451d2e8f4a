"""Triton kernels of the depthwise convolution along one axis; they need a GPU, or Triton's interpreter.

Tensors lie in memory as (B, F, T, C). A step along the axis is ``stride`` elements: C along time, T C along frequency.
"""

import torch
import triton
import triton.language as tl

BLOCK = 1024
ROWS, COLUMNS, PROGRAMS = 64, 32, 512
"""Elements of a program; pixels and channels of a tile of the weights' gradient, and programs that share the pixels."""


@triton.jit
def _correlate(
    x, weight, bias, y, total, channels, length, stride, taps: tl.constexpr, block: tl.constexpr, wide: tl.constexpr
):
    program = tl.program_id(0)
    if wide:  # divisions of 64-bit numbers take longer
        program = program.to(tl.int64)
    element = program * block + tl.arange(0, block)
    inside = element < total
    channel = element % channels
    position = (element // stride) % length
    value = tl.load(bias + channel, mask=inside, other=0.0)
    for tap in tl.static_range(taps):
        offset = tap - taps // 2
        there = inside & (position + offset >= 0) & (position + offset < length)
        factor = tl.load(weight + channel * taps + tap, mask=inside, other=0.0)
        value += factor * tl.load(x + element + offset * stride, mask=there, other=0.0).to(tl.float32)
    tl.store(y + element, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _weight_sums(
    x, grad, sums, pixels, channels, length, stride, taps: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr
):
    tap = tl.program_id(2)  # the last one is the bias
    offset = tl.where(tap == taps, 0, tap - taps // 2)
    channel = tl.program_id(1) * columns + tl.arange(0, columns)
    known = channel < channels
    total = tl.zeros((rows, columns), dtype=tl.float32)
    first = tl.program_id(0).to(tl.int64) * rows
    step = tl.num_programs(0).to(tl.int64) * rows
    for start in range(first, pixels, step):
        pixel = start + tl.arange(0, rows)
        position = (pixel // stride) % length + offset
        there = (pixel < pixels) & (position >= 0) & (position < length)
        mask = there[:, None] & known[None, :]
        place = pixel[:, None] * channels + channel[None, :]
        gradient = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
        if tap < taps:
            gradient *= tl.load(x + place + offset * stride * channels, mask=mask, other=0.0).to(tl.float32)
        total += gradient
    place = (tl.program_id(0) * (taps + 1) + tap) * channels + channel
    tl.store(sums + place, tl.sum(total, axis=0), mask=known)


def correlate(x_BCFT, weight_CK, bias_C, axis):
    """Cross-correlation along ``axis`` (2 or 3) with zeros beyond the edges; float32 inside, the type of the input."""
    y_BCFT = torch.empty_like(x_BCFT)
    _, channels, _, frames = x_BCFT.shape
    stride = channels * (frames if axis == 2 else 1)
    sizes = (x_BCFT.numel(), channels, x_BCFT.shape[axis], stride)
    grid = (triton.cdiv(x_BCFT.numel(), BLOCK),)
    options = {"taps": weight_CK.shape[1], "block": BLOCK, "wide": x_BCFT.numel() + BLOCK >= 2**31}
    with torch.cuda.device_of(x_BCFT):
        _correlate[grid](x_BCFT, weight_CK.contiguous(), bias_C, y_BCFT, *sizes, **options)
    return y_BCFT


def weight_gradient(x_BCFT, grad_BCFT, taps, axis):
    """Gradients (C, K) of the weights and (C,) of the bias in float32."""
    batch, channels, height, frames = x_BCFT.shape
    pixels, stride = batch * height * frames, frames if axis == 2 else 1
    programs = min(PROGRAMS, triton.cdiv(pixels, ROWS))
    sums = torch.empty(programs, taps + 1, channels, device=x_BCFT.device)
    grid = (programs, triton.cdiv(channels, COLUMNS), taps + 1)
    sizes = (pixels, channels, x_BCFT.shape[axis], stride)
    with torch.cuda.device_of(x_BCFT):
        _weight_sums[grid](x_BCFT, grad_BCFT, sums, *sizes, taps=taps, rows=ROWS, columns=COLUMNS)
    total_KC = sums.sum(0)
    return total_KC[:taps].T, total_KC[taps]
