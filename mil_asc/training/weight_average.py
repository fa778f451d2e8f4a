"""Exponential moving average of the weights, which is evaluated and saved in place of the last weights.

B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim., 1992;
with the exponential weights and the short memory at the start that are usual for networks (A. Tarvainen and H.
Valpola, "Mean teachers are better role models", NeurIPS 2017).
"""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import contextlib

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks


@register_checkpoint_hooks
class WeightAverage:
    """Averages the weights of a model over its optimizer steps: a <- d a + (1 - d) w, d = min(decay, (1 + n)/(10 + n)).

    It begins with the weights after the first step. Parameters that get no gradients are not averaged.

    Arguments
    ---------
    model : torch.nn.Module
        On its device; it is not changed outside ``in_place`` and ``replace_weights``.
    decay : float
        d after many steps n (above 0, below 1).

    Example
    -------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.9)
    >>> for weight in (1.0, 2.0):
    ...     _ = torch.nn.init.constant_(model.weight, weight)
    ...     average.update()
    >>> with average.in_place():
    ...     round(model.weight.item(), 2)
    1.82
    """

    def __init__(self, model, decay):
        self.model, self.decay, self.steps = model, decay, 0
        self.average = {}
        self.buffers = {}

    @torch.no_grad()
    def update(self):
        """Take in the weights after an optimizer step."""
        weights = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        if not self.average:
            self.average = _copies(weights)
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([self.average[name] for name in weights], list(weights.values()), 1 - decay)
        self.steps += 1

    @contextlib.contextmanager
    def in_place(self):
        """Within this context, the model has the averaged weights; what its buffers become there belongs to these."""
        last = _copies(self.model.state_dict())
        self.model.load_state_dict(last | self.average)
        try:
            yield
            self.buffers = _copies(dict(self.model.named_buffers()))
        finally:
            self.model.load_state_dict(last)

    def replace_weights(self):
        """Give the model the averaged weights, and the buffers that belong to them, for good."""
        own = self.model.state_dict()
        self.model.load_state_dict(own | self.average | {n: v for n, v in self.buffers.items() if n in own})

    @mark_as_saver
    def save(self, path):
        """Save to ``path``."""
        torch.save({"average": self.average, "buffers": self.buffers, "steps": self.steps}, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Load from ``path``."""
        del end_of_epoch
        device = next(self.model.parameters()).device
        state = torch.load(path, map_location=device, weights_only=True)
        self.average, self.buffers, self.steps = state["average"], state["buffers"], state["steps"]


def _copies(tensors):
    return {name: value.detach().clone() for name, value in tensors.items()}
