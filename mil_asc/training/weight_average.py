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

    Arguments
    ---------
    model : torch.nn.Module
        On its device; it is not changed outside ``in_place``.
    decay : float
        d after many steps n (above 0, below 1).

    Example
    -------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.9)
    >>> with torch.no_grad(): _ = model.weight.fill_(1.0)
    >>> average.update()
    >>> with average.in_place():
    ...     float(model.weight.detach()) > 0.8
    True
    """

    def __init__(self, model, decay):
        self.model, self.decay, self.steps = model, decay, 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.trained = [name for name, _ in model.named_parameters()]

    @torch.no_grad()
    def update(self):
        """Take in the weights after an optimizer step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        weights = self.model.state_dict()
        torch._foreach_lerp_([self.average[n] for n in self.trained], [weights[n] for n in self.trained], 1 - decay)
        self.steps += 1

    @contextlib.contextmanager
    def in_place(self):
        """Within this context, the model has the averaged weights; what its buffers become there belongs to these."""
        last = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        try:
            yield
            self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        finally:
            self.model.load_state_dict(last)

    def replace_weights(self):
        """Give the model the averaged weights, and the buffers that belong to them, for good."""
        self.model.load_state_dict(self.average)

    @mark_as_saver
    def save(self, path):
        """Save to ``path``."""
        torch.save({"average": self.average, "steps": self.steps}, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Load from ``path``."""
        del end_of_epoch
        device = next(iter(self.average.values())).device
        state = torch.load(path, map_location=device, weights_only=True)
        self.average, self.steps = state["average"], state["steps"]
