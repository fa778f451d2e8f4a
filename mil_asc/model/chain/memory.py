"""Tensors as numba's kernels see them, and how the kernels are run."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch

from mil_asc.model.chain.compiled import prepare
from mil_asc.model.chain.pieces import CHUNKS


def elements(x_BCFT):
    """The elements of a tensor in channels_last, in the order of memory, as an array; bfloat16 as its 16 bits."""
    flat = x_BCFT.detach().permute(0, 2, 3, 1).reshape(-1)
    return flat.view(torch.int16).numpy().view(np.uint16) if flat.dtype == torch.bfloat16 else flat.numpy()


def run(kernel, arguments):
    """Call a kernel for all chunks, in as many threads as PyTorch uses."""
    prepare(kernel, (*arguments, 0, CHUNKS))
    threads = min(torch.get_num_threads(), CHUNKS)
    edges = [CHUNKS * i // threads for i in range(threads + 1)]
    if threads == 1:
        kernel(*arguments, 0, CHUNKS)
    else:
        list(_pool(threads).map(lambda i: kernel(*arguments, edges[i], edges[i + 1]), range(threads)))


def run_with_sums(kernel, rows, shape, arrays):
    """As ``run`` with ``shape`` for a kernel that makes sums; returns them, (rows, C) float64."""
    sums = np.zeros((CHUNKS, rows, shape.channels))
    run(kernel, (*arrays, sums, shape))
    return sums.sum(axis=0)


@cache
def _pool(threads):
    return ThreadPoolExecutor(threads, thread_name_prefix="chain")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads
