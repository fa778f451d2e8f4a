"""All figures of runs that were really trained."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from figure_runs import TOOL, write_by_hand

from mil_asc.errors import UserError
from mil_asc.paper.figures.confidence import class_measures
from mil_asc.paper.figures.embedding import choose_instances, instance_points
from mil_asc.paper.figures.experiments import CannotDraw, Options, TrainedRun, read_experiments
from mil_asc.paper.figures.page import draw_figures
from mil_asc.synth.write import generate_synth_scenes
from mil_asc.training.entry import main as train


@pytest.fixture
def by_hand(tmp_path):
    return write_by_hand(tmp_path)


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory):
    """Three tiny experiments trained for an epoch, and the folder of their recordings."""
    home = tmp_path_factory.mktemp("home")
    data = home / "scenes"
    generate_synth_scenes(data, train_clips=20, evaluate_clips=20, seconds=2.0, progress=False)
    sizes = ["--data.train_clips=20", "--data.evaluate_clips=20", "--data.seconds=2.0"]
    epochs = ["--number_of_epochs=1", "--warmup_epochs=0", "--evaluate_every=1", "--precise_bn_clips=8"]
    folders = []
    for experiment in ("fuse_no_il", "fuse_pnl", "fuse_pnl_ce"):
        recipe, output = f"recipes/SynthScenes/hparams/{experiment}.yaml", home / f"results/{experiment}/seed-1"
        assert train(tiny.tiny_run(recipe, data, output, *epochs, *sizes)) == 0
        folders.append(output)
    return folders, data


def test_all_figures_of_trained_runs(trained_runs, tmp_path):
    folders, _ = trained_runs
    out = tmp_path / "out"
    assert TOOL.main([*map(str, folders), "--to", str(out)]) == 0
    page = (out / "figures.md").read_text()
    pictures = re.findall(r"\]\((\S+)\)", page)
    assert {f"figure_{name}.svg" for name in ("6", "7_1", "8", "9", "10")} <= set(pictures)
    assert all(ElementTree.fromstring((out / name).read_text()).tag.endswith("svg") for name in pictures)
    assert "left out" not in page
    assert "| fuse_pnl_ce | FUSE | instance loss | softmax |" in page and "| fuse_no_il | FUSE | - | sigmoid |" in page


def test_too_few_instances_for_an_embedding_are_refused(trained_runs):
    folders, _ = trained_runs
    options = Options(scenes=("park", "bus"), most_instances=6)
    with pytest.raises(UserError, match="figure 8 cannot be drawn: 6 instances of park, bus are too few"):
        draw_figures(read_experiments(folders), options, [8])


def test_figures_agree_with_the_report_of_a_trained_run(trained_runs):
    for folder in trained_runs[0]:
        run = TrainedRun(folder)
        reported, found = run.report["evaluation"]["underestimation"], class_measures(run)[-1]
        assert found["confidence"] == pytest.approx(reported["mean_confidence"])
        assert found["positive"] == pytest.approx(reported["positive_share"])
        assert run.accuracy() == np.mean(run.decided_B == run.truth_B)


def test_vectors_are_those_that_the_decisions_were_made_on(trained_runs):
    run = TrainedRun(trained_runs[0][1])
    model = run.classifier("cpu").mods.model
    scenes = ["park", "bus"]
    points, chosen = instance_points(run, scenes, Options()), choose_instances(run, scenes)
    with torch.no_grad():
        logits_PC = model.detector(torch.from_numpy(points.x_PK)).numpy()
    expected_PC = np.concatenate([run.logits[b][kept] for b, kept in chosen.items()])
    np.testing.assert_allclose(logits_PC, expected_PC, atol=2e-3)  # the run decoded to 16 bits
    truth_P = np.concatenate([[run.truth_B[b]] * len(kept) for b, kept in chosen.items()])
    assert [scenes[k] for k in points.scene_P] == [run.labels[c] for c in truth_P]
    np.testing.assert_array_equal(points.positive_P, expected_PC.argmax(1) == truth_P)


def test_recordings_are_those_the_run_was_evaluated_on_unless_others_are_named(trained_runs, tmp_path, monkeypatch):
    folders, data = trained_runs
    moved = tmp_path / "elsewhere/seed-1"
    shutil.copytree(folders[1], moved, ignore=shutil.ignore_patterns("save"))
    monkeypatch.chdir(tmp_path)
    assert TrainedRun("elsewhere/seed-1").recordings() == data and data.is_absolute()
    assert TrainedRun(moved).recordings(tmp_path) == tmp_path
    with pytest.raises(UserError, match="--data_folder: gone is not a folder"):
        TrainedRun(moved).recordings(Path("gone"))


def test_recordings_that_are_gone_are_said_in_one_line(by_hand):
    words = f"the recordings of {by_hand} are no longer in /nowhere: give --data_folder=DIR"
    with pytest.raises(CannotDraw, match=re.escape(words)):
        TrainedRun(by_hand).recordings()


def test_a_run_records_its_data_folder_as_an_absolute_path(trained_runs, tmp_path, monkeypatch):
    """Also where it was named relative to the folder that the run was started in."""
    _, data = trained_runs
    monkeypatch.chdir(data.parent)
    output = tmp_path / "run"
    sizes = ["--data.train_clips=20", "--data.evaluate_clips=20", "--data.seconds=2.0"]
    arguments = tiny.tiny_run("recipes/SynthScenes/hparams/fuse_pnl.yaml", data.name, output, "--debug", *sizes)
    assert train(arguments) == 0
    assert TrainedRun(f"{output}_debug").data_folder == data


def test_other_recordings_than_the_evaluated_are_refused(trained_runs, tmp_path, capsys):
    folders, _ = trained_runs
    generate_synth_scenes(tmp_path / "longer", train_clips=20, evaluate_clips=20, seconds=3.0, progress=False)
    for figure in (7, 8):
        options = [f"--data_folder={tmp_path / 'longer'}", f"--figure={figure}"]
        assert TOOL.main([*map(str, folders), "--to", str(tmp_path / "out"), *options]) == 1
        assert "not the recordings that the run was evaluated on" in capsys.readouterr().err
