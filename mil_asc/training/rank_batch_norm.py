"""Batch norm whose statistics in training are those of the batches of all ranks together.

PyTorch's ``SyncBatchNorm`` works on GPUs only, and counts the clip that a rank without own clips computes. This one
works on every device. In evaluation mode it is the batch norm that it was before.
"""

import torch
from torch import distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mil_asc.errors import UserError


def join_batch_norms(model, ranks):
    """Make every batch norm of ``model`` use the statistics of all ranks, in place; nothing changes with one rank.

    Its class becomes a subclass, so that parameters, hooks and the names in state dicts stay.

    Arguments
    ---------
    model : torch.nn.Module
    ranks : Ranks

    Raises
    ------
    UserError
        A batch norm is not of one of PyTorch's three classes.
    """
    for name, module in model.named_modules() if ranks.several else ():
        if isinstance(module, _BatchNorm) and not isinstance(module, _OfRanks):
            if type(module) not in JOINED:
                known = ", ".join(one.__name__ for one in JOINED)
                raise UserError(f"{name} is a {type(module).__name__}: with several ranks, batch norms must be {known}")
            module.__class__ = JOINED[type(module)]
            module.ranks = ranks


class _OfRanks:
    """The forward pass of a batch norm that belongs to several ranks (``ranks``)."""

    def forward(self, x):
        """Normalized ``x``, (B, C, ...), of the same dtype."""
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        count, mean_C, variance_C = _statistics(x, self.ranks)
        if x.numel() == x.shape[1] and count < 2:  # the count of all ranks is on the device, and looking at it waits
            raise ValueError(f"expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        if self.track_running_stats:
            self._update(count, mean_C, variance_C)
        return _Normalize.apply(x, self.weight, self.bias, mean_C, variance_C, self.eps, count, self.ranks)

    @torch.no_grad()
    def _update(self, count, mean_C, variance_C):
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - share).add_(mean_C, alpha=share)
        self.running_var.mul_(1 - share).add_(variance_C * (count / (count - 1)), alpha=share)


class _OfRanks1d(_OfRanks, nn.BatchNorm1d):
    pass


class _OfRanks2d(_OfRanks, nn.BatchNorm2d):
    pass


class _OfRanks3d(_OfRanks, nn.BatchNorm3d):
    pass


JOINED = {nn.BatchNorm1d: _OfRanks1d, nn.BatchNorm2d: _OfRanks2d, nn.BatchNorm3d: _OfRanks3d}
"""Batch norms of one rank -> those of several."""


@torch.no_grad()
def _statistics(x, ranks):
    """Number of values per channel, mean and biased variance (C,) over the batches of all ranks.

    Sums of squares are around each rank's own mean, and are joined in float64, in the order of the ranks.
    """
    count = 0 if ranks.idle else x.numel() // x.shape[1]
    variance_C, mean_C = torch.var_mean(_wide(x), dim=_others(x), correction=0)
    own = torch.cat([mean_C, variance_C]).double()
    own = torch.cat([own if count else torch.zeros_like(own), own.new_full((1,), float(count))])
    found = [torch.empty_like(own) for _ in range(ranks.count)]
    distributed.all_gather(found, own)
    found = torch.stack(found)
    (mean_RC, variance_RC), count_R1 = found[:, :-1].chunk(2, dim=1), found[:, -1:]
    total = count_R1.sum()
    mean_C = (count_R1 * mean_RC).sum(0) / total
    variance_C = (count_R1 * (variance_RC + (mean_RC - mean_C) ** 2)).sum(0) / total
    return total, mean_C.to(_wide(x).dtype), variance_C.to(_wide(x).dtype)


def _wide(x):
    """``x`` in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _others(x):
    """Dimensions of (B, C, ...) besides the channels."""
    return [dim for dim in range(x.dim()) if dim != 1]


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, where mean and variance depend on the x of all ranks."""

    @staticmethod
    def forward(ctx, x, weight, bias, mean_C, variance_C, eps, count, ranks):
        """Normalized x; the mean and the variance are constants for autograd, whose gradients go to x."""
        ctx.save_for_backward(x, weight, mean_C, torch.rsqrt(variance_C + eps), count)
        ctx.ranks, ctx.idle, ctx.has_bias = ranks, ranks.idle, bias is not None
        return torch.batch_norm(x, weight, bias, mean_C, variance_C, False, 0.0, eps, torch.backends.cudnn.enabled)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        """Gradients of x, which belong to the sum of all ranks' losses, and this rank's gradients of the affine map."""
        x, weight, mean_C, scale_C, count = ctx.saved_tensors
        shape = [1, -1] + [1] * (x.dim() - 2)
        centred, wide = _wide(x) - mean_C.view(shape), _wide(gradient)
        sum_C, product_C = wide.sum(_others(x)), (wide * centred).sum(_others(x))
        of_weight = (product_C * scale_C).to(weight.dtype) if weight is not None else None
        of_bias = sum_C.to(gradient.dtype if weight is None else weight.dtype) if ctx.has_bias else None
        sums = torch.stack([sum_C, product_C]).double()
        distributed.all_reduce(sums)
        if not ctx.idle:  # the statistics do not depend on the clip of an idle rank
            sum_C, product_C = (sums / count).to(wide.dtype)
            wide = wide - sum_C.view(shape) - centred * (product_C * scale_C**2).view(shape)
        scale_C = scale_C if weight is None else scale_C * weight
        return (wide * scale_C.view(shape)).to(x.dtype), of_weight, of_bias, None, None, None, None, None
