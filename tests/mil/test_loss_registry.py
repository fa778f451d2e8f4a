"""What every loss promises, tested for all of them: a new class in ``mil_asc.mil`` is found by itself."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
import torch

import mil_asc.mil
from mil_asc.mil.assigners import positive_negative_labels
from mil_asc.mil.bags import Bags, make_bags
from mil_asc.mil.losses import Loss
from mil_asc.model.heads import log_odds

for module in pkgutil.walk_packages(mil_asc.mil.__path__, "mil_asc.mil."):
    importlib.import_module(module.name)
ROOT = Path(__file__).parents[2]
LOSSES = sorted(Loss.registry)
every = pytest.mark.parametrize("name", LOSSES)


def build(name):
    cls = Loss.registry[name]
    return cls(positive_negative_labels) if "assigner" in inspect.signature(cls).parameters else cls()


def bags_of(logits_BIC, mask_BI=None):
    """Bags whose confidences may be read as sigmoid or as softmax."""
    return make_bags(log_odds(logits_BIC), mask_BI)


@pytest.fixture
def logits_BIC():
    return torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))


LABEL_B = torch.tensor([0, 1, 2, 0])


@every
def test_one_loss_per_clip_finite_and_not_negative(name, logits_BIC):
    loss_B = build(name)(bags_of(logits_BIC), LABEL_B)
    assert loss_B.shape == (4,) and loss_B.isfinite().all() and (loss_B >= 0).all()


@every
def test_clips_do_not_depend_on_each_other(name, logits_BIC):
    order = torch.tensor([3, 1, 0, 2])
    loss_B = build(name)(bags_of(logits_BIC), LABEL_B)
    torch.testing.assert_close(build(name)(bags_of(logits_BIC[order]), LABEL_B[order]), loss_B[order])


@every
def test_padding_does_not_count(name, logits_BIC):
    padded_BIC = torch.cat([logits_BIC, 9 * torch.randn(4, 3, 3)], dim=1)
    mask_BI = torch.arange(9).expand(4, 9) < 6
    expected_B = build(name)(bags_of(logits_BIC), LABEL_B)
    torch.testing.assert_close(build(name)(bags_of(padded_BIC, mask_BI), LABEL_B), expected_B)


@every
def test_a_step_against_the_gradient_lowers_it(name, logits_BIC):
    logits_BIC.requires_grad_()
    loss = build(name)(bags_of(logits_BIC), LABEL_B).mean()
    (gradient_BIC,) = torch.autograd.grad(loss, logits_BIC)
    assert gradient_BIC.isfinite().all() and gradient_BIC.any()
    with torch.no_grad():
        assert build(name)(bags_of(logits_BIC - 1e-2 * gradient_BIC), LABEL_B).mean() < loss


@every
def test_float64_stays_finite_for_confident_bags(name, logits_BIC):
    wide_BIC = 40 * logits_BIC.double()
    loss_B = build(name)(Bags(wide_BIC, torch.ones(4, 6, dtype=torch.bool), wide_BIC.amax(1)), LABEL_B)
    assert loss_B.isfinite().all()


@every
def test_an_objective_uses_it(name):
    blocks = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("hparams/objectives/*.yaml"))
    cls = Loss.registry[name]
    assert f"!new:{cls.__module__}.{name}" in blocks


def test_a_loss_without_confidence_is_refused_when_its_class_is_made():
    with pytest.raises(TypeError, match="Broken.confidence must be one of sigmoid, softmax, any"):
        type("Broken", (Loss,), {"__call__": lambda self, bags, label_B: bags.bag_logits_BC[:, 0]})
    assert "Broken" not in Loss.registry


def test_two_losses_of_one_name_are_refused():
    with pytest.raises(TypeError, match="there is a loss called BagBCE already"):
        type("BagBCE", (Loss,), {"confidence": "any"})
