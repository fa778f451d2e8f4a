"""run.sh, stage by stage."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mil_asc import SceneClassifier

ROOT = Path(__file__).parents[2]
FIELD_SCENES = ROOT.parent / "shared/data/field-scenes"
TINY = (
    "--num_blocks=1 --channels=[4,4,6,8] --n_mels=16 --instance_dim=8 --train_clips=20 --evaluate_clips=10"
    " --seconds=2.0 --number_of_epochs=1 --batch_size=4 --precision=fp32 --noprogressbar"
).split()


def run(recipe, *words, root=ROOT):
    """A run of ``run.sh``: status, standard output, standard error."""
    done = subprocess.run(
        [root / f"recipes/{recipe}/run.sh", *map(str, words)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the stages need of a checkout, without results."""
    for folder in ("recipes/SynthScenes", "recipes/TAU2019", "hparams", "tools"):
        ignored = shutil.ignore_patterns("results", "data" if folder.startswith("recipes") else "results")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


@pytest.mark.slow
def test_all_stages_of_synth_scenes(checkout):
    words = ["--seeds", "1 2", "--device", "cpu", "--", *TINY]
    status, out, err = run("SynthScenes", *words, root=checkout)
    assert status == 0, err
    recipe = checkout / "recipes/SynthScenes"
    for name in ("train.json", "valid.json", "test.json"):
        assert (recipe / "results/manifests" / name).is_file()
    for seed in (1, 2):
        report = json.loads((recipe / f"results/fuse_pnl/seed-{seed}/report.json").read_text())
        assert report["run"]["seed"] == seed and report["run"]["train_clips"] == 20
        assert report["events"] is not None
    assert "| SynthScenes | fuse_pnl | 1, 2 |" in (recipe / "results/fuse_pnl/summary.md").read_text()
    assert "Figure 10" in (recipe / "results/fuse_pnl/figures/figures.md").read_text()
    assert (recipe / "results/tables/table-2-SynthScenes.md").is_file()
    for seed in (1, 2):
        model = SceneClassifier.from_hparams(recipe / f"results/fuse_pnl/seed-{seed}-model", run_opts={"device": "cpu"})
        assert model.interface.labels[0] == "airport"
    before = {path: path.stat().st_mtime_ns for path in recipe.rglob("*") if path.is_file()}
    status, again, err = run("SynthScenes", *words, root=checkout)
    assert status == 0, err
    assert "seed 1 is trained already" in again and "+ python train.py" not in again
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert not [path for path in changed if path.suffix != ".lock"]


@pytest.mark.slow
def test_two_processes_train_together_and_the_set_is_made_once(checkout):
    words = ["--nproc", "2", "--stage", "3", "--stop_stage", "3", "--device", "cpu", "--", *TINY]
    status, out, err = run("SynthScenes", *words, root=checkout)
    assert status == 0, err
    assert "+ python -m mil_asc.training.start_ranks --nproc_per_node=2 train.py hparams/fuse_pnl.yaml" in out
    report = json.loads((checkout / "recipes/SynthScenes/results/fuse_pnl/seed-1/report.json").read_text())
    assert report["run"]["ranks"] == 2 and report["evaluation"]["clips"] == 10
    assert err.count("epoch 1/1") == out.count("10 clips in the evaluation set") == 1


@pytest.mark.slow
def test_stages_of_a_cross_validation(checkout):
    words = ["--stage", "2", "--device", "cpu", "--", *TINY, "--folds=2"]
    status, out, err = run("SynthScenes", *words, root=checkout)
    assert status == 0, err
    results = checkout / "recipes/SynthScenes/results/fuse_pnl"
    report = json.loads((results / "seed-1_folds-2/report.json").read_text())
    assert report["evaluation"]["clips"] == 30 and "stage 5: no tables and figures" in out
    assert "stage 6: no model folder: a cross-validation" in out and not list(results.glob("*-model"))
    assert "| SynthScenes | fuse_pnl, 2 folds | 1 |" in (results / "summary_folds-2.md").read_text()
    status, again, err = run("SynthScenes", *words, root=checkout)
    assert status == 0 and "seed 1 is trained already" in again and "+ python train.py" not in again, err
    (results / "seed-1_folds-2/fold-2/model.ckpt").unlink()
    status, again, err = run("SynthScenes", *words, "--fold=2", root=checkout)
    assert status == 0 and "+ python train.py" in again, err
    assert "fuse_pnl, single folds of 2 | 1 (fold 2) |" in (results / "summary_folds-2_fold-2.md").read_text()


def test_a_stage_alone_needs_those_before_it(checkout):
    status, _, err = run("SynthScenes", "--stage", "4", root=checkout)
    assert (status, err.count("\n")) == (1, 1) and "holds no finished run: start with --stage 3" in err


def test_a_set_that_is_there_is_not_downloaded(checkout, tmp_path):
    data = tmp_path / "set"
    data.mkdir()
    (data / "meta.csv").write_text("filename\tscene_label\tidentifier\tsource_label\n")
    status, out, err = run("TAU2019", "--stop_stage", "1", "--data_folder", data, root=checkout)
    assert status == 0 and f"{data} holds the set already" in out


def test_nothing_to_download_is_said(checkout):
    status, out, _ = run("SynthScenes", "--stop_stage", "1", root=checkout)
    assert status == 0 and "nothing to download for SynthScenes" in out


@pytest.mark.parametrize(
    "words, part",
    [
        (["--nproc", "0"], "--nproc must be 1 or more, got 0"),
        (["--data_folder", "s3://sounds/set"], "--data_folder s3://sounds/set: a URL does not work here"),
        (["--seeds", "one"], '--seeds must be whole numbers such as "1 2 3"'),
        (["--stage", "3", "--stop_stage", "2"], "--stop_stage 2 comes before --stage 3"),
        (["--hparams", "hparams/nothing.yaml"], "nothing.yaml is not a file"),
        (["--", "--seed=3"], "--seed may not be given after --"),
        (["--", "--data.data_folder=x"], "--data.data_folder may not be given after --"),
        (["--", "seed"], "seed is no option of train.py"),
    ],
)
def test_wrong_options_get_one_line(words, part):
    status, out, err = run("SynthScenes", *words)
    assert (status, out, err.count("\n")) == (1, "", 1) and part in err


def test_own_recordings_must_be_named():
    status, _, err = run("AnyFolder", "--stage", "2", "--stop_stage", "2")
    assert (status, err.count("\n")) == (1, 1) and "AnyFolder needs the folder of your recordings" in err


@pytest.mark.slow
def test_a_command_that_fails_ends_the_stages(checkout, tmp_path):
    status, _, err = run("TAU2019", "--stage", "3", "--data_folder", tmp_path / "none", root=checkout)
    assert status == 1 and err.splitlines()[-1].startswith("error: train.py ended with status 1")


@pytest.mark.parametrize("recipe", sorted(path.parent.name for path in ROOT.glob("recipes/*/train.py")))
def test_every_recipe_has_stages_and_help(recipe):
    status, out, _ = run(recipe, "--help")
    assert status == 0 and "--stop_stage" in out


@pytest.mark.slow
@pytest.mark.skipif(not FIELD_SCENES.is_dir(), reason="the field recordings are not there")
def test_all_stages_of_tau2019_on_real_recordings(checkout):
    tiny = [word for word in TINY if not word.startswith(("--train_clips", "--evaluate_clips", "--seconds"))]
    words = ["--data_folder", FIELD_SCENES, "--seeds", "1", "--device", "cpu", "--", *tiny, "--batch_size=16"]
    status, out, err = run("TAU2019", *words, root=checkout)
    assert status == 0, err
    recipe = checkout / "recipes/TAU2019"
    report = json.loads((recipe / "results/fuse_pnl/seed-1/report.json").read_text())
    assert report["run"]["train_clips"] == 134 and report["evaluation"]["clips"] == 63
    assert any("partial set: 134 of the official 9185 train clips" in note for note in report["notes"])
    assert "| TAU2019 | fuse_pnl | 1 |" in (recipe / "results/fuse_pnl/summary.md").read_text()
    assert (recipe / "results/tables/table-2-TAU2019.md").is_file()
