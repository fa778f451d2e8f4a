"""Figures 6 to 10: their numbers by hand, what they refuse, and all of them from runs that were really trained."""

import importlib.util
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import tiny
import torch

from mil_asc.errors import UserError
from mil_asc.paper.figures.ambiguity import mean_bag_confidence
from mil_asc.paper.figures.comparable import by_extractor, choose_extractor, with_cross_entropy, with_instance_loss
from mil_asc.paper.figures.confidence import class_measures
from mil_asc.paper.figures.embedding import choose_instances, embed, instance_points
from mil_asc.paper.figures.experiments import CannotDraw, Options, Run, read_experiments
from mil_asc.paper.figures.layout import cell, shorten
from mil_asc.paper.figures.masks import brightness, choose_clips, frame_confidence
from mil_asc.paper.figures.page import draw_figures, render
from mil_asc.paper.figures.shown_classes import choose_scenes
from mil_asc.synth.scenes import generate_synth_scenes
from mil_asc.training.entry import main as train

SPEC = importlib.util.spec_from_file_location("figures_tool", tiny.ROOT / "tools/figures.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)

LABELS = ["airport", "park", "tram"]
SETTINGS = """\
seed: {seed}
__set_seed: !apply:speechbrain.utils.seed_everything [{seed}]
data_folder: nowhere
output_folder: results/{experiment}/seed-{seed}
data:
  data_folder: nowhere
  train_clips: {train_clips}
model:
  confidence: {confidence}
  features:
    n_mels: {n_mels}
    hop_ms: 64.0
  network: !new:mil_asc.model.classifier.MILClassifier
    extractor: !new:mil_asc.model.extractors.{extractor}
      channels: {channels}
    input_norm: {input_norm}
training:
  number_of_epochs: {epochs}
objective:
  loss: !new:mil_asc.mil.losses.MILLoss
    bag: !new:mil_asc.mil.losses.BagBCE
"""
INSTANCE_TERM = """\
    instance: !new:mil_asc.mil.losses.{name}
      assigner: !name:mil_asc.mil.assigners.positive_negative_labels
"""
FRAME_TERM = "    frame: !new:mil_asc.mil.losses.FrameLoss\n"
MODEL = {"extractor": "fuse.FUSE", "n_mels": 128, "channels": [4, 8], "input_norm": "none"}
VGG_LIKE = {"extractor": "vgg_like.VGGLike"}


def logits_of(p):
    p = np.array(p, dtype=np.float64)
    return np.log(p / (1 - p)).astype(np.float32)


def write_run(
    folder, experiment, logits, truth, seed=1, softmax=False, paths=None, labels=LABELS, settings=None, **changes
):
    """A run's folder with what the figures read of it, but no model; the experiment's name says what the loss has."""
    folder = folder / experiment / f"seed-{seed}"
    folder.mkdir(parents=True)
    right = np.mean([z.max(0).argmax() == c for z, c in zip(logits, truth)])
    report = {
        "experiment": experiment,
        "dataset": "Tiny",
        "labels": labels,
        "evaluation": {"decision": "smi", "smi": {"accuracy": float(right)}},
        "run": {"seed": seed, "epochs": 1, "debug": False},
    }
    (folder / "report.json").write_text(json.dumps(report | changes))
    chosen = MODEL | {"confidence": "softmax" if softmax else "sigmoid", "train_clips": 20, "epochs": 1}
    text = SETTINGS.format(experiment=experiment, seed=seed, **chosen | (settings or {}))
    if "frame_loss" in experiment:
        text += FRAME_TERM
    elif not experiment.endswith(("no_il", "gap")):
        text += INSTANCE_TERM.format(name="InstanceCE" if softmax else "InstanceBCE")
    (folder / "hyperparams.yaml").write_text(text)
    np.savez(
        folder / "predictions.npz",
        paths=np.array(paths or [f"audio/{k}.wav" for k in range(len(truth))]),
        labels=np.array(labels),
        truth=np.array(truth),
        counts=np.array([len(z) for z in logits]),
        logits=np.concatenate(logits).astype(np.float32),
        bag_logits=np.stack([z.max(0) for z in logits]).astype(np.float32),
    )
    return folder


def random_logits(seed, truth, gain=1.0):
    """Clips of three to seven instances."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(-1, 1, size=(3 + k % 5, len(LABELS))).astype(np.float32) for k in range(len(truth))]
    for z_IC, c in zip(logits, truth):
        z_IC[:, c] += gain
    return logits


@pytest.fixture
def by_hand(tmp_path):
    """Two clips of airport, one of park, none of tram."""
    logits = [
        logits_of([[0.8, 0.1, 0.2], [0.4, 0.6, 0.2]]),
        logits_of([[0.9, 0.3, 0.1], [0.7, 0.2, 0.1], [0.2, 0.1, 0.5]]),
        logits_of([[0.3, 0.5, 0.1]]),
    ]
    return write_run(tmp_path, "fuse_pnl", logits, [0, 0, 1])


TRUTH = [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.fixture
def three_experiments(tmp_path):
    """Two seeds of a run without instance loss, two with, one with cross entropy."""
    folders = []
    for experiment, gain in (("fuse_pnl_ce", 2), ("fuse_pnl", 2), ("fuse_no_il", 1)):
        for seed in (1, 2) if experiment != "fuse_pnl_ce" else (1,):
            logits = random_logits(seed, TRUTH, gain)
            folders.append(write_run(tmp_path / "runs", experiment, logits, TRUTH, seed, experiment.endswith("_ce")))
    return folders


# -- numbers


def test_confidence_and_positive_share_by_hand(by_hand):
    airport, park, tram, everything = class_measures(Run(by_hand))
    assert airport["confidence"] == pytest.approx((0.8 + 0.4 + 0.9 + 0.7 + 0.2) / 5)
    assert airport["positive"] == pytest.approx(3 / 5)
    assert park == {"confidence": pytest.approx(0.5), "positive": 1.0}
    assert tram is None
    assert everything["confidence"] == pytest.approx((0.8 + 0.4 + 0.9 + 0.7 + 0.2 + 0.5) / 6)
    assert everything["positive"] == pytest.approx(4 / 6)


def test_mean_bag_confidence_by_hand(by_hand):
    np.testing.assert_allclose(mean_bag_confidence(Run(by_hand), "airport"), [0.85, 0.45, 0.35], rtol=1e-6)
    np.testing.assert_allclose(mean_bag_confidence(Run(by_hand), "park"), [0.3, 0.5, 0.1], rtol=1e-6)


@pytest.mark.parametrize("samples", [*range(6 * 2048, 8 * 2048, 512), 16000, 160000])
def test_every_frame_has_the_confidence_of_its_instance(small_model, samples):
    """Column i of the extractor merges frames r i to r i + r - 1, whatever the length of the clip."""
    times_I2, reduction = small_model.instance_times(samples), small_model.extractor.time_reduction
    frames = int(small_model.front_end.num_frames(samples))
    confidence_I = np.arange(len(times_I2)) / 100
    found = frame_confidence(confidence_I, times_I2, np.arange(frames) * 0.032)
    slow = [confidence_I[t // reduction] for t in range(frames) if t // reduction < len(confidence_I)]
    assert found.tolist() == slow and frames - len(found) < reduction


def test_spectrograms_are_painted_in_few_rows_and_shades():
    logmel_FT = np.random.default_rng(0).normal(size=(256, 50))
    bright_FT = brightness(logmel_FT)
    means_FT = np.array([logmel_FT[2 * f : 2 * f + 2].mean(0) for f in range(128)])
    low, high = np.percentile(means_FT, (1, 99.8))
    expected_FT = np.clip((means_FT - low) / (high - low), 0, 1)
    assert len(np.unique(bright_FT)) == 32 and np.abs(bright_FT - expected_FT).max() <= 0.5 / 31 + 1e-9
    assert len(brightness(logmel_FT[:40])) == 40 and len(brightness(logmel_FT[:130])) == 65


def test_clips_are_chosen_by_their_confidence(tmp_path):
    without = [[[0.3, 0.2, 0.1]], [[0.6, 0.2, 0.1]], [[0.9, 0.1, 0.1]], [[0.1, 0.2, 0.1]]]
    trained = [[[0.9, 0.2, 0.1]], [[0.7, 0.2, 0.1]], [[0.2, 0.8, 0.1]], [[0.1, 0.6, 0.1]]]
    runs = [
        Run(write_run(tmp_path, name, [logits_of(p) for p in clips], [0, 0, 0, 1]))
        for name, clips in (("fuse_no_il", without), ("fuse_pnl", trained))
    ]
    # the third clip is the surest one without instance loss, but the other run has it wrong
    assert choose_clips(*runs) == [(1, "both are right"), (2, "the confidence differs most")]
    assert choose_clips(*runs, ["audio/3.wav", "audio/0.wav"]) == [(3, "chosen"), (0, "chosen")]
    with pytest.raises(UserError, match=r"audio/33.wav is no clip .* did you mean audio/3.wav\?"):
        choose_clips(*runs, ["audio/33.wav"])


def test_clips_where_none_is_right(tmp_path):
    logits = [logits_of([[0.1, 0.6, 0.1]])] * 2
    runs = [Run(write_run(tmp_path, name, logits, [0, 0])) for name in ("fuse_no_il", "fuse_pnl")]
    assert choose_clips(*runs) == [(0, "the confidence differs most")]


def test_instances_are_drawn_evenly_and_repeatably(three_experiments):
    run = Run(three_experiments[0])
    chosen = choose_instances(run, ["park", "tram"], seed=3, most=10)
    scenes = [run.labels[run.truth_B[b]] for b, kept in chosen.items() for _ in kept]
    assert sorted(scenes) == ["park"] * 5 + ["tram"] * 5
    assert all(len(set(kept)) == len(kept) and max(kept) < len(run.logits[b]) for b, kept in chosen.items())
    assert chosen == choose_instances(run, ["park", "tram"], seed=3, most=10)
    assert chosen != choose_instances(run, ["park", "tram"], seed=4, most=10)
    everything = choose_instances(run, ["park"])
    assert {b: kept for b, kept in everything.items()} == {b: list(range(len(run.logits[b]))) for b in (1, 4, 7)}
    assert len(choose_instances(run, ["park"], clips_a_scene=2)) == 2


def test_embedding_keeps_far_clusters_apart_and_is_repeatable():
    rng = np.random.default_rng(0)
    x_PK = np.concatenate([rng.normal(centre, 0.1, size=(20, 8)) for centre in (0, 5)]).astype(np.float32)
    places_P2 = embed(x_PK)
    assert places_P2.shape == (40, 2)
    centres = places_P2[:20].mean(0), places_P2[20:].mean(0)
    inside = max(np.linalg.norm(places_P2[:20] - centres[0], axis=1).max(), 1e-9)
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * inside
    np.testing.assert_array_equal(places_P2, embed(x_PK))


def test_scenes():
    labels = ["airport", "bus", "metro", "park", "shopping_mall"]
    assert choose_scenes((), labels, np.array([0, 1, 3, 4])) == ["park", "shopping_mall", "airport"]
    assert choose_scenes((), labels, np.array([1, 2, 3])) == ["park", "bus", "metro"]
    assert choose_scenes(("bus", "bus"), labels, np.array([1, 2])) == ["bus"]
    with pytest.raises(UserError, match="unknown class 'parc'; did you mean 'park'"):
        choose_scenes(("parc",), labels, np.array([1]))
    with pytest.raises(UserError, match="no clip of park; legal: bus, metro"):
        choose_scenes(("park",), labels, np.array([1, 2]))


def test_cells():
    assert [cell([]), cell([0.5]), cell([1.0, 2.0, 3.0]), cell([70.04], 1)] == ["-", "0.500", "2.000 ± 1.000", "70.0"]


def test_long_names_are_cut():
    assert shorten("park", 100) == "park"
    assert shorten("a_very_long_name_of_a_class", 52) == "a_very_lo…" and len(shorten("ab" * 50, 52)) == 10


# -- pictures and page


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
    runs = [class_measures(Run(folder))[-1]["confidence"] for folder in three_experiments if "no_il" in str(folder)]
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


@pytest.mark.parametrize(
    "experiments, words",
    [
        (["fuse_pnl"], "no run without instance loss, such as fuse_no_il"),
        (["fuse_no_il"], "no run with instance loss, such as fuse_pnl or fuse_gt"),
    ],
)
def test_both_kinds_of_runs_are_needed(tmp_path, experiments, words):
    folders = [write_run(tmp_path, name, random_logits(0, TRUTH), TRUTH) for name in experiments]
    with pytest.raises(CannotDraw, match=words):
        with_instance_loss(read_experiments(folders))


GAP = {"decision": "bag", "smi": {"accuracy": 0.25}, "bag": {"accuracy": 0.75}}


def test_models_that_pool_otherwise_are_no_mil_without_instance_loss(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [
        write_run(tmp_path, "fuse_pnl", logits, TRUTH),
        write_run(tmp_path, "fuse_gap", logits, TRUTH, softmax=True, evaluation=GAP),
    ]
    experiments = read_experiments(folders)
    with pytest.raises(CannotDraw, match="no run without instance loss"):
        with_instance_loss(experiments)
    with pytest.raises(CannotDraw, match="no run trained with cross entropy"):
        with_cross_entropy(experiments)
    assert "| fuse_gap | FUSE | - | softmax | 1 | 1 | 75.0 |" in render(experiments, {}, {})


def test_models_that_pool_otherwise_stand_in_figure_10_alone_of_those_without_sound(three_experiments, tmp_path):
    gap = write_run(tmp_path, "fuse_gap", random_logits(0, TRUTH), TRUTH, softmax=True, evaluation=GAP)
    drawings, _ = draw_figures(read_experiments([*three_experiments, gap]), Options(), [6, 9, 10])
    for number in (6, 9):
        (picture,) = drawings[number].pictures.values()
        assert "fuse_gap" not in picture and "decides: fuse_gap." in drawings[number].text
    assert "fuse_gap" in drawings[10].pictures["figure_10.svg"]


def test_frame_loss_is_no_instance_loss(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [write_run(tmp_path, name, logits, TRUTH) for name in ("fuse_no_il", "fuse_frame_loss")]
    experiments = read_experiments(folders)
    assert [experiment.first.terms for experiment in experiments] == [[], ["frame loss"]]
    with pytest.raises(CannotDraw, match="no run with instance loss, such as fuse_pnl or fuse_gt"):
        with_instance_loss(experiments)
    experiments = read_experiments([*folders, write_run(tmp_path, "fuse_pnl", logits, TRUTH)])
    assert [experiment.name for experiment in with_instance_loss(experiments)] == ["fuse_no_il", "fuse_pnl"]
    drawing = draw_figures(experiments, Options(), [6])[0][6]
    assert "fuse_frame_loss was trained with frame loss." in drawing.text
    assert "| fuse_frame_loss | FUSE | frame loss | sigmoid |" in render(experiments, {}, {})


# -- several extractors


def write_extractors(folder, *names_and_settings):
    logits = random_logits(0, TRUTH)
    return read_experiments([write_run(folder, name, logits, TRUTH, settings=s) for name, s in names_and_settings])


def test_experiments_of_different_extractors_are_no_pair(tmp_path):
    experiments = write_extractors(tmp_path, ("vgg_like_no_il", VGG_LIKE), ("fuse_pnl", {}))
    with pytest.raises(UserError, match="figure 6 cannot be drawn: no extractor has all it takes"):
        draw_figures(experiments, Options(), [6])


@pytest.mark.parametrize("other", [{"n_mels": 40}, {"channels": [4, 4]}, {"input_norm": "resnorm"}])
def test_experiments_of_different_models_are_no_pair(tmp_path, other):
    experiments = write_extractors(tmp_path, ("fuse_no_il", {}), ("fuse_pnl", other))
    with pytest.raises(CannotDraw):
        choose_extractor(experiments, complete=with_instance_loss)


def test_a_pair_is_the_first_of_the_same_model(tmp_path):
    wanted = ("fuse_no_il", {}), ("fuse_pnl", {"input_norm": "resnorm"}), ("fuse_gt", {})
    pair = with_instance_loss(write_extractors(tmp_path, *wanted))
    assert [experiment.name for experiment in pair] == ["fuse_no_il", "fuse_gt"]


def test_the_papers_extractor_is_drawn_unless_another_is_named(tmp_path):
    names = [(f"{model}_{what}", s) for model, s in (("vgg_like", VGG_LIKE), ("fuse", {})) for what in ("no_il", "pnl")]
    experiments = write_extractors(tmp_path, *names)
    for number in (6, 10):
        for wanted, drawn, other in (("", "fuse", "vgg_like"), ("vgg_like", "vgg_like", "fuse")):
            drawing = draw_figures(experiments, Options(extractor=wanted), [number])[0][number]
            (picture,) = drawing.pictures.values()
            assert f"{drawn}_pnl" in picture and f"{drawn}_no_il" in picture and f"{other}_" not in picture
            names = ("FUSE", "VGGLike") if drawn == "fuse" else ("VGGLike", "FUSE")
            assert "Extractor: {}. Of other extractors, not drawn here: {}.".format(*names) in drawing.text
    with pytest.raises(UserError, match="--extractor: no run has 'resnet'; legal: FUSE, VGGLike"):
        draw_figures(experiments, Options(extractor="resnet"), [10])


def test_another_extractor_is_drawn_where_the_papers_lacks_runs(tmp_path):
    names = [("vgg_like_no_il", VGG_LIKE), ("vgg_like_pnl", VGG_LIKE), ("fuse_pnl", {})]
    chosen, said = choose_extractor(write_extractors(tmp_path, *names), complete=with_instance_loss)
    assert [experiment.name for experiment in chosen] == ["vgg_like_no_il", "vgg_like_pnl"] and "VGGLike" in said
    with pytest.raises(CannotDraw, match="no run without instance loss"):
        choose_extractor(write_extractors(tmp_path / "again", *names), "FUSE", with_instance_loss)


def test_extractors_are_named_as_short_as_they_can_be(tmp_path):
    small = VGG_LIKE | {"n_mels": 40}
    experiments = write_extractors(
        tmp_path, ("a_pnl", VGG_LIKE), ("b_pnl", small), ("c_pnl", {}), ("d_pnl", small | {"channels": [2, 2]})
    )
    groups = {name: [member.name for member in members] for name, members in by_extractor(experiments).items()}
    assert groups == {
        "FUSE": ["c_pnl"],
        "VGGLike-128mel": ["a_pnl"],
        "VGGLike-40mel-64.0ms-1": ["b_pnl"],
        "VGGLike-40mel-64.0ms-2": ["d_pnl"],
    }


def test_experiments_stand_in_the_papers_order(three_experiments):
    experiments = read_experiments(three_experiments)
    assert [experiment.name for experiment in experiments] == ["fuse_no_il", "fuse_pnl", "fuse_pnl_ce"]
    assert [experiment.first.seed for experiment in experiments] == [1, 1, 1]
    assert len(read_experiments([three_experiments[0]] * 2)[0].runs) == 1


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
        ("report of another program", "is not a run's"),
        ("report cut off", "is not a run's"),
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
        ("--clips=audio/99.wav", "audio/99.wav is no clip of the evaluation list"),
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
    with pytest.raises(UserError, match="differ in their evaluated clips"):
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
    debug = write_run(tmp_path, "fuse_gt", random_logits(0, TRUTH), TRUTH, run={"seed": 1, "epochs": 2, "debug": True})
    (debug / "predictions.npz").unlink()
    with pytest.raises(UserError, match="is a debug run"):
        read_experiments([*three_experiments, debug])
    arguments = ["--to", str(tmp_path / "out"), "--figure=10"]
    assert TOOL.main([*map(str, three_experiments), str(debug), *arguments]) == 0
    assert f"{debug} is left out: a debug run" in capsys.readouterr().out
    assert "Debug runs are left out: fuse_gt/seed-1." in (tmp_path / "out/figures.md").read_text()
    assert TOOL.main([str(debug), *arguments]) == 1
    assert "error: these are debug runs alone" in capsys.readouterr().err


def test_warnings_of_runs_stand_on_the_page(tmp_path):
    logits = random_logits(0, TRUTH)
    folders = [write_run(tmp_path, name, logits, TRUTH, warnings=["few clips"]) for name in ("fuse_no_il", "fuse_pnl")]
    assert "\n- few clips (fuse_no_il seed 1, fuse_pnl seed 1)\n" in render(read_experiments(folders), {}, {})


# -- from training to the page


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
        run = Run(folder)
        reported, found = run.report["evaluation"]["underestimation"], class_measures(run)[-1]
        assert found["confidence"] == pytest.approx(reported["mean_confidence"])
        assert found["positive"] == pytest.approx(reported["positive_share"])
        assert run.accuracy == np.mean(run.bag_confidences_BC.argmax(1) == run.truth_B)


def test_vectors_are_those_that_the_decisions_were_made_on(trained_runs):
    run = Run(trained_runs[0][1])
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


def test_recordings_are_found_from_where_the_run_was_started(trained_runs, tmp_path, monkeypatch):
    folders, data = trained_runs
    home = tmp_path / "recipe"
    moved = home / "results/fuse_pnl/seed-1"
    shutil.copytree(folders[1], moved, ignore=shutil.ignore_patterns("save"))
    text = (moved / "hyperparams.yaml").read_text()
    text = re.sub("(?m)^data_folder: .*$", "data_folder: data/scenes", text)
    text = re.sub("(?m)^output_folder: .*$", "output_folder: results/fuse_pnl/seed-1", text)
    (moved / "hyperparams.yaml").write_text(text)
    with pytest.raises(CannotDraw, match="has no recordings in data/scenes: give --data_folder=DIR"):
        Run(moved).recordings()
    shutil.copytree(data, home / "data/scenes")
    assert Run(moved).recordings() == home / "data/scenes"
    monkeypatch.chdir(home / "results")
    assert Run("fuse_pnl/seed-1").recordings() == home / "data/scenes"
    assert Run(moved).recordings(data) == data


def test_other_recordings_than_the_evaluated_are_refused(trained_runs, tmp_path, capsys):
    folders, _ = trained_runs
    generate_synth_scenes(tmp_path / "longer", train_clips=20, evaluate_clips=20, seconds=3.0, progress=False)
    for figure in (7, 8):
        options = [f"--data_folder={tmp_path / 'longer'}", f"--figure={figure}"]
        assert TOOL.main([*map(str, folders), "--to", str(tmp_path / "out"), *options]) == 1
        assert "not the recordings that the run was evaluated on" in capsys.readouterr().err
