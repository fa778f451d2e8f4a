"""The depthwise convolution along an axis: PyTorch's on the CPU, and its kernels against it in double precision."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from mil_asc.model.axis_conv import AxisConv2d, fits
from mil_asc.model.extractors.fuse import FUSE

IN_THE_INTERPRETER = """
import sys
import torch
from torch import nn
from mil_asc.model import axis_conv
from test_axis_conv import errors

axis_conv.fits = lambda x: True  # the interpreter computes on the CPU
for axis in (2, 3):
    for taps in (1, 3, 5):
        for channels in (5, 33):
            worst = max(errors(axis_conv.AxisConv2d(channels, taps, axis), torch.float32))
            assert worst < 1e-5, (axis, taps, channels, worst)
print("all agree")
"""


def errors(convolution, dtype, device="cpu"):
    """Relative errors of the output and of the three gradients, against float64 on the CPU."""
    torch.manual_seed(0)
    channels = convolution.in_channels
    convolution = convolution.to(device).to(memory_format=torch.channels_last)
    x = torch.randn(2, channels, 9, 7, device=device).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = convolution(x)
    assert y.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)
    grad = torch.randn_like(y)
    y.backward(grad)
    exact = nn.Conv2d(
        channels, channels, convolution.kernel_size, padding=convolution.padding, groups=channels
    ).double()
    exact.load_state_dict({name: value.double().cpu() for name, value in convolution.state_dict().items()})
    x_64 = x.detach().double().cpu().contiguous().requires_grad_()
    y_64 = exact(x_64)
    y_64.backward(grad.double().cpu())
    pairs = [(y, y_64), (x.grad, x_64.grad), (convolution.weight.grad, exact.weight.grad)]
    pairs.append((convolution.bias.grad, exact.bias.grad))
    return [((found.double().cpu() - wanted).norm() / wanted.norm()).item() for found, wanted in pairs]


def test_kernels_agree_with_double_precision_in_the_interpreter():
    pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", IN_THE_INTERPRETER], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "all agree" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_layer_agrees_with_double_precision(device, axis, dtype, limit):
    assert max(errors(AxisConv2d(33, 5, axis), dtype, device.type)) < limit


def test_kernels_are_used_on_a_gpu_in_channels_last_alone(device):
    x = torch.zeros(1, 4, 3, 3, device=device)
    assert not fits(x)
    assert fits(x.to(memory_format=torch.channels_last)) == (device.type == "cuda")
    assert not fits(x.double().to(memory_format=torch.channels_last))


def test_parameters_are_those_of_a_convolution_of_pytorch():
    torch.manual_seed(3)
    own = AxisConv2d(6, 3, axis=3)
    torch.manual_seed(3)
    other = nn.Conv2d(6, 6, (1, 3), padding=(0, 1), groups=6)
    assert own.state_dict().keys() == other.state_dict().keys()
    assert torch.equal(own.weight, other.weight) and torch.equal(own.bias, other.bias)


def test_fuse_is_made_of_it():
    layers = [layer for layer in FUSE().modules() if isinstance(layer, AxisConv2d)]
    assert len(layers) == 24 and {layer.axis for layer in layers} == {2, 3}
