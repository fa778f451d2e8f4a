"""What reaches SGD in a real run: weight decay, momentum, the warm-up of the learning rate, every parameter."""

import pytest
import tiny
import torch

from mil_asc.training.entry import main
from mil_asc.training.schedule import WarmupCosine

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
OPTIONS = ["--number_of_epochs=3", "--warmup_epochs=2", "--learning_rate=0.2", "--momentum=0.7", "--weight_decay=0.03"]


class Step:
    """One step of an optimizer: its groups, and every parameter before and after, with its gradient."""

    def __init__(self, optimizer, step):
        self.groups = [{**group, "params": list(group["params"])} for group in optimizer.param_groups]
        self.before = [[p.detach().clone() for p in group["params"]] for group in self.groups]
        self.gradients = [[p.grad.clone() for p in group["params"]] for group in self.groups]
        step()
        self.after = [[p.detach().clone() for p in group["params"]] for group in self.groups]


@pytest.fixture
def steps(dcase_folder, tmp_path, monkeypatch):
    """Train with further options, and return the steps: two per epoch, of four clips each."""

    def train(*more):
        found, step = [], torch.optim.SGD.step
        monkeypatch.setattr(torch.optim.SGD, "step", lambda self: found.append(Step(self, lambda: step(self))))
        assert main(tiny.tiny_run(YAML, dcase_folder, tmp_path / "run", *OPTIONS, *more)) == 0
        return found

    return train


def test_values_of_the_settings_reach_every_step(steps):
    found = steps()
    factor = WarmupCosine(3, 2)
    assert [step.groups[0]["lr"] for step in found] == pytest.approx([0.2 * factor((k + 0.5) / 2) for k in range(6)])
    assert [step.groups[0]["lr"] for step in found[:4]] == pytest.approx([0.025, 0.075, 0.125, 0.175])
    for step in found:
        for group in step.groups:
            assert (group["lr"], group["momentum"]) == (step.groups[0]["lr"], 0.7)
            matrices = [p for p in group["params"] if p.dim() > 1]
            assert not matrices or group["weight_decay"] == 0.03


def test_every_parameter_of_the_model_is_trained_once(steps, monkeypatch):
    from mil_asc.training.steps import TrainingRun

    models, build = [], TrainingRun.build_brain
    monkeypatch.setattr(TrainingRun, "build_brain", lambda run: models.append(run.network) or build(run))
    step = steps()[0]
    trained = [p for group in step.groups for p in group["params"]]
    assert len(trained) == len({id(p) for p in trained})
    assert {id(p) for p in trained} == {id(p) for p in models[0].parameters()}


def test_first_two_steps_are_those_of_sgd_by_its_formula(steps):
    """v = m v + g + d p and p = p - r v, with the momentum m, the decay d and the rate r of the settings."""
    first, second = steps()[:2]
    for g, group in enumerate(first.groups):
        decay = group["weight_decay"]
        for k, p in enumerate(first.before[g]):
            v = first.gradients[g][k] + decay * p
            torch.testing.assert_close(first.after[g][k], p - 0.025 * v)
            v = 0.7 * v + second.gradients[g][k] + decay * first.after[g][k]
            torch.testing.assert_close(second.after[g][k], first.after[g][k] - 0.075 * v)


def test_vectors_can_be_left_without_weight_decay(steps):
    decays = {(p.dim() > 1, group["weight_decay"]) for group in steps("--remove_vector_weight_decay")[0].groups
              for p in group["params"]}  # fmt: skip
    assert decays == {(True, 0.03), (False, 0.0)}
