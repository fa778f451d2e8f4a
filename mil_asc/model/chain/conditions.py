"""Whether the kernels of this folder can compute a FUSE module; without numba nothing else of it can be imported."""

import importlib.util
import os

import torch
from torch import nn

from mil_asc.errors import UserError
from mil_asc.model.axis_conv import AxisConv2d

SWITCH = "MIL_ASC_KERNELS"
"""Environment variable: ``pytorch`` leaves everything to PyTorch, ``numba`` is the default."""

LEAST_NUMBERS = 2**18
"""Elements of a tensor from which the kernels are used: for fewer, calling them takes longer than computing."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def kernels_of_cpu():
    """What computes FUSE in training on a CPU: ``numba`` if it is installed and ``SWITCH`` does not say otherwise.

    Raises
    ------
    UserError
        ``SWITCH`` is neither of the two, or is ``numba``, which is not installed.
    """
    wish = os.environ.get(SWITCH) or None
    if wish not in (None, "numba", "pytorch"):
        raise UserError(f"{SWITCH} must be numba or pytorch; got {wish!r}")
    there = importlib.util.find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
    if wish == "numba" and not there:
        raise UserError(f"{SWITCH}=numba: numba is not installed, or NUMBA_DISABLE_JIT is set")
    return wish or ("numba" if there else "pytorch")


def fits(x_BCFT, module):
    """Whether the kernels can compute what a ``FuseConvMod`` makes of ``x_BCFT``, and its gradients.

    That is in training, on a CPU, with numba, in float32 or bfloat16, with three taps, and for the very layers of FUSE.
    Batch norms that average over ranks, hooks on what the kernels would pass over, and what traces or compiles
    PyTorch's operations are left to PyTorch.

    Arguments
    ---------
    x_BCFT : torch.Tensor
        (B, in_channels, F, T) input of the module.
    module : FuseConvMod
    """
    return (
        x_BCFT.device.type == "cpu"
        and module.pointwise[1].training
        and _type_fits(x_BCFT, module)
        and _size_fits(x_BCFT, module)
        and _layers_fit(module)
        and not _is_watched(module)
        and kernels_of_cpu() == "numba"
    )


def _type_fits(x_BCFT, module):
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x_BCFT.dtype
    return dtype in (torch.float32, torch.bfloat16) and all(p.dtype == torch.float32 for p in module.parameters())


def _size_fits(x_BCFT, module):
    channels = module.pointwise[0].out_channels
    return (
        x_BCFT.dim() == 4
        and x_BCFT.shape[1] == module.pointwise[0].in_channels
        and x_BCFT.numel() > x_BCFT.shape[1]  # more than one value per channel
        and x_BCFT.numel() // x_BCFT.shape[1] * channels >= LEAST_NUMBERS
        and (channels <= 128 or channels % 256 == 0)
        and (type(module.pool) is nn.Identity or min(x_BCFT.shape[2:]) >= 2)
    )


def _layers_fit(module):
    """Whether the layers are those that the kernels know, with their usual settings."""
    pool, blocks = module.pool, list(module.blocks)
    return (
        len(blocks) > 0
        and type(module.pointwise[0]) is nn.Conv2d
        and _norm_fits(module.pointwise[1])
        and all(_block_fits(block) for block in blocks)
        and (
            type(pool) is nn.Identity
            or (type(pool) is nn.MaxPool2d and repr(pool) == repr(nn.MaxPool2d(2)) and not pool.return_indices)
        )
    )


def _block_fits(block):
    return (
        len(block) == 6
        and all(_convolution_fits(block[i], axis) for i, axis in ((0, 2), (3, 3)))
        and all(_norm_fits(block[i]) for i in (1, 4))
        and all(type(block[i]) is nn.ReLU for i in (2, 5))
    )


def _convolution_fits(convolution, axis):
    if type(convolution) is not AxisConv2d or convolution.bias is None:
        return False
    names = ("axis", "kernel_size", "padding", "stride", "dilation", "padding_mode")
    usual = (axis, *(((3, 1), (1, 0)) if axis == 2 else ((1, 3), (0, 1))), (1, 1), (1, 1), "zeros")
    return tuple(getattr(convolution, name) for name in names) == usual


def _norm_fits(norm):
    return type(norm) is nn.BatchNorm2d and norm.training and norm.affine


def _is_watched(module):
    """Whether anything looks at single layers, or follows PyTorch's operations."""
    inside = list(module.modules())[1:]
    return (
        any(getattr(one, hooks) for one in inside for hooks in HOOKS)
        or nn.modules.module._has_any_global_hook()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    )
