"""A training that cannot be meant, or that diverges, is warned of: once in the log, and in the report."""

import json

import pytest
import tiny

from mil_asc.model import gains
from mil_asc.training import diagnosis, loss_sums
from mil_asc.training.diagnosis import loss_warnings, schedule_warnings
from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
WARM_UP = "the warm-up (5 epochs) is longer than the training (2)"


@pytest.fixture
def trained(dcase_folder, tmp_path, capsys):
    """Train with further options; returns the report, the console and the log."""

    def train(*more):
        assert main(tiny.tiny_run(YAML, dcase_folder, tmp_path / "run", "--number_of_epochs=2", *more)) == 0
        folder = tmp_path / ("run_debug" if "--debug" in more else "run")
        return (
            json.loads((folder / "report.json").read_text()),
            capsys.readouterr().err,
            (folder / "log.txt").read_text(),
        )

    return train


def test_warm_up_longer_than_the_training_is_warned_of(trained):
    report, console, log = trained("--warmup_epochs=5")
    assert sum(WARM_UP in warning for warning in report["warnings"]) == 1
    assert console.count(WARM_UP) == log.count(WARM_UP) == 1


def test_warm_up_of_a_debug_run_is_not_warned_of(trained):
    report, console, _ = trained("--warmup_epochs=5", "--debug")
    assert "warm-up" not in console and not any("warm-up" in warning for warning in report["warnings"])


def test_large_loss_is_warned_of_once(trained, monkeypatch):
    """With a limit that the loss of every batch exceeds."""
    assert diagnosis.LARGE_LOSS == loss_sums.LARGE_LOSS == 1e6
    monkeypatch.setattr(diagnosis, "LARGE_LOSS", 0.1)
    monkeypatch.setattr(loss_sums, "LARGE_LOSS", 0.1)
    report, console, log = trained("--warmup_epochs=0")
    assert all(record["largest_loss"] > 0.1 for record in report["history"])
    assert sum("the training diverged" in warning for warning in report["warnings"]) == 1
    assert console.count("the training diverges") == log.count("the training diverges") == 1


def test_training_that_works_is_not_warned_of(trained):
    report, console, _ = trained("--warmup_epochs=0")
    assert "diverge" not in console and "warm-up" not in console
    assert not any("diverge" in warning or "warm-up" in warning for warning in report["warnings"])
    assert all(record["largest_loss"] >= record["train"]["loss"] for record in report["history"])


def test_block_without_warm_up_gets_no_warning():
    assert schedule_warnings({"number_of_epochs": 3}) == []
    assert schedule_warnings({"number_of_epochs": 3, "warmup_epochs": 3}) == []


def test_loss_warning_names_the_first_epoch_and_the_largest_loss():
    history = [{"epoch": e, "largest_loss": loss} for e, loss in ((1, 2.0), (2, 3e6), (3, 5e7))]
    (warning,) = loss_warnings(history)
    assert "5.0e+07" in warning and "in epoch 2" in warning


def test_gains_of_batch_norm_are_in_the_report_and_too_large_ones_are_warned_of(trained, monkeypatch):
    report, console, log = trained("--warmup_epochs=0")
    found = report["run"]["batch_norm"]
    assert 0 < found["largest"] < gains.GAIN_LIMIT and found["channels"] > found["dead"]
    assert "multiplies a channel" not in console and not any("gain" in warning for warning in report["warnings"])
    monkeypatch.setattr(gains, "GAIN_LIMIT", found["largest"] / 2)
    monkeypatch.setattr(gains, "DEAD", 0.99)  # then some channels of every layer count as dead
    report, console, log = trained("--warmup_epochs=0", "--test_only")
    assert console.count("multiplies a channel by") == log.count("multiplies a channel by") == 1
    assert sum("multiplies a channel by" in warning for warning in report["warnings"]) == 1
    assert sum("hardly vary in training (dead)" in note for note in report["notes"]) == 1
