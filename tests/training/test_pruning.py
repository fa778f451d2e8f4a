"""Magnitude pruning: which weights are zero and when, exact resume, one line for values that cannot be used."""

import json
import signal
import subprocess
import sys

import pytest
import tiny
import torch
from dcase_files import write_dcase_folder
from killed_run import KILLED_RUN
from torch import nn

from mil_asc.augment.augmentation import Augmentation
from mil_asc.errors import ArgumentError, UserError
from mil_asc.training.entry import main
from mil_asc.training.pruning import MagnitudePruning, check_pruning

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
PRUNED = ("--training=sgd_pruned", "--warmup_epochs=1")


def network():
    """50 weights of convolutions and 20 other parameters."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 5, (5, 1)), nn.BatchNorm2d(5), nn.Conv2d(5, 5, 1, bias=False), nn.PReLU(5))


def zeros(model):
    return [int((model[place].weight == 0).sum()) for place in (0, 2)]


def test_share_of_zeros_rises_linearly_to_the_target():
    model = network()
    assert sum(p.numel() for p in model.parameters()) == 70
    pruning = MagnitudePruning(model, nonzero_parameters=30, epochs=4)
    found = []
    for epoch in range(1, 7):
        pruning.renew(epoch)
        found.append(sum(zeros(model)))
    assert found == [10, 20, 30, 40, 40, 40]


def test_the_smallest_weights_of_all_layers_together_are_removed():
    model = network()
    with torch.no_grad():
        model[0].weight.copy_(torch.arange(25.0).reshape(5, 1, 5, 1) + 1)
        model[2].weight.copy_(-100 * (torch.arange(25.0).reshape(5, 5, 1, 1) + 1))
    MagnitudePruning(model, nonzero_parameters=40, epochs=1).renew(1)
    assert zeros(model) == [25, 5] and (model[2].weight.flatten()[:5] == 0).all()
    assert model[1].weight.count_nonzero() == 5


def test_removed_weights_stay_zero_under_momentum_and_weight_decay():
    model = network()
    pruning = MagnitudePruning(model, nonzero_parameters=40, epochs=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for step in range(4):
        if step == 2:
            pruning.renew(1)
        model(torch.randn(2, 1, 8, 8)).square().mean().backward()
        pruning.stop_gradients()
        if step >= 2:
            assert not model[0].weight.grad[model[0].weight == 0].any()
        optimizer.step()
        pruning.apply()
        optimizer.zero_grad()
    assert sum(zeros(model)) == 30


def test_frozen_weights_are_left_alone():
    model = network()
    model[0].requires_grad_(False)
    MagnitudePruning(model, nonzero_parameters=50, epochs=1).renew(1)
    assert zeros(model) == [0, 20]


@pytest.mark.parametrize("left", [19, 71])
def test_a_target_that_cannot_be_reached_is_refused(left):
    with pytest.raises(UserError, match=f"nonzero_parameters must be from 20 to 70 for this network, got {left}"):
        MagnitudePruning(network(), left, 1)


def test_values_that_cannot_be_used_are_refused():
    block = {"number_of_epochs": 10, "nonzero_parameters": 100, "prune_epochs": 10}
    check_pruning(block, Augmentation())
    check_pruning({"number_of_epochs": 10})
    with pytest.raises(ArgumentError, match="prune_epochs must be at most number_of_epochs"):
        check_pruning(block | {"prune_epochs": 11})
    with pytest.raises(ArgumentError, match="nonzero_parameters must be a whole number from 0 up"):
        check_pruning(block | {"nonzero_parameters": -1})
    with pytest.raises(ArgumentError, match="exclude each other"):
        check_pruning(block, Augmentation(ema_decay=0.9))


# -- within a run


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    classes = ["airport", "park", "tram"]
    clips = [("train", classes[i % 3], "lisbon", 10 + i, 0) for i in range(10)]
    clips += [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(3)]
    return write_dcase_folder(tmp_path_factory.mktemp("data") / "set", clips, seconds=0.5)


def arguments(data_folder, folder, *more):
    pruned = [*PRUNED, "--number_of_epochs=3", "--prune_epochs=2", "--nonzero_parameters=500"]
    return tiny.tiny_run(YAML, data_folder, folder, *pruned, *more)


@pytest.fixture(scope="module")
def pruned_run(data_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned") / "run"
    assert main(arguments(data_folder, folder)) == 0
    return folder


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


def test_a_run_ends_with_the_target(pruned_run):
    convolutions = [value for name, value in weights(pruned_run).items() if value.dim() == 4]
    removed = sum(int((value == 0).sum()) for value in convolutions)
    notes = json.loads((pruned_run / "report.json").read_text())["notes"]
    assert any(f"pruned: the smallest {removed:,} of" in note for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("last_step, more", [(3, []), (5, ["--ckpt_interval_steps=1"])], ids=["epoch end", "mid epoch"])
def test_a_killed_run_resumes_exactly(data_folder, pruned_run, tmp_path, last_step, more):
    folder = tmp_path / "run"
    words = arguments(data_folder, folder, *more)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(last_step), *words], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL and not (folder / "model.ckpt").exists()
    assert main(words) == 0
    whole, resumed = weights(pruned_run), weights(folder)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
