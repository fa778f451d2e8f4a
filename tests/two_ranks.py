"""Functions of a test that run on two ranks: processes of their own, connected by gloo."""

import io
import os
import socket
import sys
import traceback
from multiprocessing import get_context

import torch

from mil_asc.training.ranks import join_ranks


def run_on_ranks(function, *arguments, count=2):
    """What ``function(ranks, *arguments)`` returns on each of ``count`` ranks; it and they must be picklable."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    context = get_context("spawn")
    results = context.SimpleQueue()
    processes = [
        context.Process(target=_rank, args=(rank, count, port, results, function, arguments)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    try:
        found = dict(results.get() for _ in processes)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    failed = [text for text in found.values() if isinstance(text, str)]
    codes = [process.exitcode for process in processes]
    assert not failed and not any(codes), "\n".join([str(codes), *failed])
    return [torch.load(io.BytesIO(found[rank]), weights_only=False) for rank in range(count)]


def _rank(rank, count, port, results, function, arguments):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    try:
        ranks = join_ranks()
        written = io.BytesIO()  # tensors would be shared with a process that has ended
        torch.save(function(ranks, *arguments), written)
        results.put((rank, written.getvalue()))
        ranks.barrier()
        torch.distributed.destroy_process_group()
    except BaseException:
        results.put((rank, traceback.format_exc()))
        sys.exit(1)
