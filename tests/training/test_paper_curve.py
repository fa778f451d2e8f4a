"""The loss of the paper's model over a few steps, in float32: FUSE with 139,082 parameters at 256 mel bins.

Weights are drawn by NumPy, whose numbers do not change with the version of torch. After a change that is meant to
change the losses, print them again, from the root of the repository: python tests/training/test_paper_curve.py
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

sys.path.insert(0, str(Path(__file__).parent))

from test_brain import dataset, recorded

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel

GOLDEN = {
    "plain": [2.60789, 1.68670, 1.95787, 1.91957, 1.71095],
    "stable": [2.53213, 1.74180, 2.09205, 2.12526, 1.96383],
}
"""Loss before each of five steps, by the setting of batch norm; ``plain`` is the paper's."""


def paper_model(batch_norm):
    """The complete model with fixed weights.

    Batch norms have an offset near 1 and a small scale, so that the ReLUs pass almost everything: where channels are
    next to dead, the last bits of a sum would decide over the losses after a few steps.
    """
    model = MILClassifier(LogMel(), FUSE(), batch_norm=batch_norm)
    norms = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    rng = np.random.default_rng(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            owner, _, last = name.rpartition(".")
            deviation = p[0].numel() ** -0.5 if p.dim() > 1 else 0.1
            mean = {"weight": 0.3, "bias": 1.0}[last] if owner in norms else 0.0
            p.copy_(torch.from_numpy(rng.normal(mean, deviation, p.shape)))
    return model


def losses_of(model):
    """Losses of five steps on eight clips of half a second, at the paper's learning rate."""
    brain = recorded(model, epochs=5, batch_size=8, warmup_epochs=1, learning_rate=0.06)
    brain.fit(EpochCounter(5), dataset(8, lengths=(8000,)))
    return brain.losses


@pytest.mark.parametrize("batch_norm", GOLDEN)
def test_golden_loss_curve_of_the_papers_model(batch_norm):
    model = paper_model(batch_norm)
    assert sum(p.numel() for p in model.parameters()) == 139_082
    assert losses_of(model) == pytest.approx(GOLDEN[batch_norm], rel=2e-4)


if __name__ == "__main__":
    for name in GOLDEN:
        print(name, *(f"{loss:.5f}," for loss in losses_of(paper_model(name))))
