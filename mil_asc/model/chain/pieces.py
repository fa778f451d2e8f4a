"""How a tensor is divided into pieces of work for numba's kernels.

A tensor (B, C, F, T) in channels_last lies in memory as (B, F, T, C). ``Shape`` sees it as ``outer`` x ``groups`` x
``lines`` x ``channels``, where a convolution runs along the lines: F or T. A piece of work is as many neighbouring
groups as fit into ``lanes`` numbers; a kernel goes along its lines in a buffer that the fastest cache holds. The pieces
are divided into chunks whose number does not depend on the threads, each with sums of its own in float64: results do
not depend on the threads either.
"""

from typing import NamedTuple

from numba import float32

from mil_asc.model.chain.compiled import part
from mil_asc.model.chain.cpu_numbers import get, put

CHUNKS = 128
"""Parts of the work, and the most threads that have any."""

LINES = 4
"""Lines at a time; the kernels write them out."""


class Shape(NamedTuple):
    """How a tensor lies in memory, in elements."""

    outer: int
    groups: int
    lines: int
    channels: int
    outer_stride: int
    group_stride: int
    line_stride: int


def shape_along(axis, batch, channels, height, width):
    """``Shape`` of a (batch, channels, height, width) tensor in channels_last; axis 2: lines are rows, 3: columns."""
    row = width * channels
    if axis == 2:
        return Shape(batch, width, height, channels, height * row, channels, row)
    return Shape(1, batch * height, width, channels, 0, row, channels)


@part
def pieces(shape, lanes):
    """Channels of a piece of work, groups of one, and their numbers: blocks of channels, tiles of groups, all."""
    width = min(shape.channels, lanes)
    tile = lanes // width
    blocks = shape.channels // width
    tiles = (shape.groups + tile - 1) // tile
    return width, tile, blocks, tiles, shape.outer * tiles * blocks


@part
def place(item, shape, width, tile, blocks, tiles):
    """Of a piece of work: its first element and channel, and its runs of neighbouring elements: number and length."""
    channel = (item % blocks) * width
    group = (item // blocks) % tiles * tile
    base = item // (blocks * tiles) * shape.outer_stride + group * shape.group_stride + channel
    groups = min(tile, shape.groups - group)
    if shape.group_stride == width:
        return base, channel, 1, groups * width
    return base, channel, groups, width


@part
def spread(buffer, numbers, channel, width, lanes):
    """Begin ``buffer`` with the rows of ``numbers``, each repeated for all groups of a piece of work."""
    for row in range(numbers.shape[0]):
        for first in range(0, lanes - width + 1, width):
            for i in range(width):
                put(buffer, row * lanes + first + i, numbers[row, channel + i])


@part
def clear(buffer, first, count):
    """Set ``count`` numbers to zero."""
    for i in range(count):
        put(buffer, first + i, float32(0))


@part
def copy(buffer, target, source, count):
    """Copy ``count`` numbers within ``buffer``."""
    for i in range(count):
        put(buffer, target + i, get(buffer, source + i))


@part
def store_lines(buffer, first, count, out, base, line, shape, runs, run, width, lanes):
    """Write ``count`` lines of ``buffer``, from the number ``first`` on, to ``out``, from its line ``line`` on."""
    for j in range(count):
        for g in range(runs):
            target = base + g * shape.group_stride + (line + j) * shape.line_stride
            for i in range(run):
                put(out, target + i, get(buffer, first + j * lanes + g * width + i))


@part
def add_sums(sums, buffer, first, rows, channel, width, used, lanes):
    """Add rows of lanes of ``buffer`` to ``sums`` (rows, C), in float64."""
    for row in range(rows):
        for i in range(used):
            sums[row, channel + i % width] += get(buffer, first + row * lanes + i)
