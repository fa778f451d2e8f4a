"""Finished runs averaged: against slow means of sigmoids, what is refused, and the report."""

import json
import shutil

import numpy as np
import pytest
from finished_run import LABELS
from hypothesis import given
from hypothesis import strategies as st
from member_runs import FLOORS, clips_of, made_up, write_member
from references import sigmoid

from mil_asc.errors import UserError
from mil_asc.results.ensemble import average_predictions, average_runs
from mil_asc.results.ensemble_report import check_place, render_ensemble_page, write_ensemble
from mil_asc.results.predictions import Predictions
from mil_asc.results.run import Run


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    return [write_member(root / f"seed-{seed}", seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def ensemble(folders):
    return average_runs(folders)


@pytest.fixture
def other(tmp_path):
    """Writes another run, to be averaged with the first."""
    return lambda seed=2, **more: write_member(tmp_path / "other", seed, **more)


# -- numbers


def test_instance_and_bag_confidences_are_means_of_sigmoids(folders, ensemble):
    parts = [Run(folder).predictions for folder in folders]
    for name in ("logits_IC", "bag_logits_BC"):
        for index in np.ndindex(getattr(parts[0], name).shape):
            expected = sum(sigmoid(float(getattr(part, name)[index])) for part in parts) / 3
            assert sigmoid(float(getattr(ensemble.predictions, name)[index])) == pytest.approx(expected, rel=1e-5)


def test_class_under_smi_is_that_of_the_greatest_mean_confidence(folders, ensemble):
    parts = [Run(folder).predictions for folder in folders]
    mean_IC = np.mean([part.confidence_IC for part in parts], axis=0)
    expected = [LABELS[own_IC.max(0).argmax()] for own_IC in parts[0].by_clip(mean_IC)]
    assert [row["smi"]["label"] for row in ensemble.results["decisions"]] == expected
    share = np.mean([label == clip.label for label, clip in zip(expected, ensemble.clips)])
    assert ensemble.results["evaluation"]["smi"]["accuracy"] == pytest.approx(share)


@given(st.lists(st.floats(-80, 80, width=32), min_size=2, max_size=6))
def test_mean_confidence_lies_between_those_of_the_members(logits):
    parts = [Predictions.of_clips([np.float32([[z, -z]])], [np.float32([z, -z])]) for z in logits]
    found = average_predictions(parts).logits_IC[0]
    assert np.isfinite(found).all() and found[0] == pytest.approx(-found[1], rel=1e-5, abs=1e-6)
    assert min(logits) - 1e-4 <= found[0] <= max(logits) + 1e-4


def test_one_model_that_is_far_off_does_not_outvote_the_others():
    sure, wrong = (Predictions.of_clips([np.float32([z])], [np.float32(z)]) for z in ([3.0, -3.0], [-300.0, 300.0]))
    assert average_predictions([sure, sure, wrong]).decided().tolist() == [0]


def test_ensemble_of_equal_models_is_the_model():
    one = made_up(clips_of(), seed=5)
    found = average_predictions([one, one])
    np.testing.assert_allclose(found.logits_IC, one.logits_IC, rtol=1e-5, atol=1e-6)


def test_models_with_other_poolings_are_averaged_by_their_bag_confidences(folders, other):
    found = average_runs([folders[0], other(decision="bag")])
    assert found.predictions.decision == found.results["evaluation"]["decision"] == "bag"
    assert [member["decision"] for member in found.results["ensemble"]["members"]] == ["smi", "bag"]
    assert "<html" in render_ensemble_page(found.results)


def test_predictions_of_other_shapes_cannot_be_averaged():
    clips = clips_of(2)
    parts = [made_up(clips, 1, instances=[2, 3]), made_up(clips, 1, instances=[3, 2])]
    with pytest.raises(ValueError, match="same clips, instances"):
        average_predictions(parts)
    with pytest.raises(ValueError, match="at least one"):
        average_predictions([])


def test_clips_in_another_order_are_put_in_order(folders, other, ensemble):
    clips, whole = clips_of(), made_up(clips_of(), 2)
    order = list(reversed(range(len(clips))))
    logits = whole.by_clip(whole.logits_IC)
    turned = Predictions.of_clips([logits[b] for b in order], [whole.bag_logits_BC[b] for b in order])
    found = average_runs([folders[0], other(clips=clips[::-1], predictions=turned)])
    expected = average_runs(folders[:2])
    assert np.array_equal(found.predictions.logits_IC, expected.predictions.logits_IC)
    assert found.results["decisions"] == expected.results["decisions"]


# -- the report


def test_report_names_the_runs_and_what_each_reaches_alone(folders, ensemble):
    members = ensemble.results["ensemble"]["members"]
    assert [member["folder"] for member in members] == [str(folder.resolve()) for folder in folders]
    assert [member["seed"] for member in members] == [1, 2, 3]
    for folder, member in zip(folders, members):
        report = json.loads((folder / "report.json").read_text())
        assert member["weights_sha256"] == report["run"]["weights_sha256"]
        assert member["accuracy"] == {rule: report["evaluation"][rule]["accuracy"] for rule in ("smi", "cmi")}
        assert member["log_loss"] == report["evaluation"]["log_loss"]
        assert member["floor"] == FLOORS[member["seed"]]
    gain = ensemble.results["ensemble"]["difference"]
    alone = np.mean([member["accuracy"]["smi"] for member in members])
    assert gain["accuracy"] == pytest.approx(ensemble.results["evaluation"]["smi"]["accuracy"] - alone)
    assert gain["groups"] == 6 and gain["low"] <= gain["accuracy"] <= gain["high"]


def test_warnings_of_all_runs_are_given_once_and_others_with_their_folders(folders, ensemble):
    expected = ["warning of every run", *(f"{folder}: warning of seed {n}" for n, folder in enumerate(folders, 1))]
    assert sorted(ensemble.results["warnings"]) == sorted(expected)


def test_floor_is_the_best_of_the_runs(ensemble):
    assert ensemble.results["floor"] == {"accuracy": 0.25, "macro_accuracy": 0.25, "log_loss": 3.0}


def test_ensemble_below_the_floor_is_warned_of(folders, other):
    floor = {"accuracy": 1.0, "macro_accuracy": 1.0, "log_loss": 0.1}
    bad = made_up(clips_of(), 2, lean=-5.0)
    found = average_runs([folders[0], other(floor=floor, predictions=bad)]).results["warnings"]
    assert any("not better than the floor (100.0 %)" in line for line in found)


def test_runs_without_a_floor_give_none(folders, other):
    assert average_runs([folders[0], other(floor=None)]).results["floor"] is None


def test_written_report_reads_as_a_run_whose_predictions_fit(folders, ensemble, tmp_path):
    page = write_ensemble(tmp_path / "to", ensemble)
    run = Run(tmp_path / "to")
    assert run.accuracy() == ensemble.results["evaluation"]["smi"]["accuracy"]
    assert np.array_equal(run.predictions.logits_IC, ensemble.predictions.logits_IC)
    text = page.read_text()
    for folder in folders:
        assert str(folder.resolve()) in text and Run(folder).report["run"]["weights_sha256"] in text
    assert (
        ", seed" not in text.partition("</title>")[0]
        and "warning of seed 2" in text
        and "The floor: 25.0" in text
        and "arXiv 1612.01474" in text
    )


def test_ensemble_of_the_same_runs_is_replaced_and_anything_else_is_kept(folders, ensemble, tmp_path):
    write_ensemble(tmp_path / "to", ensemble)
    check_place(tmp_path / "to", folders)
    (tmp_path / "to/mine.txt").write_text("mine")
    for place, words in [(tmp_path / "to", "mine.txt"), (folders[0], "stays as it is"), (folders[0] / "x", "stays")]:
        with pytest.raises(UserError, match=words):
            check_place(place, folders)


# -- what is refused


def refusal(folders):
    with pytest.raises(UserError) as caught:
        average_runs(folders)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fewer_than_two_runs_are_refused(folders):
    assert "two runs or more, got 1" in refusal(folders[:1])


def test_run_that_is_named_twice_is_refused(folders, tmp_path):
    (tmp_path / "link").symlink_to(folders[0])
    assert "link is named twice" in refusal([folders[0], folders[1], tmp_path / "link"])


def test_copy_of_a_run_is_refused(folders, tmp_path):
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    assert "have the same weights" in refusal([folders[0], copy])


def test_other_classes_are_named(folders, other):
    report = {"labels": ["bus", "park", "metro"]}
    assert "differ in their classes (metro, tram)" in refusal([folders[0], other(**report)])


def test_classes_in_another_order_are_refused(folders, other):
    assert "classes in another order" in refusal([folders[0], other(labels=["park", "bus", "tram"])])


def test_other_clips_are_named(folders, other):
    text = refusal([folders[0], other(clips=clips_of(11))])
    assert "evaluated on other clips" in text and "tram/11.wav" in text


def test_other_numbers_of_instances_are_refused(folders, other):
    text = refusal([folders[0], other(predictions=made_up(clips_of(), 2, instances=[2] * 12))])
    assert "differ in their instances (bus/0.wav has 2, and 1)" in text


def test_instances_of_another_length_are_refused(folders, other):
    text = refusal([folders[0], other(more={"hop_ms": 16.0})])
    assert "differ in their instances (one every 0.128 s" in text


def test_run_that_is_not_finished_is_refused(folders, other):
    run = other()
    report = json.loads((run / "report.json").read_text())
    report["run"]["epochs"] = 3
    (run / "report.json").write_text(json.dumps(report))
    assert "is not finished: 3 of" in refusal([folders[0], run])


def test_weights_of_another_report_are_refused(folders, other):
    run = other()
    report = json.loads((run / "report.json").read_text())
    report["run"]["weights_sha256"] = "0" * 64
    (run / "report.json").write_text(json.dumps(report))
    assert "is not the model of report.json" in refusal([folders[0], run])


def test_folder_without_a_run_is_refused(folders, tmp_path):
    assert "holds no report.json" in refusal([folders[0], tmp_path])
