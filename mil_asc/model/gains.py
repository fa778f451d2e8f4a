"""How much batch norms amplify their input: dead channels, and gains that unseen input may blow up."""

from dataclasses import dataclass

import torch
from torch import nn

DEAD = 1e-4
"""A channel is dead if its running variance is below this share of its layer's median."""
GAIN_LIMIT = 50.0
"""A greater gain is warned of. In a chain of four layers it multiplies by millions."""


@dataclass(frozen=True)
class Gains:
    """What the batch norms of a model do to their input.

    Attributes
    ----------
    largest : float
        The largest gain |gamma| / sqrt(running variance + eps) of a channel.
    layer : str
        Name of the module with that channel.
    dead : int
        Channels whose input hardly varies in training: ReLUs before them that almost never fire.
    channels : int
        All channels of all batch norms.
    smallest_variance : float
        The smallest running variance.
    """

    largest: float
    layer: str
    dead: int
    channels: int
    smallest_variance: float

    @property
    def note(self) -> str:
        """A sentence on dead channels."""
        return (
            f"{self.dead} of {self.channels} batch-norm channels hardly vary in training (dead); "
            f"the largest gain is {self.largest:.1f} (limit {GAIN_LIMIT:.0f})"
        )

    @property
    def warning(self) -> str | None:
        """A sentence on gains above the limit, or None."""
        if self.largest <= GAIN_LIMIT:
            return None
        return (
            f"batch norm {self.layer} multiplies a channel by {self.largest:.0f} (limit {GAIN_LIMIT:.0f}), and "
            f"{self.dead} of {self.channels} channels hardly vary in training: recordings unlike the training set may "
            "get scores of any size (docs/batch-norm.md)"
        )


def batch_norm_gains(model: nn.Module) -> Gains | None:
    """``Gains`` of a model with running statistics; None if it has no batch norm.

    Example
    -------
    >>> norm = nn.BatchNorm2d(3, eps=0.0)
    >>> norm.running_var.copy_(torch.tensor([1.0, 0.25, 1e-6]))
    tensor([1.0000e+00, 2.5000e-01, 1.0000e-06])
    >>> gains = batch_norm_gains(nn.Sequential(norm))
    >>> round(gains.largest), gains.layer, gains.dead, gains.channels
    (1000, '0', 1, 3)
    """
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            variance_C = module.running_var.detach().double().cpu()
            gamma_C = torch.ones_like(variance_C) if module.weight is None else module.weight.detach().double().cpu()
            gain = (gamma_C.abs() / (variance_C + module.eps).sqrt()).max().item()
            dead = int((variance_C < DEAD * variance_C.median()).sum())
            found.append((gain, name, dead, len(variance_C), variance_C.min().item()))
    if not found:
        return None
    largest, layer, *_ = max(found)
    dead, channels = (sum(column) for column in list(zip(*found))[2:4])
    return Gains(largest, layer, dead, channels, min(row[4] for row in found))
