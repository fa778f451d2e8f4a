"""A killed run resumes to the same results as an uninterrupted one, bit for bit."""

import json
import signal
import subprocess
import sys
import time

import pytest
import tiny
import torch
from killed_run import KILLED_RUN

from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
EPOCHS = "--number_of_epochs=4"


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    from dcase_files import write_dcase_folder

    classes = ["airport", "park", "tram"]
    clips = [("train", classes[i % 3], "lisbon", 10 + i, 0) for i in range(10)]
    clips += [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(3)]
    return write_dcase_folder(tmp_path_factory.mktemp("data") / "set", clips, seconds=0.5)


@pytest.fixture(scope="module")
def uninterrupted(data_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main(tiny.tiny_run(YAML, data_folder, folder, EPOCHS)) == 0
    return folder


# three steps per epoch: killed at the first step of epoch 3, and in the middle of epoch 3
@pytest.mark.slow
@pytest.mark.parametrize("last_step, more", [(6, []), (8, ["--ckpt_interval_steps=1"])], ids=["epoch end", "mid epoch"])
def test_resumed_run_equals_an_uninterrupted_run(data_folder, uninterrupted, tmp_path, last_step, more):
    folder = tmp_path / "run"
    arguments = tiny.tiny_run(YAML, data_folder, folder, EPOCHS, *more)
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, str(last_step), *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "model.ckpt").exists() and any((folder / "save").glob("CKPT*"))
    assert main(arguments) == 0
    assert (
        f"note: the training resumes after 2 epochs{' and 2 steps' if more else ''}" in (folder / "log.txt").read_text()
    )
    expected, found = weights(uninterrupted), weights(folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    whole, resumed = (json.loads((path / "report.json").read_text()) for path in (uninterrupted, folder))
    assert [epoch["train"] for epoch in whole["history"]] == [epoch["train"] for epoch in resumed["history"]]
    assert whole["evaluation"] == resumed["evaluation"]


def test_finished_run_is_evaluated_again_but_not_trained(data_folder, uninterrupted):
    before = weights(uninterrupted)
    start = time.time()
    assert main(tiny.tiny_run(YAML, data_folder, uninterrupted, EPOCHS)) == 0
    assert all(torch.equal(before[name], value) for name, value in weights(uninterrupted).items())
    assert (uninterrupted / "report.json").stat().st_mtime >= start
    assert main(tiny.tiny_run(YAML, data_folder, uninterrupted, EPOCHS, "--test_only")) == 0


def test_validation_split_selects_an_epoch_and_the_last_is_still_reported(data_folder, tmp_path):
    arguments = tiny.tiny_run(YAML, data_folder, tmp_path / "run", "--number_of_epochs=5")
    options = ["--data.validation_fraction=0.3", "--training.evaluate_every=2", "--training.learning_rate=0.3"]
    assert main([*arguments, *options]) == 0
    results = json.loads((tmp_path / "run/report.json").read_text())
    assert results["monitored_list"] == "validation"
    seen = {epoch["epoch"]: epoch["monitor"]["accuracy"] for epoch in results["history"] if "monitor" in epoch}
    assert sorted(seen) == [2, 4, 5]
    assert seen[results["evaluation_of_best_on_validation"]["epoch"]] == max(seen.values())
    assert results["history"][-1]["epoch"] == 5 and results["run"]["train_clips"] < 10
