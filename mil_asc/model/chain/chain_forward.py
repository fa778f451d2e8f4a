"""Numba's kernels of a chain: its convolutions, batch norms and ReLUs in few passes over memory.

Names: ``u`` is what a convolution gives, its batch norm is ``scale * u + shift``, and ``lower`` is 0 if a ReLU follows,
else minus infinity. ``numbers`` are rows of float32 values per channel; each kernel lists its own. ``sums`` is
(chunks, rows, channels) float64. ``first`` and ``last`` bound the chunks that a call computes.
"""

import numpy as np

from mil_asc.model.chain.compiled import kernel, part
from mil_asc.model.chain.cpu_numbers import add, get, put
from mil_asc.model.chain.pieces import CHUNKS, LINES, add_sums, clear, copy, pieces, place, spread, store_lines


@kernel
def moments(u, numbers, sums, shape, first, last):
    """Sums of u - pivot and of its square. ``numbers``: pivot."""
    lanes = 128
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    buffer = np.zeros(3 * lanes, np.float32)
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            clear(buffer, lanes, 2 * lanes)
            for line in range(shape.lines):
                for g in range(runs):
                    source, lane = base + g * shape.group_stride + line * shape.line_stride, g * width
                    for i in range(run):
                        value = get(u, source + i) - get(buffer, lane + i)
                        add(buffer, lanes + lane + i, value)
                        add(buffer, 2 * lanes + lane + i, value * value)
            add_sums(sums[chunk], buffer, lanes, 2, channel, width, runs * run, lanes)


@kernel
def convolve_along_f(u, out, numbers, lower, sums, shape, first, last):
    """``convolve`` with 256 lanes: along F, neighbours in memory are farther apart."""
    convolve(u, out, numbers, lower, sums, shape, first, last, 256)


@kernel
def convolve_along_t(u, out, numbers, lower, sums, shape, first, last):
    """``convolve`` with 128 lanes."""
    convolve(u, out, numbers, lower, sums, shape, first, last, 128)


@part
def convolve(u, out, numbers, lower, sums, shape, first, last, lanes):
    """out = convolution of max(scale * u + shift, lower), bias included; sums of out - pivot - bias and of its square.

    ``numbers``: three taps, bias, pivot, scale, shift. Of the buffer, rows 7 and 8 are the sums, rows 9 to 14 are the
    input's lines from the one before the first of four to the one after the last, rows 15 to 18 are the results.
    """
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    buffer = np.zeros(19 * lanes, np.float32)
    x, y = 9 * lanes, 15 * lanes
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            clear(buffer, 7 * lanes, 2 * lanes)
            clear(buffer, x + 4 * lanes, lanes)  # the line before the first
            for g in range(runs):
                _normalize(buffer, x + 5 * lanes, u, base + g * shape.group_stride, g * width, run, lower, lanes)
            for line in range(0, shape.lines, LINES):
                copy(buffer, x, x + 4 * lanes, 2 * lanes)
                for j in range(2, 6):
                    if line + j - 1 >= shape.lines:
                        clear(buffer, x + j * lanes, lanes)
                        continue
                    for g in range(runs):
                        source = base + g * shape.group_stride + (line + j - 1) * shape.line_stride
                        _normalize(buffer, x + j * lanes, u, source, g * width, run, lower, lanes)
                here = min(LINES, shape.lines - line)
                if here == LINES:
                    _four_lines(buffer, lanes)
                else:
                    for j in range(here):
                        _one_line(buffer, j, lanes)
                store_lines(buffer, y, here, out, base, line, shape, runs, run, width, lanes)
            add_sums(sums[chunk], buffer, 7 * lanes, 2, channel, width, runs * run, lanes)


@part
def _normalize(buffer, to, u, source, lane, run, lower, lanes):
    for i in range(run):
        at = lane + i
        value = get(u, source + i) * get(buffer, 5 * lanes + at) + get(buffer, 6 * lanes + at)
        put(buffer, to + at, lower if value < lower else value)


@part
def _four_lines(buffer, lanes):
    total, square, x, y = 7 * lanes, 8 * lanes, 9 * lanes, 15 * lanes
    for i in range(lanes):
        a, b, c = get(buffer, i), get(buffer, lanes + i), get(buffer, 2 * lanes + i)
        pivot = get(buffer, 4 * lanes + i)
        x0, x1, x2 = get(buffer, x + i), get(buffer, x + lanes + i), get(buffer, x + 2 * lanes + i)
        x3, x4 = get(buffer, x + 3 * lanes + i), get(buffer, x + 4 * lanes + i)
        x5 = get(buffer, x + 5 * lanes + i)
        y0 = a * x0 + b * x1 + c * x2 - pivot
        y1 = a * x1 + b * x2 + c * x3 - pivot
        y2 = a * x2 + b * x3 + c * x4 - pivot
        y3 = a * x3 + b * x4 + c * x5 - pivot
        level = get(buffer, 3 * lanes + i) + pivot
        put(buffer, y + i, y0 + level)
        put(buffer, y + lanes + i, y1 + level)
        put(buffer, y + 2 * lanes + i, y2 + level)
        put(buffer, y + 3 * lanes + i, y3 + level)
        add(buffer, total + i, (y0 + y1) + (y2 + y3))
        add(buffer, square + i, (y0 * y0 + y1 * y1) + (y2 * y2 + y3 * y3))


@part
def _one_line(buffer, j, lanes):
    total, square, x, y = 7 * lanes, 8 * lanes, (9 + j) * lanes, (15 + j) * lanes
    for i in range(lanes):
        value = get(buffer, i) * get(buffer, x + i) + get(buffer, lanes + i) * get(buffer, x + lanes + i)
        value += get(buffer, 2 * lanes + i) * get(buffer, x + 2 * lanes + i) - get(buffer, 4 * lanes + i)
        put(buffer, y + i, value + (get(buffer, 3 * lanes + i) + get(buffer, 4 * lanes + i)))
        add(buffer, total + i, value)
        add(buffer, square + i, value * value)


@kernel
def add_up(us, out, numbers, lowers, shape, first, last):
    """out = sum over the tensors of max(scale * u + shift, lower).

    ``us`` is a tuple of arrays; ``numbers``: scale, shift of each, in turn; ``lowers`` (tensors,).
    """
    lanes = 128
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    total = 2 * len(us) * lanes
    buffer = np.zeros(total + lanes, np.float32)
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            for line in range(shape.lines):
                clear(buffer, total, lanes)
                for k in range(len(us)):
                    u, lower, scale = us[k], lowers[k], 2 * k * lanes
                    for g in range(runs):
                        source, lane = base + g * shape.group_stride + line * shape.line_stride, g * width
                        for i in range(run):
                            at = scale + lane + i
                            value = get(u, source + i) * get(buffer, at) + get(buffer, at + lanes)
                            add(buffer, total + lane + i, lower if value < lower else value)
                for g in range(runs):
                    target = base + g * shape.group_stride + line * shape.line_stride
                    for i in range(run):
                        put(out, target + i, get(buffer, total + g * width + i))
