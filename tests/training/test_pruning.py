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
from mil_asc.results.run import CHECKPOINTS
from mil_asc.training.brain import MILBrain
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


def test_note_counts_the_weights_that_are_zero():
    pruning = MagnitudePruning(network(), nonzero_parameters=30, epochs=4)
    told = []
    for epoch in (1, 3, 4, 5):
        pruning.renew(epoch)
        told.append((pruning.is_complete(epoch), pruning.note.removeprefix("pruned: the smallest ")))
    early = "of 50 convolution weights are zero; 40 are not reached before epoch 4"
    complete = "40 of 50 convolution weights are zero, reached in 4 epoch(s)"
    assert told == [(False, f"10 {early}"), (False, f"30 {early}"), (True, complete), (True, complete)]


@pytest.mark.parametrize("left, removed", [(20, 50), (70, 0)])
def test_all_or_none_of_the_convolutions_may_be_removed(left, removed):
    model = network()
    MagnitudePruning(model, nonzero_parameters=left, epochs=1).renew(1)
    assert sum(zeros(model)) == removed
    assert model(torch.randn(2, 1, 8, 8)).isfinite().all()


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


WITHIN = ["--ckpt_interval_steps=1"]


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


def test_a_run_ends_with_the_target(pruned_run):
    convolutions = [value for name, value in weights(pruned_run).items() if value.dim() == 4]
    removed = sum(int((value == 0).sum()) for value in convolutions)
    notes = json.loads((pruned_run / "report.json").read_text())["notes"]
    assert any(f"pruned: the smallest {removed:,} of" in note for note in notes)


@pytest.fixture(scope="module")
def selecting_run(data_folder, tmp_path_factory):
    """A pruned run with a validation split, whose accuracy falls from epoch to epoch; and its arguments."""
    folder = tmp_path_factory.mktemp("selecting") / "run"
    options = ["--number_of_epochs=4", "--evaluate_every=1", "--data.validation_fraction=0.3"]
    words, save = arguments(data_folder, folder, *options), MILBrain._save_epoch

    def falling(brain, epoch):
        brain.record["monitor"]["accuracy"] = 1 - epoch / 10
        save(brain, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MILBrain, "_save_epoch", falling)
        assert main(words) == 0
    return folder, words


def test_no_epoch_is_selected_before_the_target_is_reached(selecting_run):
    """Epoch 1 of four has the greatest accuracy; the target is reached in epoch 2."""
    folder, _ = selecting_run
    report = json.loads((folder / "report.json").read_text())
    assert [one["monitor"]["accuracy"] for one in report["history"]] == [0.9, 0.8, 0.7, 0.6]
    assert report["evaluation_of_best_on_validation"]["epoch"] == 2
    assert not any("is lost" in warning or "no epoch" in warning for warning in report["warnings"])
    (best,) = (folder / CHECKPOINTS).glob("CKPT+epoch-0002*")
    kept = torch.load(best / "model.ckpt", weights_only=True)
    last = weights(folder)
    removed = [sum(int((value == 0).sum()) for value in state.values() if value.dim() == 4) for state in (kept, last)]
    assert removed[0] == removed[1] > 0


def test_a_run_stopped_before_the_target_selects_no_epoch(selecting_run, tmp_path):
    """Its only checkpoint is that of epoch 1."""
    folder, words = tmp_path / "run", [word for word in selecting_run[1] if "folder=" not in word]
    words = [*words, *(word for word in selecting_run[1] if word.startswith(("--data_folder", "--cache_folder")))]
    words.append(f"--output_folder={folder}")
    save, stop = MILBrain._save_epoch, KeyboardInterrupt

    def save_and_stop(brain, epoch):
        save(brain, epoch)
        raise stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MILBrain, "_save_epoch", save_and_stop)
        assert main(words) == 130
    assert main([*words, "--test_only"]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert report["evaluation_of_best_on_validation"] is None
    assert any(warning.startswith("no epoch is selected") for warning in report["warnings"])
    (note,) = [note for note in report["notes"] if note.startswith("pruned")]
    assert "are not reached before epoch 2" in note


def test_a_debug_run_reaches_its_target(data_folder, tmp_path, capsys):
    words = [word for word in arguments(data_folder, tmp_path / "run") if not word.startswith("--prune_epochs")]
    epochs = ["--number_of_epochs=9", "--prune_epochs=9", "--data.validation_fraction=0.3"]
    words = [word for word in words if not word.startswith("--number_of_epochs")]
    assert main([*words, *epochs, "--debug"]) == 0
    report = json.loads((tmp_path / "run_debug/report.json").read_text())
    assert report["evaluation_of_best_on_validation"]["epoch"] == 2
    assert any(note.endswith("are zero, reached in 2 epoch(s)") for note in report["notes"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "last_step, more",
    [(3, []), (2, WITHIN), (5, WITHIN)],
    ids=["epoch end", "within the first share", "within the last"],
)
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
