"""The chain of a FUSE module in training on a CPU: its blocks and their sum (Eq. 9), with numba's kernels.

PyTorch goes over memory once or more for each convolution, batch norm, ReLU and addition, and keeps what most of them
give. Here, one pass computes a convolution together with the batch norm and the ReLU before it and the statistics of
the batch norm after it, and only what the convolutions give is kept for the backward pass.
"""

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from mil_asc.model.chain import chain_backward, chain_forward
from mil_asc.model.chain.memory import elements, run, run_with_sums
from mil_asc.model.chain.pieces import shape_along

CONVOLVE = {2: chain_forward.convolve_along_f, 3: chain_forward.convolve_along_t}
CONVOLVE_BACK = {2: chain_backward.convolve_back_along_f, 3: chain_backward.convolve_back_along_t}
"""Kernels by the axis of a convolution: a block begins along F, then goes along T."""


PLACES = 31
"""Places of a tensor that are looked at for a typical number."""


def pointwise(x_BCFT, convolution):
    """What a pointwise convolution gives, in channels_last; for one input channel faster than PyTorch's."""
    if x_BCFT.shape[1] > 1:
        return convolution(x_BCFT)
    x_BFTC, weight = x_BCFT.permute(0, 2, 3, 1), convolution.weight.flatten(1)
    return torch.nn.functional.linear(x_BFTC, weight, convolution.bias).permute(0, 3, 1, 2)


def sum_of_blocks(u_BCFT, norm, blocks):
    """Batch norm ``norm`` of ``u_BCFT``, then the blocks in turn; the sum of all their results.

    Running statistics of the batch norms are updated as PyTorch does it.

    Arguments
    ---------
    u_BCFT : torch.Tensor
        (B, C, F, T) output of the pointwise convolution, in channels_last.
    norm : torch.nn.BatchNorm2d
    blocks : sequence of FuseConvBlock

    Returns
    -------
    torch.Tensor
        (B, C, F, T), in the type of ``u_BCFT``. Sums along a line are in float32, those of lines in float64.
    """
    norms = [norm, *(part for block in blocks for part in (block[1], block[4]))]
    convolutions = [part for block in blocks for part in (block[0], block[3])]
    parameters = [p for part in (*norms, *convolutions) for p in (part.weight, part.bias)]
    eps = [one.eps for one in norms]
    total_BCFT, mean_NC, variance_NC = _Chain.apply(u_BCFT, eps, *parameters)
    count = u_BCFT.numel() // u_BCFT.shape[1]
    for one, mean_C, variance_C in zip(norms, mean_NC, variance_NC):
        _update(one, mean_C, variance_C * (count / (count - 1)))
    return total_BCFT


@torch.no_grad()
def _update(norm, mean_C, variance_C):
    if not norm.track_running_stats:
        return
    norm.num_batches_tracked.add_(1)
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.mul_(1 - share).add_(mean_C, alpha=share)
    norm.running_var.mul_(1 - share).add_(variance_C, alpha=share)


class _Chain(torch.autograd.Function):
    """Sum of a chain's results, with the means and variances of all batch norms, which are constants for autograd."""

    @staticmethod
    def forward(ctx, u_BCFT, eps, *parameters):
        ctx.set_materialize_grads(False)
        run = _Pass(u_BCFT, eps, parameters)
        total_BCFT = run.forward()
        mean_NC, variance_NC = torch.from_numpy(run.mean_NC), torch.from_numpy(run.variance_NC)
        ctx.run = run if any(ctx.needs_input_grad) else None
        ctx.mark_non_differentiable(mean_NC, variance_NC)
        return total_BCFT, mean_NC, variance_NC

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_BCFT, *_):
        run, ctx.run = ctx.run, None
        if run is None:
            raise RuntimeError("the backward pass of a chain is possible once: what it needs is gone")
        gradient_u_BCFT, gradients = run.backward(gradient_BCFT)
        return gradient_u_BCFT, None, *gradients


class _Pass:
    """A forward pass and what the backward pass needs of it.

    ``us`` are what the pointwise and the depthwise convolutions give; row n of the arrays belongs to the n-th of them
    and to the batch norm that follows it.
    """

    def __init__(self, u_BCFT, eps, parameters):
        self.us = [u_BCFT.contiguous(memory_format=torch.channels_last)]
        self.shape = u_BCFT.shape
        values = [p.detach().numpy().copy() for p in parameters]  # the backward pass needs them as they are now
        count = len(eps)
        self.weight_NC, self.bias_NC = np.stack(values[: 2 * count : 2]), np.stack(values[1 : 2 * count : 2])
        self.taps = [value.reshape(len(value), 3).T for value in values[2 * count :: 2]]
        self.taps_shapes = [p.shape for p in parameters[2 * count :: 2]]
        self.bias = values[2 * count + 1 :: 2]
        self.eps = np.array(eps)
        self.mean_NC, self.variance_NC = np.zeros((2, *self.weight_NC.shape))
        self.scale_NC, self.shift_NC = np.zeros((2, *self.weight_NC.shape))

    # -- forward

    def forward(self):
        """The sum of the chain's results."""
        u_BCFT = self.us[0]
        pivot_C = self._pivot(0)
        sums = run_with_sums(chain_forward.moments, 2, self._shape(3), (elements(u_BCFT), pivot_C[None]))
        self._normalize(0, sums, pivot_C)
        for n, (taps_3C, bias_C) in enumerate(zip(self.taps, self.bias)):
            axis = 2 + n % 2
            pivot_C = self._pivot(n, axis, taps_3C)
            numbers = np.stack([*taps_3C, bias_C, pivot_C, self.scale_NC[n], self.shift_NC[n]]).astype(np.float32)
            out_BCFT = torch.empty_like(u_BCFT)
            arrays = elements(self.us[n]), elements(out_BCFT), numbers, self._lower(n)
            sums = run_with_sums(CONVOLVE[axis], 2, self._shape(axis), arrays)
            self.us.append(out_BCFT)
            self._normalize(n + 1, sums, pivot_C + bias_C)
        return self._add_up()

    def _normalize(self, n, sums_2C, level_C):
        """Statistics of the n-th batch norm from sums around ``level_C``."""
        mean_C, square_C = sums_2C / (self.us[n].numel() // self.shape[1])
        with np.errstate(invalid="ignore", over="ignore"):  # infinities become NaN, which the training loop finds
            self.mean_NC[n] = mean_C + level_C
            self.variance_NC[n] = np.maximum(square_C - mean_C**2, 0.0)  # a constant channel may be rounded below 0
            self.scale_NC[n] = self.weight_NC[n] / np.sqrt(self.variance_NC[n] + self.eps[n])
            self.shift_NC[n] = self.bias_NC[n] - self.mean_NC[n] * self.scale_NC[n]

    def _pivot(self, n, axis=None, taps_3C=None):
        """(C,) a typical number of what the n-th kernel sums: of u, or of what a convolution gives without its bias.

        It is the median over some places, because sums of squares around a far number would lose digits.
        """
        batch, channels, height, width = self.shape
        places = torch.arange(PLACES, device="cpu") * (batch * height * width - 1) // (PLACES - 1)
        u_NC = self.us[n].permute(0, 2, 3, 1).reshape(-1, channels)
        if axis is None:
            return u_NC[places].float().median(dim=0).values.numpy()
        step, size = (width, height) if axis == 2 else (1, width)
        line = places // step % size
        scale_C, shift_C = (torch.from_numpy(one[n].astype(np.float32)) for one in (self.scale_NC, self.shift_NC))
        total_PC = torch.zeros(PLACES, channels, device="cpu")
        for offset, tap_C in zip((-1, 0, 1), taps_3C):
            inside = (line + offset >= 0) & (line + offset < size)
            value_PC = u_NC[torch.where(inside, places + offset * step, places)].float() * scale_C + shift_C
            value_PC = value_PC if n == 0 else value_PC.relu()
            total_PC += torch.where(inside.unsqueeze(1), value_PC * torch.from_numpy(tap_C.copy()), 0.0)
        return total_PC.median(dim=0).values.numpy()

    def _add_up(self):
        """The first batch norm's result and those of the blocks, added."""
        total_BCFT = torch.empty_like(self.us[0])
        ends = range(0, len(self.us), 2)
        numbers = np.stack([row for n in ends for row in (self.scale_NC[n], self.shift_NC[n])]).astype(np.float32)
        lowers = np.array([self._lower(n) for n in ends])
        us = tuple(elements(self.us[n]) for n in ends)
        run(chain_forward.add_up, (us, elements(total_BCFT), numbers, lowers, self._shape(3)))
        return total_BCFT

    @staticmethod
    def _lower(n):
        """Least value of the n-th result: no ReLU follows the first batch norm."""
        return np.float32(0) if n else np.float32(-np.inf)

    def _shape(self, axis):
        return shape_along(axis, *self.shape)

    # -- backward

    def backward(self, gradient_BCFT):
        """Gradients of the first tensor, and of the parameters in the order in which they were given."""
        total = gradient_BCFT.to(self.us[0].dtype).contiguous(memory_format=torch.channels_last)
        last = len(self.us) - 1
        of_norms, of_convolutions = [None] * (last + 1), [None] * last
        numbers = np.stack([self.scale_NC[last], self.shift_NC[last], self.mean_NC[last]]).astype(np.float32)
        arrays = elements(total), elements(self.us[last]), numbers, self._lower(last)
        sums = run_with_sums(chain_backward.slopes, 2, self._shape(3), arrays)
        gradient = total
        for n in range(last, 0, -1):
            of_norms[n] = self._of_norm(n, sums)
            gradient, sums, of_convolutions[n - 1] = self._convolve_back(n, gradient, total, sums)
            self.us[n] = None
        of_norms[0] = self._of_norm(0, sums)
        out = torch.empty_like(total)
        numbers = np.stack([self.scale_NC[0], *self._back(0, sums)]).astype(np.float32)
        arrays = elements(gradient), elements(self.us[0]), elements(out), numbers
        run(chain_backward.normalize_back, (*arrays, self._shape(3)))
        self.us.clear()
        return out, [torch.from_numpy(g) for pair in (*of_norms, *of_convolutions) for g in pair]

    def _of_norm(self, n, sums_2C):
        """Gradients of weight and bias of the n-th batch norm."""
        weight_C = sums_2C[1] / np.sqrt(self.variance_NC[n] + self.eps[n])
        return weight_C.astype(np.float32), sums_2C[0].astype(np.float32)

    def _back(self, n, sums_2C):
        """Offset and slope of the n-th batch norm's gradient (``chain_backward``)."""
        count = self.shape.numel() // self.shape[1]
        offset_C, slope_C = -self.scale_NC[n] * sums_2C / count
        slope_C /= self.variance_NC[n] + self.eps[n]
        return offset_C - slope_C * self.mean_NC[n], slope_C

    def _convolve_back(self, n, gradient, total, sums_2C):
        """Of the n-th convolution: gradient of its input, sums of the batch norm before, gradients of taps and bias."""
        axis, before = 2 + (n - 1) % 2, n - 1
        after = [self.scale_NC[n], self.shift_NC[n], *self._back(n, sums_2C)]
        numbers = [*after, self.scale_NC[before], self.shift_NC[before], self.mean_NC[before], *self.taps[before]]
        numbers = np.stack(numbers).astype(np.float32)
        out = torch.empty_like(total)
        tensors = gradient, self.us[n], self.us[before], total, out
        arrays = *(elements(x) for x in tensors), numbers, self._lower(before)
        sums_6C = run_with_sums(CONVOLVE_BACK[axis], 6, self._shape(axis), arrays)
        taps = np.ascontiguousarray(sums_6C[:3].T.astype(np.float32)).reshape(self.taps_shapes[before])
        return out, sums_6C[4:], (taps, sums_6C[3].astype(np.float32))
