"""Runs of two processes that torchrun starts: results, kills, resumes, and one line where something is wrong."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from dcase_files import write_dcase_folder

from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
TORCHRUN, QUIET = "torch.distributed.run", "mil_asc.training.start_ranks"
EPOCHS = "--number_of_epochs=3"
RANDOM = ("--gain_db=6", "--mixup_alpha=0.3")
pytestmark = pytest.mark.slow

PROGRAM = """
import os, signal
from mil_asc.training.launch import main

def act_in_step(step, act):
    from mil_asc.training.brain import MILBrain
    fit_batch = MILBrain.fit_batch

    def fit(self, batch):
        if os.environ["RANK"] == "1" and self.optimizer_step == step:
            act()
        return fit_batch(self, batch)

    MILBrain.fit_batch = fit

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def refuse():
    from mil_asc.errors import UserError
    raise UserError("rank 1 alone found a mistake")

def fail():
    raise AttributeError("rank 1 alone found a fault of the program")

if "ACT" in os.environ:
    import mil_asc.runtime.compat
    act_in_step(int(os.environ["STEP"]), globals()[os.environ["ACT"]])
main()
"""
"""``train.py``, of which rank 1 does something in the optimizer step of a number."""


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    classes = ["airport", "park", "tram"]
    clips = [("train", classes[i % 3], f"city{i % 4}", 10 + i, 0) for i in range(11)]
    clips += [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(7)]
    return write_dcase_folder(tmp_path_factory.mktemp("data") / "set", clips, seconds=0.5)


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory):
    """Run the program on two ranks: launcher, arguments, what rank 1 does in which step."""
    program = tmp_path_factory.mktemp("program") / "train.py"
    program.write_text(PROGRAM, encoding="utf-8")

    def run(launcher, arguments, act=None, step=0):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SB_", "PYTEST"))}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tiny.ROOT)}
        environment |= {"ACT": act, "STEP": str(step)} if act else {}
        command = [sys.executable, "-m", launcher, "--nproc_per_node=2", str(program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tiny.ROOT, timeout=300)

    return run


def lines(done):
    """What went wrong, as it was printed: without the run's log, and without what torchrun says itself."""
    return [line for line in done.stderr.splitlines() if line.startswith(("error:", "stopped"))]


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(torchrun, data_folder, tmp_path_factory):
    """The folder of an uninterrupted run, and what it printed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = torchrun(QUIET, tiny.tiny_run(YAML, data_folder, folder, EPOCHS, *RANDOM))
    assert done.returncode == 0, done.stderr
    return folder, done


def test_killed_run_of_two_ranks_resumes_to_the_same_weights(torchrun, whole, data_folder, tmp_path, capsys):
    """Three steps an epoch, with random numbers on each rank; rank 1 is killed in the middle of epoch 2."""
    folder, more = tmp_path / "run", ["--ckpt_interval_steps=1"]
    arguments = tiny.tiny_run(YAML, data_folder, folder, EPOCHS, *RANDOM, *more)
    killed = torchrun(QUIET, arguments, act="die", step=5)
    assert killed.returncode == 128 + 9
    assert lines(killed) == [
        "error: rank 1 was killed (SIGKILL); the same command resumes from the last checkpoint, if one exists"
    ]
    assert "Traceback" not in killed.stderr
    assert not (folder / "model.ckpt").exists()
    assert [path.name for path in (folder / "save").glob("CKPT*within")] == ["CKPT+epoch-0002+step-0000005+within"]

    assert main(arguments) == 1
    assert "(ranks: 2 before, 1 now)" in capsys.readouterr().err
    resumed = torchrun(QUIET, arguments)
    assert resumed.returncode == 0, resumed.stderr
    expected, found = weights(whole[0]), weights(folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    reports = [json.loads((path / "report.json").read_text()) for path in (whole[0], folder)]
    assert [epoch["train"] for epoch in reports[0]["history"]] == [epoch["train"] for epoch in reports[1]["history"]]
    assert reports[0]["evaluation"] == reports[1]["evaluation"]
    assert "damaged" not in resumed.stderr
    assert resumed.stderr.count("2 ranks, each: ") == 1


def test_ranks_end_with_a_launcher_that_is_killed(data_folder, tmp_path):
    arguments = tiny.tiny_run(YAML, data_folder, tmp_path / "run", "--number_of_epochs=1000")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tiny.ROOT)}
    train = str(tiny.ROOT / "recipes/TAU2019/train.py")
    command = [sys.executable, "-m", QUIET, "--nproc_per_node=2", train, *arguments]
    launcher = subprocess.Popen(command, env=environment, cwd=tiny.ROOT, stderr=subprocess.DEVNULL)
    ranks = []
    try:
        wait_until(lambda: list((tmp_path / "run").glob("save/CKPT*")))
        ranks = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        assert len(ranks) == 2
        launcher.kill()
        launcher.wait()
        wait_until(lambda: not any(map(is_running, ranks)))
    finally:
        for process in [launcher.pid, *map(int, ranks)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_run_of_two_ranks_prints_once_and_evaluates_every_clip_once(whole, data_folder):
    folder, done = whole
    assert done.stdout.count("7 clips in the evaluation set") == 1
    assert done.stderr.count("epoch 3/3") == 1
    report = json.loads((folder / "report.json").read_text())
    assert report["run"]["ranks"] == 2 and report["evaluation"]["clips"] == 7
    assert len({clip["path"] for clip in report["decisions"]}) == len(report["decisions"]) == 7
    options = tiny.tiny_run(YAML, data_folder, folder, EPOCHS, *RANDOM)
    before = report["evaluation"]
    assert main([*options, "--test_only"]) == 0  # by one process: the same scores
    again = json.loads((folder / "report.json").read_text())["evaluation"]
    assert again == before


@pytest.mark.parametrize("act, expected", [("refuse", "error: rank 1 alone found a mistake"), ("die", None)])
def test_plain_torchrun_gets_one_line_of_the_rank_that_failed_first(torchrun, data_folder, tmp_path, act, expected):
    done = torchrun(TORCHRUN, tiny.tiny_run(YAML, data_folder, tmp_path / "run", EPOCHS), act=act, step=4)
    assert done.returncode == 1
    (line,) = lines(done)
    assert line == expected or (act == "die" and line.endswith("resumes from the last checkpoint, if one exists"))
    assert done.stderr.count("Traceback") == 1  # torchrun's own
    assert [path.name for path in (tmp_path / "run/save").iterdir()] == ["CKPT+epoch-0001+step-0000003"]


def test_fault_of_the_program_gets_one_traceback(torchrun, data_folder, tmp_path):
    done = torchrun(QUIET, tiny.tiny_run(YAML, data_folder, tmp_path / "run", EPOCHS), act="fail", step=1)
    assert done.returncode == 1 and not lines(done)
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.rstrip().endswith("AttributeError: rank 1 alone found a fault of the program")


def test_misspelt_option_is_refused_once(torchrun, tmp_path):
    done = torchrun(QUIET, tiny.tiny_run(YAML, tmp_path, tmp_path / "run", "--numbr_of_epochs=3"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "unknown option --numbr_of_epochs" in done.stderr


def test_last_batch_of_one_clip_with_one_instance_is_refused_once(torchrun, data_folder, tmp_path):
    """Eleven clips in batches of five, of half a second."""
    done = torchrun(QUIET, tiny.tiny_run(YAML, data_folder, tmp_path / "run", "--batch_size=5", "--hop_ms=64"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (line,) = lines(done)
    assert "11 training clips in batches of 5 leave one: choose another training.batch_size" in line


def test_folds_are_trained_one_after_the_other(torchrun, data_folder, tmp_path):
    arguments = tiny.tiny_run(YAML, data_folder, tmp_path / "run", "--number_of_epochs=1", "--folds=2")
    done = torchrun(QUIET, arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fold 1 of 2:") == done.stdout.count("fold 2 of 2:") == 1
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert len(report["decisions"]) == len({clip["path"] for clip in report["decisions"]}) == 18
    again = torchrun(QUIET, arguments)
    assert again.returncode == 0 and "fold 2 of 2, finished before" in again.stdout
