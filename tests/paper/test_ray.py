"""Runs on a Ray cluster of this machine."""

import json
import os
import signal

import pytest
from fake_runs import ROOT, finish, gone, reproduce, starts, wait_for, write_recipe

from mil_asc.paper.plan import Place, PlannedRun, finished_runs


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes")


def test_ray_missing_is_one_line(place, tmp_path):
    (tmp_path / "none/ray.py").parent.mkdir()
    (tmp_path / "none/ray.py").write_text("raise ImportError('no ray here')")
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "none"), str(ROOT)])}
    code, _, err = finish(reproduce(place, "--table=5", "--dataset=Tiny", "--ray", env=environment))
    assert (code, err) == (1, 'error: Ray is not installed: pip install -e ".[ray]"\n')


@pytest.mark.slow
def test_ray_sees_runs_through(place):
    """On a cluster of this machine: a run that dies, one that is refused, one whose worker is lost."""
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    write_recipe(
        place.recipes / "Tiny",
        fuse_no_il="kills_watcher_once",
        fuse_pnl="dies_once",
        fuse_gt="refuses",
    )
    code, out, err = finish(reproduce(place, "--table=7", "--dataset=Tiny", "--seeds=1", "--ray"))
    assert code == 1
    assert "failed: Tiny fuse_gt seed 1: meta.csv is not a table" in err
    assert "[3/3]" in out
    runs = [PlannedRun("Tiny", name, 1) for name in ("fuse_no_il", "fuse_pnl", "fuse_gt")]
    assert [len(starts(place, run)) for run in runs] == [2, 2, 1]
    assert set(finished_runs(runs, place)) == set(runs[:2])
    assert json.loads((place.folder(runs[0]) / "report.json").read_text())["run"]["seed"] == 1


@pytest.mark.slow
def test_ray_stops_its_runs(place):
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = PlannedRun("Tiny", "fuse_pnl", 1)
    process = reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=1", "--ray")
    wait_for((place.folder(run) / "waiting").exists)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert (place.folder(run) / "asked").exists()
    assert gone(int((place.folder(run) / "pid").read_text()))
