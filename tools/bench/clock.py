"""Seconds of repeated calls, on a CPU or a GPU."""

import math
import time

import torch


def clock(call, device, fill=0.0, calls=None, one_by_one=False):
    """Seconds of repeated calls: ``calls`` of them, or as many as fill ``fill`` seconds.

    A GPU is waited for at the end alone, or after each call when they are wanted ``one_by_one``.
    """
    if calls is None:
        calls = repetitions(clock(call, device, calls=1)[0], fill)
    if one_by_one:
        return [clock(call, device, calls=1)[0] for _ in range(calls)]
    wait(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait(device)
    return [(time.perf_counter() - start) / calls] * calls


def repetitions(seconds, fill):
    """Calls of ``seconds`` each that fill ``fill`` seconds: 1 to 200."""
    return min(max(math.ceil(fill / max(seconds, 1e-9)), 1), 200)


def wait(device):
    """Wait until a GPU has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def forget_peak(device):
    """Start the peak of a GPU's memory afresh (a process's cannot be)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
