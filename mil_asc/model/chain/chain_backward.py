"""Numba's kernels for the gradients of a chain; names as in ``chain_forward``.

The gradient of a batch norm of N values, with the gradient ``d`` of what it gives, is (Ioffe and Szegedy, "Batch
Normalization", arXiv 1502.03167, section 3)

    scale * d + slope * u + offset
    slope = -scale * sum(d * (u - mean)) / (N * variance),   offset = -scale * sum(d) / N - slope * mean

where ``variance`` includes eps. ``d`` is the gradient of the ReLU's result where scale * u + shift is positive, else 0.
"""

import numpy as np
from numba import float32

from mil_asc.model.chain.compiled import kernel, part
from mil_asc.model.chain.cpu_numbers import add, get, put
from mil_asc.model.chain.pieces import CHUNKS, LINES, add_sums, clear, copy, pieces, place, spread, store_lines


@kernel
def slopes(gradient, u, numbers, lower, sums, shape, first, last):
    """Sums of d and of d * (u - mean), for the last batch norm. ``numbers``: scale, shift, mean."""
    lanes = 128
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    buffer = np.zeros(5 * lanes, np.float32)
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            clear(buffer, 3 * lanes, 2 * lanes)
            for line in range(shape.lines):
                for g in range(runs):
                    source, lane = base + g * shape.group_stride + line * shape.line_stride, g * width
                    for i in range(run):
                        value, at = get(u, source + i), lane + i
                        result = value * get(buffer, at) + get(buffer, lanes + at)
                        d = get(gradient, source + i) if result > lower else float32(0)
                        add(buffer, 3 * lanes + at, d)
                        add(buffer, 4 * lanes + at, d * (value - get(buffer, 2 * lanes + at)))
            add_sums(sums[chunk], buffer, 3 * lanes, 2, channel, width, runs * run, lanes)


@kernel
def normalize_back(gradient, u, out, numbers, shape, first, last):
    """out = gradient of u, for the first batch norm, which no ReLU follows. ``numbers``: scale, offset, slope."""
    lanes = 128
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    buffer = np.zeros(3 * lanes, np.float32)
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            for line in range(shape.lines):
                for g in range(runs):
                    source, lane = base + g * shape.group_stride + line * shape.line_stride, g * width
                    for i in range(run):
                        at = lane + i
                        value = get(buffer, at) * get(gradient, source + i) + get(buffer, lanes + at)
                        put(out, source + i, value + get(buffer, 2 * lanes + at) * get(u, source + i))


@kernel
def convolve_back_along_f(gradient, u, before, also, out, numbers, lower, sums, shape, first, last):
    """``convolve_back`` along F, where a block begins: its input is added up too."""
    convolve_back(gradient, u, before, also, out, numbers, lower, sums, shape, first, last, 256, True)


@kernel
def convolve_back_along_t(gradient, u, before, also, out, numbers, lower, sums, shape, first, last):
    """``convolve_back`` along T, within a block."""
    convolve_back(gradient, u, before, also, out, numbers, lower, sums, shape, first, last, 128, False)


@part
def convolve_back(gradient, u, before, also, out, numbers, lower, sums, shape, first, last, lanes, extra):
    """The gradients of a convolution between two batch norms, and the sums of the one before it.

    ``u``, ``gradient``: of the convolution's batch norm, with its ReLU; ``before``: u of the batch norm before the
    convolution. out = gradient of that one's result: of its use by the convolution, and ``also`` if ``extra``.

    ``numbers``: scale, shift, offset, slope of the one after; scale, shift, mean of the one before; three taps.
    ``sums``: of the taps' gradients, of the bias's; of d and d * (before - mean) of the batch norm before.
    Of the buffer, rows 10 to 15 are the sums, rows 16 to 21 are lines of the gradient of what the convolution gives,
    from the one before the first of four to the one after the last; then four each of ``before``, ``also``, results.
    """
    width, tile, blocks, tiles, items = pieces(shape, lanes)
    buffer = np.zeros(34 * lanes, np.float32)
    d, x, z, y = 16 * lanes, 22 * lanes, 26 * lanes, 30 * lanes
    for chunk in range(first, last):
        for item in range(items * chunk // CHUNKS, items * (chunk + 1) // CHUNKS):
            base, channel, runs, run = place(item, shape, width, tile, blocks, tiles)
            spread(buffer, numbers, channel, width, lanes)
            clear(buffer, 10 * lanes, 6 * lanes)
            clear(buffer, d + 4 * lanes, lanes)  # the line before the first
            for g in range(runs):
                source = base + g * shape.group_stride
                _normalize_back(buffer, d + 5 * lanes, gradient, u, source, g * width, run, lanes)
            for line in range(0, shape.lines, LINES):
                copy(buffer, d, d + 4 * lanes, 2 * lanes)
                here = min(LINES, shape.lines - line)
                for j in range(2, 6):
                    if line + j - 1 >= shape.lines:
                        clear(buffer, d + j * lanes, lanes)
                        continue
                    for g in range(runs):
                        source = base + g * shape.group_stride + (line + j - 1) * shape.line_stride
                        _normalize_back(buffer, d + j * lanes, gradient, u, source, g * width, run, lanes)
                for j in range(here):
                    for g in range(runs):
                        source, lane = base + g * shape.group_stride + (line + j) * shape.line_stride, g * width
                        for i in range(run):
                            put(buffer, x + j * lanes + lane + i, get(before, source + i))
                        if extra:
                            for i in range(run):
                                put(buffer, z + j * lanes + lane + i, get(also, source + i))
                if here == LINES:
                    _four_lines_back(buffer, lower, lanes, extra)
                else:
                    for j in range(here):
                        _one_line_back(buffer, j, lower, lanes, extra)
                store_lines(buffer, y, here, out, base, line, shape, runs, run, width, lanes)
            add_sums(sums[chunk], buffer, 10 * lanes, 6, channel, width, runs * run, lanes)


@part
def _normalize_back(buffer, to, gradient, u, source, lane, run, lanes):
    for i in range(run):
        value, at = get(u, source + i), lane + i
        scale = get(buffer, at)
        result = value * scale + get(buffer, lanes + at)
        passed = get(gradient, source + i) if result > float32(0) else float32(0)
        put(buffer, to + at, passed * scale + (get(buffer, 3 * lanes + at) * value + get(buffer, 2 * lanes + at)))


@part
def _of_line(buffer, i, j, lower, lanes, extra, d0, d1, d2):
    """Store a line's gradient; its input, what passes the ReLU, and that times the distance from the mean."""
    value = get(buffer, (22 + j) * lanes + i)
    result = value * get(buffer, 4 * lanes + i) + get(buffer, 5 * lanes + i)
    back = get(buffer, 7 * lanes + i) * d2 + get(buffer, 8 * lanes + i) * d1 + get(buffer, 9 * lanes + i) * d0
    if extra:
        back += get(buffer, (26 + j) * lanes + i)
    put(buffer, (30 + j) * lanes + i, back)
    passed = back if result > lower else float32(0)
    return lower if result < lower else result, passed, passed * (value - get(buffer, 6 * lanes + i))


@part
def _four_lines_back(buffer, lower, lanes, extra):
    d, sums = 16 * lanes, 10 * lanes
    for i in range(lanes):
        d0, d1, d2 = get(buffer, d + i), get(buffer, d + lanes + i), get(buffer, d + 2 * lanes + i)
        d3, d4 = get(buffer, d + 3 * lanes + i), get(buffer, d + 4 * lanes + i)
        d5 = get(buffer, d + 5 * lanes + i)
        x0, p0, q0 = _of_line(buffer, i, 0, lower, lanes, extra, d0, d1, d2)
        x1, p1, q1 = _of_line(buffer, i, 1, lower, lanes, extra, d1, d2, d3)
        x2, p2, q2 = _of_line(buffer, i, 2, lower, lanes, extra, d2, d3, d4)
        x3, p3, q3 = _of_line(buffer, i, 3, lower, lanes, extra, d3, d4, d5)
        add(buffer, sums + i, (x0 * d2 + x1 * d3) + (x2 * d4 + x3 * d5))
        add(buffer, sums + lanes + i, (x0 * d1 + x1 * d2) + (x2 * d3 + x3 * d4))
        add(buffer, sums + 2 * lanes + i, (x0 * d0 + x1 * d1) + (x2 * d2 + x3 * d3))
        add(buffer, sums + 3 * lanes + i, (d1 + d2) + (d3 + d4))
        add(buffer, sums + 4 * lanes + i, (p0 + p1) + (p2 + p3))
        add(buffer, sums + 5 * lanes + i, (q0 + q1) + (q2 + q3))


@part
def _one_line_back(buffer, j, lower, lanes, extra):
    """Rows j, j + 1, j + 2 of the gradient are the lines before, here and after."""
    d, sums = (16 + j) * lanes, 10 * lanes
    for i in range(lanes):
        d0, d1, d2 = get(buffer, d + i), get(buffer, d + lanes + i), get(buffer, d + 2 * lanes + i)
        x, passed, product = _of_line(buffer, i, j, lower, lanes, extra, d0, d1, d2)
        add(buffer, sums + i, x * d2)
        add(buffer, sums + lanes + i, x * d1)
        add(buffer, sums + 2 * lanes + i, x * d0)
        add(buffer, sums + 3 * lanes + i, d1)
        add(buffer, sums + 4 * lanes + i, passed)
        add(buffer, sums + 5 * lanes + i, product)
