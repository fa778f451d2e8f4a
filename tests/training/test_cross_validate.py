"""``--folds``: a run per fold, resumed as one, and a report over all folds; ``--fold`` for one of them."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
import torch
from test_resume import KILLED_RUN

from mil_asc.corpora.json_manifests import read_manifests
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.results.run import Run
from mil_asc.training.command_line import read_command
from mil_asc.training.entry import main

RECIPE = "recipes/AnyFolder/hparams/fuse_pnl.yaml"
CLASSES = ("cat", "dog", "rain")
GROUPS = "uvwxyz"
SIZE = ["--num_classes=3", "--number_of_epochs=1", "--precise_bn_clips=0"]


def write_folder(folder, classes=CLASSES, groups=GROUPS, seconds=0.5):
    """Two recordings of noise with a tone for each class and group."""
    rng = np.random.default_rng(0)
    for c, label in enumerate(classes):
        for group in groups:
            (folder / label / group).mkdir(parents=True)
            for number in range(2):
                time = np.arange(round(seconds * 16000)) / 16000
                wav = 0.1 * np.sin(2 * np.pi * (300 + 500 * c) * time) + 0.02 * rng.normal(size=len(time))
                soundfile.write(folder / label / group / f"{number}.wav", wav, 16000)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "sounds")


def words(data, run, *more):
    return tiny.tiny_run(RECIPE, data, run, *SIZE, *more)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("mil_asc.results.report.fill_page", lambda *arguments, **more: "")  # slow, has its own tests
    monkeypatch.setattr("mil_asc.results.pooled_page.fill_page", lambda *arguments, **more: "")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A cross-validation in three folds, which was not interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(data, run, "--folds=3")) == 0
    return run


def report(run):
    return json.loads((run / "report.json").read_text())


def results_of(run):
    """The parts of a pooled report that do not say when and how long."""
    found = report(run)
    return {key: found[key] for key in found if key != "run"}


def stamps(folder):
    """When the model of each fold was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("fold-*/model.ckpt")}


def refusal(capsys, *arguments):
    """The one line of a start that is refused."""
    capsys.readouterr()
    assert main(list(arguments)) == 1
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err
    return line


# -- all folds


def test_every_clip_is_evaluated_once_by_a_model_that_was_not_trained_on_it(data, whole):
    pooled, every = report(whole), {str(path.relative_to(data)) for path in data.rglob("*.wav")}
    assert Counter(row["path"] for row in pooled["decisions"]) == Counter(every)
    assert pooled["evaluation"]["clips"] == 36 and pooled["cross_validation"]["groups"] == 6
    decided = {row["path"]: row for row in pooled["decisions"]}
    for fold in (1, 2, 3):
        lists = read_manifests(whole / f"fold-{fold}/manifests")
        trained = {clip.path for clip in lists.train}
        evaluated = [row for row in report(whole / f"fold-{fold}")["decisions"]]
        assert trained | {row["path"] for row in evaluated} == every and not trained & {r["path"] for r in evaluated}
        assert {Path(path).parent.name for path in trained}.isdisjoint(Path(r["path"]).parent.name for r in evaluated)
        assert all(decided[row["path"]] == row for row in evaluated)
        assert lists.counts("evaluate") == dict.fromkeys(CLASSES, 4)
    correct = sum(row["smi"]["label"] == row["label"] for row in pooled["decisions"])
    assert pooled["evaluation"]["smi"]["accuracy"] == pytest.approx(correct / 36)


def test_every_fold_is_a_complete_run(data, whole):
    for fold in (1, 2, 3):
        run = Run(whole / f"fold-{fold}")
        assert run.finished and run.folds == (3, fold) and run.setting("fold") == fold and run.setting("folds") == 3
        assert "<html" in (run.folder / "report.html").read_text()
        assert SceneClassifier.from_hparams(source=run.folder).explain_file(data / "cat/u/0.wav").label in CLASSES
    assert "cross-validation in 3 folds" in (whole / "report.html").read_text()
    assert {path.name for path in whole.iterdir()} == {"fold-1", "fold-2", "fold-3", "report.html", "report.json"}


def test_finished_folds_are_not_trained_again(data, whole, capsys):
    before, times = results_of(whole), stamps(whole)
    assert main(words(data, whole, "--folds=3")) == 0
    out, err = capsys.readouterr()
    assert [f"fold {fold} of 3, finished before: {whole}/fold-{fold}" in out for fold in (1, 2, 3)] == [True] * 3
    assert "3 folds, 36 clips of 6 groups, each evaluated once" in out and f"report: {whole}/report.html" in out
    assert "epoch" not in err and results_of(whole) == before and stamps(whole) == times


def test_pooled_folder_has_no_model_of_its_own(whole):
    with pytest.raises(Exception, match=r"is a cross-validation with a model per fold .* name one, such as .*fold-1"):
        SceneClassifier.from_hparams(source=whole)


def test_folds_are_evaluated_again_on_demand(data, whole):
    before = results_of(whole)
    assert main(words(data, whole, "--folds=3", "--test_only")) == 0
    assert results_of(whole) == before
    assert all("evaluated_again" in report(whole / f"fold-{fold}")["run"] for fold in (1, 2, 3))


# -- one fold


def test_one_fold_alone_equals_that_of_all_folds(data, whole, tmp_path, quick):
    run = tmp_path / "run"
    assert main(words(data, run, "--folds=3", "--fold=2")) == 0
    assert [path.name for path in run.iterdir()] == ["fold-2"]
    one, same = (torch.load(folder / "fold-2/model.ckpt", weights_only=True) for folder in (run, whole))
    assert all(torch.equal(one[name], same[name]) for name in same)
    for part in ("evaluation", "decisions", "notes", "warnings"):
        assert report(run / "fold-2")[part] == report(whole / "fold-2")[part]


def test_report_over_folds_that_were_trained_one_by_one(data, whole, tmp_path, quick):
    run = tmp_path / "run"
    for fold in (3, 1, 2):
        assert main(words(data, run, "--folds=3", f"--fold={fold}")) == 0
    times = stamps(run)
    assert main(words(data, run, "--folds=3")) == 0
    assert stamps(run) == times and results_of(run) == results_of(whole)


# -- with other options


def test_default_folder_names_the_number_of_folds():
    path = str(tiny.ROOT / RECIPE)

    def folder(*more):
        command = read_command([path, "--data_folder=x", *more])
        return [line for line in command.settings.splitlines() if line.startswith("output_folder:")], command.folds

    assert folder() == (["output_folder: results/fuse_pnl/seed-1"], 0)
    assert folder("--folds=5", "--seed=2") == (["output_folder: results/fuse_pnl/seed-2_folds-5"], 5)
    assert folder("--folds=5", "--fold=3") == (["output_folder: results/fuse_pnl/seed-1_folds-5"], 0)
    assert folder("--folds=5", "--output_folder=out") == (["output_folder: out"], 5)


def test_division_depends_on_the_split_seed_alone(data, tmp_path, quick):
    def groups(*more):
        run = tmp_path / "run"
        assert main(words(data, run, "--folds=3", "--fold=1", "--debug", *more)) == 0
        lists = read_manifests(tmp_path / "run_debug/fold-1/manifests")
        return {Path(clip.path).parent.name for clip in lists.evaluate}

    first = groups()
    assert groups("--seed=2") == first
    assert {tuple(groups(f"--split_seed={seed}")) for seed in (2, 3, 4)} != {tuple(first)}


def test_debug_runs_of_all_folds_have_a_folder_of_their_own(data, tmp_path, quick, capsys):
    assert main(words(data, tmp_path / "run", "--folds=2", "--debug")) == 0
    assert [path.name for path in tmp_path.glob("run*")] == ["run_debug"]
    pooled = report(tmp_path / "run_debug")
    assert pooled["run"]["debug"] and pooled["cross_validation"]["folds"] == 2 and pooled["evaluation"]["clips"] > 0
    capsys.readouterr()
    assert main(words(data, tmp_path / "run", "--folds=2", "--debug")) == 0  # never skipped
    assert "finished before" not in capsys.readouterr().out


def test_validation_holds_out_groups_of_every_training_set(data, tmp_path, quick):
    run = tmp_path / "run"
    assert main(words(data, run, "--folds=2", "--data.validation_fraction=0.3")) == 0
    for fold in (1, 2):
        lists = read_manifests(run / f"fold-{fold}/manifests")
        groups = [
            {Path(clip.path).parent.name for clip in own} for own in (lists.train, lists.validation, lists.evaluate)
        ]
        assert sorted(map(len, groups)) == [1, 2, 3] and len(set().union(*groups)) == 6
    best = report(run)["cross_validation"]["best_on_validation"]
    assert best["epochs"] == [1, 1] and best["smi"] == {"accuracy": report(run)["evaluation"]["smi"]["accuracy"]}


def test_pieces_of_a_recording_stay_together_and_are_all_evaluated(tmp_path, quick):
    data = write_folder(tmp_path / "data", CLASSES[:2], "uvw", seconds=3.1)
    assert main(words(data, tmp_path / "run", "--folds=3", "--clip_seconds=1", "--num_classes=2")) == 0
    pooled = report(tmp_path / "run")
    assert pooled["evaluation"]["clips"] == 3 * 12 and pooled["cross_validation"]["groups"] == 3
    assert {row["path"] for row in pooled["decisions"]} >= {f"cat/u/0.wav@{start}" for start in "012"}


def test_bad_recordings_are_left_out_of_all_folds(tmp_path, quick, capsys):
    data, run = write_folder(tmp_path / "data"), tmp_path / "run"
    soundfile.write(data / "dog/v/1.wav", np.zeros(8000), 16000)
    assert "dog/v/1.wav: silent" in refusal(capsys, *words(data, run, "--folds=3"))
    assert main(words(data, run, "--folds=3", "--on_bad_audio=skip")) == 0
    pooled = report(run)
    assert list(pooled["bad_audio"]) == ["dog/v/1.wav"] and pooled["evaluation"]["clips"] == 35
    times = stamps(run)
    assert main(words(data, run, "--folds=3", "--on_bad_audio=skip")) == 0
    assert stamps(run) == times


def test_class_with_one_group_is_trained_on_and_the_report_says_that_it_is_not_evaluated(tmp_path, quick):
    data, run = write_folder(tmp_path / "data", CLASSES[:2], "uvwx"), tmp_path / "run"
    write_folder(data, ("rain",), "u")
    assert main(words(data, run, "--folds=3")) == 0
    pooled = report(run)
    assert pooled["evaluation"]["classes_without_clips"] == ["rain"] and pooled["evaluation"]["clips"] == 12
    told = "rain: the only group is u, which is trained on in every fold and never evaluated (6 files)"
    assert told in pooled["warnings"] and "no clips in the evaluation set of: rain" in pooled["notes"]
    assert all(told in report(run / f"fold-{fold}")["warnings"] for fold in (1, 2, 3))


def test_synth_scenes(tmp_path, quick):
    arguments = tiny.tiny_run("recipes/SynthScenes/hparams/fuse_pnl.yaml", tmp_path / "data", tmp_path / "run")
    size = ["--train_clips=30", "--evaluate_clips=10", "--seconds=2.0", "--number_of_epochs=1"]
    assert main([*arguments, *size, "--folds=2"]) == 0
    pooled = report(tmp_path / "run")
    assert pooled["evaluation"]["clips"] == 40 and 0 < pooled["cross_validation"]["groups"] <= 40
    found = [report(tmp_path / f"run/fold-{fold}")["events"]["average_precision"] for fold in (1, 2)]
    spread = pooled["cross_validation"]["spread"]["events.average_precision"]
    assert spread["mean"] == pytest.approx(np.mean(found))


# -- interrupted


@pytest.mark.slow
@pytest.mark.parametrize("last_step, finished", [(6, 1), (8, 1), (2, 0)], ids=["between", "in fold 2", "in fold 1"])
def test_killed_cross_validation_resumes_to_the_same_results(data, whole, tmp_path, last_step, finished, capsys):
    """Six steps per fold."""
    arguments = words(data, tmp_path / "run", "--folds=3", "--ckpt_interval_steps=1")
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, str(last_step), *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "run/report.json").exists()
    assert len(list((tmp_path / "run").glob("fold-*/report.json"))) == finished
    times = stamps(tmp_path / "run")
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("finished before") == finished
    assert results_of(tmp_path / "run") == results_of(whole)
    assert times.items() <= stamps(tmp_path / "run").items()


# -- refused


@pytest.mark.parametrize(
    "more, told",
    [
        (["--folds=1"], "folds must be 2 or more (0: no cross-validation), got 1"),
        (["--folds=many"], "folds must be a whole number from 0 up, got 'many'"),
        (["--folds=3", "--fold=4"], "fold must be a whole number from 1 to 3 (--folds=3), got 4"),
        (["--folds=3", "--fold=-1"], "fold must be a whole number from 0 up, got -1"),
        (["--fold=2"], "fold=2 needs the number of folds too, such as --folds=5"),
        (["--folds=3", "--evaluate_groups=[u]"], "--evaluate_groups has no effect with --folds"),
        (["--folds=3", "--data.evaluate_fraction=0.5"], "--evaluate_fraction has no effect with --folds"),
        (["--folds=3", "--manifests=x"], "--folds has no effect with --manifests"),
        (["--n_splits=3"], "unknown option --n_splits; did you mean --folds?"),
        (["--folds=7"], "--folds=7 needs 7 groups or more, and there are 6 (u, v, w, x, y (and 1 more))"),
        (["--folds=3", "--split_seed=-1"], "split_seed must be a whole number from 0 up, got -1"),
        (["--folds=3", "--test_only"], "no checkpoint in"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_options_that_make_no_sense_are_refused_in_one_line(data, tmp_path, capsys, more, told):
    assert told in refusal(capsys, *words(data, tmp_path / "run", *more))
    assert not list(tmp_path.rglob("report.json"))


def test_folders_train_and_evaluate_are_refused(tmp_path, capsys):
    for name in ("train", "evaluate"):
        write_folder(tmp_path / "data" / name, groups="uv")
    told = refusal(capsys, *words(tmp_path / "data", tmp_path / "run", "--folds=2"))
    assert "train/ and evaluate/ decide the lists, so there is nothing to divide: leave out --folds" in told


@pytest.mark.parametrize(
    "more, told",
    [
        (["--learning_rate=0.5"], "fold-1 contains a run with other settings (training.learning_rate"),
        (["--split_seed=2"], "fold-1 contains a run with other settings (data.corpus.seed: 1 before, 2 now; data.sp"),
        (["--folds=4"], "fold-1 contains a run with other settings (data.folds: 3 before, 4 now)"),
        (["--folds=2"], "fold-3 belongs to a cross-validation with more than 2 folds"),
        (["--max_grad_norm=5"], "fold-1 contains a run with other settings (max_grad_norm"),
        (["--folds=0"], "contains the folds of a cross-validation"),
        (["--folds=4", "--fold=2"], "fold-2 contains a run with other settings (data.folds: 3 before, 4 now)"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_other_settings_than_those_of_the_folds_are_refused(data, whole, capsys, more, told):
    before = results_of(whole), stamps(whole)
    assert told in refusal(capsys, *words(data, whole, "--folds=3", *more))
    assert (results_of(whole), stamps(whole)) == before


def test_other_recordings_than_those_of_a_finished_fold_are_refused(tmp_path, quick, capsys):
    data, run = write_folder(tmp_path / "data", CLASSES, "uvw"), tmp_path / "run"
    assert main(words(data, run, "--folds=3", "--fold=1")) == 0
    write_folder(data, CLASSES, "s")
    told = refusal(capsys, *words(data, run, "--folds=3"))
    assert "fold-1 contains a run with another training set (12 clips before, " in told
    assert not (run / "fold-2").exists()


def test_run_and_cross_validation_do_not_share_a_folder(data, tmp_path, quick, capsys):
    assert main(words(data, tmp_path / "run")) == 0
    before = report(tmp_path / "run")
    told = "run contains a run, which is no cross-validation: give another --output_folder"
    assert told in refusal(capsys, *words(data, tmp_path / "run", "--folds=3"))
    assert told in refusal(capsys, *words(data, tmp_path / "run", "--folds=3", "--fold=1"))
    assert report(tmp_path / "run") == before


def test_folder_of_a_refused_start_can_be_used(data, tmp_path, quick, capsys):
    assert "needs 9 groups" in refusal(capsys, *words(data, tmp_path / "run", "--folds=9"))
    assert main(words(data, tmp_path / "run")) == 0
