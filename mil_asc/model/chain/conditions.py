"""Whether the kernels of this folder can compute a FUSE module; without numba nothing else of it can be imported."""

import importlib.util
import os

import torch
from torch import nn

from mil_asc.errors import UserError

SWITCH = "MIL_ASC_KERNELS"
"""Environment variable: ``pytorch`` leaves everything to PyTorch, ``numba`` is the default."""

LEAST_NUMBERS = 2**18
"""Elements of a tensor from which the kernels are used: for fewer, calling them takes longer than computing."""


def kernels_of_cpu():
    """What computes FUSE in training on a CPU: ``numba`` if it is installed and ``SWITCH`` does not say otherwise.

    Raises
    ------
    UserError
        ``SWITCH`` is neither of the two, or is ``numba``, which is not installed.
    """
    wish = os.environ.get(SWITCH)
    if wish not in (None, "numba", "pytorch"):
        raise UserError(f"{SWITCH} must be numba or pytorch; got {wish!r}")
    there = importlib.util.find_spec("numba") is not None
    if wish == "numba" and not there:
        raise UserError(f"{SWITCH}=numba: numba is not installed")
    return wish or ("numba" if there else "pytorch")


def fits(x_BCFT, pointwise, norm, blocks):
    """Whether the kernels can compute what a module makes of ``x_BCFT`` before pooling, and its gradients.

    That is in training, on a CPU, with numba, in float32 or bfloat16, with three taps. A batch norm that averages over
    ranks, and hooks on what the kernels would pass over, are left to PyTorch.

    Arguments
    ---------
    x_BCFT : torch.Tensor
        (B, in_channels, F, T) input of the module.
    pointwise : torch.nn.Conv2d
    norm : torch.nn.BatchNorm2d
    blocks : sequence of FuseConvBlock
    """
    if not (norm.training and x_BCFT.device.type == "cpu" and len(blocks)):
        return False
    parts = [norm, *(part for block in blocks for part in block)]
    norms = [norm, *(block[i] for block in blocks for i in (1, 4))]
    convolutions = [block[i] for block in blocks for i in (0, 3)]
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x_BCFT.dtype
    channels = pointwise.out_channels
    return (
        dtype in (torch.float32, torch.bfloat16)
        and all(p.dtype == torch.float32 for part in (pointwise, *parts) for p in part.parameters(recurse=False))
        and x_BCFT.numel() // x_BCFT.shape[1] * channels >= LEAST_NUMBERS
        and (channels <= 128 or channels % 256 == 0)
        and all(convolution.weight[0].numel() == 3 for convolution in convolutions)
        and all(type(one) is nn.BatchNorm2d and one.training and one.affine for one in norms)
        and not any(part._forward_hooks or part._forward_pre_hooks for part in (pointwise, *parts, *blocks))
        and not torch.compiler.is_exporting()
        and kernels_of_cpu() == "numba"
    )
