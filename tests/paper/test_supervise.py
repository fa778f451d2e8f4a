"""Supervised runs: what becomes of those that die, are refused, or are stopped."""

import pytest
from fake_runs import gone, starts, wait_for, write_recipe

from mil_asc.paper import supervise
from mil_asc.paper.plan import Place, PlannedRun, finished_runs
from mil_asc.paper.supervise import RESTARTS, train_here


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes")


def test_dead_runs_are_started_again_and_refused_ones_are_not(place, capsys):
    behaviours = {"fuse_pnl": "fine", "fuse_gt": "dies_once", "fuse_no_il": "refuses", "fuse_gap": "dies"}
    write_recipe(place.recipes / "Tiny", resnet_pnl="fails_once", **behaviours)
    names = [*behaviours, "resnet_pnl"]
    runs = [PlannedRun("Tiny", name, 1) for name in names]
    failures = train_here(runs, place, ["cpu"])
    problems = {failure.run.experiment: failure.problem for failure in failures}
    assert problems == {"fuse_no_il": "meta.csv is not a table", "fuse_gap": "died of SIGKILL, the last of 3 times"}
    assert {name: len(starts(place, run)) for name, run in zip(names, runs)} == {
        "fuse_pnl": 1,
        "fuse_gt": 2,
        "fuse_no_il": 1,
        "fuse_gap": 1 + RESTARTS,
        "resnet_pnl": 2,
    }
    assert {run.experiment for run in finished_runs(runs, place)} == {"fuse_pnl", "fuse_gt", "resnet_pnl"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"[0/5] Tiny fuse_pnl seed 1 starts on cpu, log in {place.folder(runs[0]) / 'console.log'}"
    assert lines[1] == (
        "[1/5] Tiny fuse_pnl seed 1 finished in 1.5 min, accuracy 51.00 % (SMI); about 6 min left"
    )  # as the report says: 90 s of training each
    assert "[1/5] Tiny fuse_gt seed 1 died of SIGKILL and is started again" in lines
    assert any("Tiny fuse_no_il seed 1 FAILED" in line and "meta.csv is not a table" in line for line in lines)


def test_an_error_line_of_an_earlier_start_does_not_count(place):
    """The log of all starts is one file; only the last start's part of it is read."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="fails_once")
    run = PlannedRun("Tiny", "fuse_pnl", 1)
    place.folder(run).mkdir(parents=True)
    (place.folder(run) / "console.log").write_text("error: of last week\n")
    assert train_here([run], place, ["cpu"]) == []


def test_every_device_has_one_process_at_a_time(place):
    """Of two devices each gets the next run as soon as it is free; no third process goes beside them."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine")
    runs = [PlannedRun("Tiny", "fuse_pnl", seed) for seed in range(1, 5)]
    jobs, most = [], []
    begin = supervise.Job.start

    def counting(job):
        begin(job)
        jobs.append(job)
        most.append(sum(other.process.poll() is None for other in jobs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervise.Job, "start", counting)
        assert train_here(runs, place, ["cpu", "cuda:7"]) == []
    assert max(most) == 2
    assert {job.device for job in jobs} == {"cpu", "cuda:7"}
    assert "--device=cuda:7" in starts(place, runs[1])[0]


def test_the_runs_stop_when_their_starter_fails(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    runs = [PlannedRun("Tiny", "fuse_pnl", 1), PlannedRun("Tiny", "fuse_gt", 1)]
    waiting = place.folder(runs[0])

    def fail(progress, outcome):
        wait_for((waiting / "waiting").exists)
        raise RuntimeError("the terminal is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervise.Progress, "ended", fail)
        with pytest.raises(RuntimeError, match="the terminal is gone"):
            train_here(runs, place, ["cpu", "cpu"])
    assert (waiting / "asked").exists()
    assert gone(int((waiting / "pid").read_text()))
