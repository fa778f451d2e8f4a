"""Global magnitude pruning: the smallest convolution weights of the whole network are zero, more of them each epoch.

As in the CP-ResNet submissions of Koutini et al. to DCASE 2021 task 1A: the weights to remove are found anew at the
start of every epoch, over all convolutions together; batch norms and biases are kept, but count.
"""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from mil_asc.checks import check_count
from mil_asc.errors import ArgumentError, UserError


def check_pruning(training, augmentation=None):
    """Refuse values of a training block that cannot be used (``ArgumentError``); the keys may be missing."""
    target, epochs = training.get("nonzero_parameters", 0), training.get("prune_epochs", 1)
    check_count("training.nonzero_parameters", target, least=0)
    check_count("training.prune_epochs", epochs)
    if target and epochs > training["number_of_epochs"]:
        raise ArgumentError(
            f"training.prune_epochs must be at most number_of_epochs ({training['number_of_epochs']}), got {epochs}"
        )
    if target and augmentation is not None and augmentation.ema_decay:
        raise ArgumentError(
            "training.nonzero_parameters and augment.ema_decay exclude each other: averaged weights are not zero"
        )


@register_checkpoint_hooks
class MagnitudePruning:
    """Keeps the smallest convolution weights of a network at zero until ``nonzero_parameters`` parameters are left.

    Of all convolution weights, the share that is zero in epoch e is ``min(1, e / epochs)`` of its last value.

    Arguments
    ---------
    network : torch.nn.Module
        On its device; weights that are not trained are left alone.
    nonzero_parameters : int
        Parameters of all kinds that are left at the end.
    epochs : int
        Epochs over which the share rises.

    Raises
    ------
    UserError
        There are not that many convolution weights to remove, or fewer parameters than are to be left.

    Example
    -------
    >>> network = torch.nn.Conv2d(1, 4, 1, bias=False)
    >>> network.weight.data = torch.tensor([1.0, -3.0, 2.0, -4.0]).reshape(4, 1, 1, 1)
    >>> pruning = MagnitudePruning(network, nonzero_parameters=2, epochs=2)
    >>> for epoch in (1, 2):
    ...     pruning.renew(epoch)
    ...     network.weight.flatten().tolist()
    [0.0, -3.0, 2.0, -4.0]
    [0.0, -3.0, 0.0, -4.0]
    """

    def __init__(self, network, nonzero_parameters, epochs):
        self.weights = {
            f"{name}.weight": module.weight
            for name, module in network.named_modules()
            if isinstance(module, torch.nn.modules.conv._ConvNd) and module.weight.requires_grad
        }
        self.prunable = sum(weight.numel() for weight in self.weights.values())
        total = sum(parameter.numel() for parameter in network.parameters())
        self.removed = total - nonzero_parameters
        if not 0 <= self.removed <= self.prunable:
            raise UserError(
                f"training.nonzero_parameters must be from {total - self.prunable} to {total} for this network, "
                f"got {nonzero_parameters}"
            )
        self.epochs = epochs
        self.masks = {}

    @property
    def plan(self):
        """A sentence for the beginning of a run."""
        return (
            f"pruning: {self.removed:,} of {self.prunable:,} convolution weights become zero, all of them from epoch "
            f"{self.epochs} on"
        )

    @property
    def note(self):
        """A sentence for the report, of the weights that are zero now."""
        removed = sum(int((~mask).sum()) for mask in self.masks.values())
        told = f"pruned: the smallest {removed:,} of {self.prunable:,} convolution weights are zero"
        if removed == self.removed:
            return f"{told}, reached in {self.epochs} epoch(s)"
        return f"{told}; {self.removed:,} are not reached before epoch {self.epochs}"

    def is_complete(self, epoch):
        """Whether ``nonzero_parameters`` is reached in an epoch (from 1 up)."""
        return epoch >= self.epochs

    @torch.no_grad()
    def renew(self, epoch):
        """Choose the weights that are zero in an epoch (from 1 up): the smallest; of equal ones, the first."""
        count = round(self.removed * min(epoch / self.epochs, 1.0))
        size = torch.cat([weight.reshape(-1).abs() for weight in self.weights.values()])
        kept = torch.ones_like(size, dtype=torch.bool)
        kept[size.argsort(stable=True)[:count]] = False
        parts = kept.split([weight.numel() for weight in self.weights.values()])
        self.masks = {name: part.reshape(self.weights[name].shape) for name, part in zip(self.weights, parts)}
        self.apply()

    @torch.no_grad()
    def stop_gradients(self):
        """Removed weights get no gradient."""
        for name, mask in self.masks.items():
            if self.weights[name].grad is not None:
                self.weights[name].grad.mul_(mask)

    @torch.no_grad()
    def apply(self):
        """Removed weights are zero, whatever the momentum of the optimizer made of them."""
        for name, mask in self.masks.items():
            self.weights[name].mul_(mask)

    @mark_as_saver
    def save(self, path):
        """Save to ``path``."""
        torch.save(self.masks, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Load from ``path``."""
        del end_of_epoch
        masks = torch.load(path, map_location="cpu", weights_only=True)
        self.masks = {name: mask.to(self.weights[name].device) for name, mask in masks.items()}
