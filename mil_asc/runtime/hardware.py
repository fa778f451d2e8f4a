"""What the machine supports, and the fastest settings for it."""

import contextlib
import platform
import resource

import torch

from mil_asc.errors import UserError


def find_device(name=None):
    """The ``torch.device`` called ``name``, by default the GPU if there is one; a ``UserError`` if it is not there."""
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).item()  # the device "meta" has no values
    except (RuntimeError, AssertionError, TypeError) as error:  # AssertionError: a PyTorch without CUDA
        raise UserError(f"--device={name}: no such device is available; use --device=cpu") from error
    return torch.device(name)


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""Parts of the messages of PyTorch, which raises a ``RuntimeError`` on a CPU."""


@contextlib.contextmanager
def memory_errors(advice):
    """Turn errors for lack of memory into a ``UserError`` of one line that ends with ``advice``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(part in str(error) for part in OUT_OF_MEMORY):
            raise
        reason = " ".join(str(error).split()) or "Python found none"
        raise UserError(f"out of memory ({reason:.200}): {advice}") from error


def cpu_has_bf16():
    """True if the processor multiplies bfloat16 natively (AVX-512 BF16 or AMX)."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def best_precision(device_type):
    """``bf16`` if the device computes it natively, else ``fp32`` (values of ``--precision``)."""
    if device_type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device_type == "cpu" and cpu_has_bf16() else "fp32"


def tune(device_type):
    """Choose fast convolutions on a GPU, in TF32; matrix products, including those of the log-mel, stay in float32."""
    if device_type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = True


def describe(device):
    """One line about the device: processor and threads, or GPU and memory."""
    device = torch.device(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    threads = torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def processor_name():
    """Name of the processor, as the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "CPU")
    except OSError:
        return platform.processor() or platform.machine()


def peak_memory(device):
    """Peak memory so far (in bytes): of the process, or of the GPU's allocations."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
