"""``mil-asc ensemble``: runs averaged on the command line."""

import json

import pytest
import tiny
from dcase_files import write_dcase_folder

from mil_asc.results.run import Run
from mil_asc.training.entry import main as train

CLASSES = ["airport", "park", "tram"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two trained runs of other seeds and poolings on one data folder."""
    root = tmp_path_factory.mktemp("ensemble")
    clips = [("train", CLASSES[i % 3], "lisbon", 10 + i, 0) for i in range(6)]
    clips += [("evaluate", CLASSES[i % 3], "prague", 50 + i, 0) for i in range(4)]
    write_dcase_folder(root / "data", clips)
    for seed in (1, 2):
        words = ["--number_of_epochs=1", f"--seed={seed}"]
        arguments = tiny.tiny_run("recipes/TAU2019/hparams/fuse_pnl.yaml", root / "data", root / f"seed-{seed}", *words)
        assert train(arguments) == 0
    return root


def test_ensemble_of_trained_runs_is_reported(mil_asc, trained, tmp_path):
    runs = [trained / "seed-1", trained / "seed-2"]
    status, out, err = mil_asc("ensemble", *runs, "--to", tmp_path / "both")
    assert status == 0, err
    assert all(f"{run.resolve()}: seed " in out for run in runs) and "floor: accuracy" in out
    assert "TAU2019 fuse_pnl, ensemble of 2: 4 clips in the evaluation set\n" in out
    assert f"report: {tmp_path / 'both/report.html'}" in out
    results = json.loads((tmp_path / "both/report.json").read_text())
    assert results["experiment"] == "fuse_pnl, ensemble of 2" and results["evaluation"]["clips"] == 4
    assert results["evaluation"]["smi"]["per_city"].keys() == {"prague"}
    assert len(Run(tmp_path / "both").predictions.counts_B) == 4
    assert mil_asc("ensemble", *runs, "--to", tmp_path / "both", "--quiet") == (0, "", "")


def test_run_that_is_named_twice_is_one_line(mil_asc, trained, tmp_path):
    status, out, err = mil_asc("ensemble", trained / "seed-1", trained / "seed-1", "--to", tmp_path / "x")
    assert (status, out) == (1, "") and err == f"error: {trained / 'seed-1'} is named twice: name each run once\n"
    assert not (tmp_path / "x").exists()


def test_place_in_a_run_is_refused_before_anything_is_read(mil_asc, trained):
    runs = [trained / "seed-1", trained / "seed-2"]
    status, _, err = mil_asc("ensemble", *runs, "--to", runs[1] / "both")
    assert status == 1 and "stays as it is" in err and len(err.splitlines()) == 1


def test_no_run_is_wrong_usage(mil_asc, tmp_path):
    assert mil_asc("ensemble", "--to", tmp_path / "x")[0] == 2
