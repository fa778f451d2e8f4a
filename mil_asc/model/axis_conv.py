"""Depthwise convolution along one axis, which is most of FUSE, with kernels of our own on a GPU.

cuDNN has no fast kernels for it in bfloat16 and channels_last: on an H200 they took two thirds of a training step
(docs/speed.md). On the CPU, and wherever the conditions of ``fits`` do not hold, it is ``torch.nn.Conv2d``.
"""

import importlib.util

import torch
from torch import nn


class AxisConv2d(nn.Conv2d):
    """Depthwise convolution with a kernel of (taps, 1) or (1, taps) that keeps height and width.

    Parameters, their names and their initial values are those of ``torch.nn.Conv2d``.

    Arguments
    ---------
    channels : int
    taps : int
        Length of the kernel, odd.
    axis : int
        2: along frequency; 3: along time.

    Example
    -------
    >>> AxisConv2d(4, 3, axis=2)(torch.zeros(1, 4, 8, 5)).shape
    torch.Size([1, 4, 8, 5])
    """

    kernels = True
    """False: ``torch.nn.Conv2d`` on a GPU too, for comparisons."""

    def __init__(self, channels, taps, axis):
        kernel, padding = ((taps, 1), (taps // 2, 0)) if axis == 2 else ((1, taps), (0, taps // 2))
        super().__init__(channels, channels, kernel, padding=padding, groups=channels)
        self.axis = axis

    def forward(self, x_BCFT):
        """(B, channels, F, T) -> the same shape."""
        if not (self.kernels and fits(x_BCFT)):
            return super().forward(x_BCFT)
        if torch.is_autocast_enabled(x_BCFT.device.type):
            x_BCFT = x_BCFT.to(torch.get_autocast_dtype(x_BCFT.device.type))
        return _AxisConvolution.apply(x_BCFT, self.weight, self.bias, self.axis)


def fits(x_BCFT):
    """Whether the kernels can compute this: on a GPU with Triton, in channels_last and a type of at most 32 bits."""
    return (
        x_BCFT.is_cuda
        and x_BCFT.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and x_BCFT.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_exporting()
        and importlib.util.find_spec("triton") is not None
    )


class _AxisConvolution(torch.autograd.Function):
    """The convolution and its gradients; sums are in float32 whatever the type of the input."""

    @staticmethod
    def forward(ctx, x_BCFT, weight, bias_C, axis):
        from mil_asc.model.axis_kernels import correlate

        ctx.save_for_backward(x_BCFT, weight)
        ctx.axis = axis
        return correlate(x_BCFT, weight.flatten(1).float(), bias_C.float(), axis)

    @staticmethod
    def backward(ctx, grad_BCFT):
        from mil_asc.model.axis_kernels import correlate, weight_gradient

        x_BCFT, weight = ctx.saved_tensors
        grad_BCFT = grad_BCFT.contiguous(memory_format=torch.channels_last)
        weight_CK = weight.flatten(1).float()
        grad_x_BCFT = None
        if ctx.needs_input_grad[0]:
            grad_x_BCFT = correlate(grad_BCFT, weight_CK.flip(1), torch.zeros_like(weight_CK[:, 0]), ctx.axis)
        grad_weight_CK, grad_bias_C = weight_gradient(x_BCFT, grad_BCFT, weight_CK.shape[1], ctx.axis)
        return grad_x_BCFT, grad_weight_CK.reshape(weight.shape).to(weight.dtype), grad_bias_C.to(weight.dtype), None
