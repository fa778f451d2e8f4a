"""Pictures and page of the figures, and what they refuse."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from figure_runs import TOOL, TRUTH, random_logits, write_by_hand, write_run, write_three_experiments

from mil_asc.errors import UserError
from mil_asc.paper.figures.confidence import class_measures
from mil_asc.paper.figures.experiments import Options, TrainedRun, read_experiments
from mil_asc.paper.figures.page import draw_figures, render


@pytest.fixture
def by_hand(tmp_path):
    return write_by_hand(tmp_path)


@pytest.fixture
def three_experiments(tmp_path):
    return write_three_experiments(tmp_path / "runs")


def test_figures_of_the_decisions_alone(three_experiments, tmp_path):
    arguments = [*map(str, three_experiments), "--to", str(tmp_path / "out"), "--figure=6,9,10", "--tau=0.4"]
    assert TOOL.main(arguments) == 0
    page = (tmp_path / "out/figures.md").read_text()
    pictures = re.findall(r"\]\((\S+)\)", page)
    assert pictures == ["figure_6.svg", "figure_9.svg", "figure_10.svg"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*pictures, "figures.md"}
    for name in pictures:
        text = (tmp_path / "out" / name).read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        for experiment in ("fuse_no_il", "fuse_pnl", "fuse_pnl_ce"):
            assert experiment in text
    assert "no clips" not in (tmp_path / "out/figure_6.svg").read_text()
    assert "tau = 0.4" in page and "| confidence of the true class | fuse_no_il | fuse_pnl | fuse_pnl_ce |" in page
    assert "| fuse_no_il | FUSE | - | sigmoid | 1, 2 | 1 |" in page
    assert "| fuse_pnl_ce | FUSE | instance loss | softmax | 1 | 1 |" in page
    all_clips = next(line for line in page.splitlines() if line.startswith("| all clips"))
    runs = [
        class_measures(TrainedRun(folder))[-1]["confidence"] for folder in three_experiments if "no_il" in str(folder)
    ]
    assert all_clips.split(" | ")[1] == f"{np.mean(runs):.3f} ± {np.std(runs, ddof=1):.3f}"


def test_pictures_do_not_change_from_time_to_time(three_experiments):
    experiments = read_experiments(three_experiments)
    once, again = (draw_figures(experiments, Options(), [6, 9, 10])[0] for _ in range(2))
    assert [drawing.pictures for drawing in once.values()] == [drawing.pictures for drawing in again.values()]


def test_a_figure_without_its_runs_is_left_out_or_refused(tmp_path, capsys):
    folder = write_run(tmp_path, "fuse_pnl", random_logits(0, TRUTH), TRUTH)
    assert TOOL.main([str(folder), "--to", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/figures.md").read_text()
    assert "Figure 6 is left out: no run without instance loss" in page and "figure_10.svg" in page
    assert "Figure 9 is left out: no run trained with cross entropy" in page
    assert "figure 7 is left out: no run without instance loss, such as fuse_no_il" in capsys.readouterr().out
    assert TOOL.main([str(folder), "--to", str(tmp_path / "none"), "--figure=10,9"]) == 1
    assert "error: figure 9 cannot be drawn: no run trained with cross entropy" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_class_without_clips_is_named_as_such(tmp_path):
    truth = [0, 1, 0, 1]
    names = ("fuse_no_il", "fuse_pnl")
    runs = read_experiments([write_run(tmp_path, name, random_logits(0, truth), truth) for name in names])
    drawing = draw_figures(runs, Options(), [6])[0][6]
    assert drawing.pictures["figure_6.svg"].count("no clips") == 2  # a panel each
    assert "| tram | - | - |" in drawing.text
    areas = draw_figures(runs, Options(), [10])[0][10].text
    assert "| tram | - | - |" in areas


# -- refusals, one line each


def damage(folder, how):
    if how == "no report":
        (folder / "report.json").unlink()
    elif how == "report of another program":
        (folder / "report.json").write_text("[]")
    elif how == "report cut off":
        (folder / "report.json").write_text('{"experiment": ')
    elif how == "no predictions":
        (folder / "predictions.npz").unlink()
    elif how == "predictions cut off":
        content = (folder / "predictions.npz").read_bytes()
        (folder / "predictions.npz").write_bytes(content[: len(content) // 2])
    elif how == "predictions of another run":
        with np.load(folder / "predictions.npz") as arrays:
            np.savez(folder / "predictions.npz", **{**arrays, "counts": arrays["counts"] + 1})


@pytest.mark.parametrize(
    "how, words",
    [
        ("no report", "holds no report.json"),
        ("report of another program", "is not the report of a run of this version"),
        ("report cut off", "report.json is damaged"),
        ("no predictions", "holds no predictions.npz: evaluate the run again with --test_only"),
        ("predictions cut off", "predictions.npz is damaged"),
        ("predictions of another run", "predictions.npz does not fit the run's report"),
    ],
)
def test_damaged_runs_are_refused(by_hand, tmp_path, capsys, how, words):
    damage(by_hand, how)
    assert TOOL.main([str(by_hand), "--to", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and str(by_hand) in said and words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option, words",
    [
        ("--figure=6,11", "there is no figure '11'; legal: 6, 7, 8, 9, 10"),
        ("--figure=", "there is no figure ''"),
        ("--tau=1", "--tau must be a number above 0 and below 1, got '1'"),
        ("--tau=high", "--tau must be a number above 0 and below 1, got 'high'"),
        ("--scenes=parc", "unknown class 'parc'; did you mean 'park'?"),
        ("--clips=audio/99.wav", "audio/99.wav is not in the evaluation set"),
        ("--extractor=resnet", "--extractor: no run has 'resnet'; legal: FUSE"),
        ("--device=cuda:77", "--device: there is no 'cuda:77' here; legal: cpu"),
        ("--data_folder=gone", "--data_folder: gone is not a folder"),
    ],
)
def test_bad_options_are_refused(three_experiments, tmp_path, capsys, option, words):
    assert TOOL.main([*map(str, three_experiments), "--to", str(tmp_path / "out"), option]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and words in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(three_experiments, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert TOOL.main([*map(str, three_experiments), "--to", str(tmp_path / "file/out"), "--figure=10"]) == 1
    assert "file/out cannot be written: Not a directory; give another --to" in capsys.readouterr().err


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    logits = random_logits(0, TRUTH)
    first = write_run(tmp_path / "a", "fuse_pnl", logits, TRUTH)
    with pytest.raises(UserError, match="differ in their data set"):
        read_experiments([first, write_run(tmp_path / "b", "fuse_gt", logits, TRUTH, dataset="Other")])
    with pytest.raises(UserError, match="differ in their classes"):
        read_experiments([first, write_run(tmp_path / "c", "fuse_gt", logits, TRUTH, labels=["a", "b", "c"])])
    with pytest.raises(UserError, match="differ in their evaluation sets"):
        read_experiments([first, write_run(tmp_path / "d", "fuse_gt", logits, TRUTH, paths=list("abcdefgh"))])
    with pytest.raises(UserError, match="are both fuse_pnl with seed 1"):
        read_experiments([first, write_run(tmp_path / "e", "fuse_pnl", logits, TRUTH)])
    more = {"settings": {"train_clips": 30}}
    with pytest.raises(UserError, match=r"differ in their data settings \(data.train_clips: 30 and 20\)"):
        read_experiments([first, write_run(tmp_path / "f", "fuse_gt", logits, TRUTH, **more)])
    with pytest.raises(UserError, match=r"differ in their settings \(model.network.extractor.channels: \[4\] and"):
        other = write_run(tmp_path / "g", "fuse_pnl", logits, TRUTH, seed=2, settings={"channels": [4]})
        read_experiments([first, other])
    with pytest.raises(UserError, match="is not finished: 1 of 3 epochs; train it to its end"):
        read_experiments([write_run(tmp_path / "h", "fuse_gt", logits, TRUTH, settings={"epochs": 3})])


def test_debug_runs_are_left_out_with_a_note(three_experiments, tmp_path, capsys):
    debug = write_run(
        tmp_path,
        "fuse_gt",
        random_logits(0, TRUTH),
        TRUTH,
        run={"seed": 1, "epochs": 2, "debug": True, "data_folder": "/nowhere", "clip_seconds": 0.0},
    )
    (debug / "predictions.npz").unlink()
    with pytest.raises(UserError, match="is a debug run"):
        read_experiments([*three_experiments, debug])
    arguments = ["--to", str(tmp_path / "out"), "--figure=10"]
    assert TOOL.main([*map(str, three_experiments), str(debug), *arguments]) == 0
    assert f"{debug} is left out: a debug run" in capsys.readouterr().out
    assert "Debug runs are left out: fuse_gt/seed-1." in (tmp_path / "out/figures.md").read_text()
    assert TOOL.main([str(debug), *arguments]) == 1
    assert "error: only debug runs were named" in capsys.readouterr().err


def test_warnings_of_runs_stand_on_the_page(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [write_run(tmp_path, name, logits, TRUTH, warnings=["few clips"]) for name in ("fuse_no_il", "fuse_pnl")]
    assert "\n- few clips (fuse_no_il seed 1, fuse_pnl seed 1)\n" in render(read_experiments(folders), {}, {})


@pytest.mark.parametrize("tau", [0.2, 0.5])
def test_areas_of_figure_10_are_those_at_tau(three_experiments, tau):
    """Counted clip by clip: each class against the rest, ordered by the share of instances at tau or above."""
    text = draw_figures(read_experiments(three_experiments), Options(tau=tau), [10])[0][10].text
    (line,) = [line for line in text.splitlines() if line.startswith("| park |")]
    (run,) = [TrainedRun(folder) for folder in three_experiments if "pnl_ce" in str(folder)]
    shares = [np.mean(1 / (1 + np.exp(-z_IC.astype(np.float64))) >= tau, axis=0)[1] for z_IC in run.logits]
    pairs = [(a, b) for a, x in zip(shares, TRUTH) for b, y in zip(shares, TRUTH) if x == 1 and y != 1]
    area = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert line.strip("| ").split(" | ")[-1] == f"{area:.3f}"
