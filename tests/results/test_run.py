"""The reader of runs: every file is read when it is needed, and is complete or refused in one line."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.results.evaluation import decisions
from mil_asc.results.predictions import Predictions, write_predictions
from mil_asc.results.run import Run, without_debug_runs

SETTINGS = """\
seed: 3
data:
  corpus: !name:mil_asc.corpora.dcase.read_dcase_folder
    expected: {train: 9185, evaluate: 4185}
model:
  features:
    n_mels: 256
training:
  number_of_epochs: 8
"""
LABELS = ["bus", "park"]


def write_run(folder, debug=False, epochs=8, settings=SETTINGS):
    folder.mkdir(parents=True)
    report = {
        "experiment": "fuse_pnl",
        "dataset": "Tiny",
        "labels": LABELS,
        "evaluation": {"clips": 2, "decision": "cmi", "smi": {"accuracy": 0.5}, "cmi": {"accuracy": 0.25}},
        "notes": [],
        "warnings": [],
        "run": {"seed": 3, "epochs": epochs, "debug": debug, "data_folder": "/audio", "clip_seconds": 0.0},
    }
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "hyperparams.yaml").write_text(settings)
    (folder / "model.ckpt").write_bytes(b"weights")
    logits = [np.zeros((2, 2), np.float32), np.ones((3, 2), np.float32)]
    clips = [Clip(f"{label}.wav", label, "", label, "a") for label in LABELS]
    predictions = Predictions.of_clips(logits, [z_IC.max(0) for z_IC in logits])
    write_predictions(folder / "predictions.npz", predictions, clips, LABELS)
    return folder


def test_everything_of_a_run_is_read(tmp_path):
    run = Run(write_run(tmp_path / "run"))
    assert (run.experiment, run.dataset, run.labels, run.seed) == ("fuse_pnl", "Tiny", LABELS, 3)
    assert (run.decision, run.accuracy(), run.accuracy("smi"), run.accuracy("bag")) == ("cmi", 0.25, 0.5, None)
    assert (run.setting("n_mels"), run.setting("nothing"), run.setting("features")) == (256, None, None)
    assert (run.official_clips("evaluate"), run.official_clips("validation")) == (4185, None)
    assert (run.paths, run.truth_B.tolist()) == (["bus.wav", "park.wav"], [0, 1])
    assert run.predictions.counts_B.tolist() == [2, 3] and run.predictions.decision == "cmi"
    assert str(run.data_folder) == "/audio" and run.provenance["epochs"] == 8
    assert run.finished and not run.debug


def test_nothing_is_read_before_it_is_needed(tmp_path):
    folder = write_run(tmp_path / "run")
    for name in ("hyperparams.yaml", "predictions.npz"):
        (folder / name).unlink()
    assert Run(folder).accuracy("smi") == 0.5
    assert Run(tmp_path / "nowhere").folder.name == "nowhere"


def test_reports_and_settings_are_read_without_pytorch(tmp_path):
    folder = write_run(tmp_path / "run")
    program = (
        "import sys; from mil_asc.results.run import Run; "
        f"assert Run({str(folder)!r}).finished; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("report.json", None, "run holds no report.json: name the output folder of a finished run"),
        ("report.json", '{"run": ', r"report.json is damaged \(Expecting value.*\): evaluate the run again"),
        ("report.json", "[]", "report.json is not the report of a run of this version: it has no experiment"),
        ("report.json", '{"run": ' + "1" * 5000 + "}", r"report.json is damaged \(Exceeds the limit .*\)"),
        ("hyperparams.yaml", "a: " + "1" * 5000, "hyperparams.yaml is damaged"),
        ("report.json", b"\xff\xfe", "report.json cannot be read: not text"),
        ("hyperparams.yaml", None, "run holds no hyperparams.yaml"),
        ("hyperparams.yaml", "a: [", "hyperparams.yaml is damaged"),
        ("hyperparams.yaml", "text", "hyperparams.yaml is damaged"),
        ("hyperparams.yaml", SETTINGS.replace("8\n", "100\n"), "run is not finished: 8 of 100 epochs; train it to its"),
        ("model.ckpt", None, "run holds no model.ckpt"),
    ],
)
def test_damaged_and_unfinished_runs_are_refused_in_one_line(tmp_path, name, content, words):
    folder = write_run(tmp_path / "run")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=words) as caught:
        Run(folder).check_finished()
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not Run(folder).finished


def test_a_report_without_a_key_is_refused_by_its_name(tmp_path):
    folder = write_run(tmp_path / "run")
    report = json.loads((folder / "report.json").read_text())
    del report["run"]["data_folder"]
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match=re.escape("it has no run.data_folder")):
        Run(folder).check_finished()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive"])
def test_damaged_predictions_are_refused_in_one_line(tmp_path, damage):
    folder = write_run(tmp_path / "run")
    (folder / "predictions.npz").write_bytes(damage)
    with pytest.raises(UserError, match="predictions.npz is damaged .*: evaluate the run again"):
        Run(folder).predictions  # noqa: B018 (it is read here)


def test_missing_predictions_are_refused_with_the_way_to_make_them(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "predictions.npz").unlink()
    with pytest.raises(UserError, match="holds no predictions.npz: evaluate the run again with --test_only"):
        Run(folder).paths  # noqa: B018 (it is read here)


def test_debug_runs_are_not_finished_and_can_be_left_out(tmp_path):
    debug, run = write_run(tmp_path / "a", debug=True), write_run(tmp_path / "b")
    with pytest.raises(UserError, match="is a debug run, whose results mean nothing"):
        Run(debug).check_finished()
    others, left_out = without_debug_runs([debug, run, str(run)])
    assert [one.folder for one in others] == [run] and [one.folder for one in left_out] == [debug]
    with pytest.raises(UserError, match="only debug runs were named"):
        without_debug_runs([debug])


def change_report(folder, key, value):
    """Put a value at a dotted key of a report."""
    report = json.loads((folder / "report.json").read_text())
    *parents, last = key.split(".")
    node = report
    for parent in parents:
        node = node[parent]
    node[last] = value
    (folder / "report.json").write_text(json.dumps(report))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), 10**400, True, "x", [0.5]])
def test_accuracy_that_is_no_share_is_refused(tmp_path, value):
    folder = write_run(tmp_path / "run")
    change_report(folder, "evaluation.smi.accuracy", value)
    with pytest.raises(UserError, match="this version: evaluation.smi.accuracy is "):
        Run(folder).accuracy("smi")


def decisions_of(folder):
    """The decisions that ``train.py`` writes for the predictions in a folder."""
    run = Run(folder)
    clips = [Clip(path, LABELS[c], "", path, "a") for path, c in zip(run.paths, run.truth_B.tolist())]
    return decisions(run.predictions, clips, LABELS)


def test_predictions_of_the_report_are_read(tmp_path):
    folder = write_run(tmp_path / "run")
    change_report(folder, "decisions", decisions_of(folder))
    assert Run(folder).paths == ["bus.wav", "park.wav"] and len(Run(folder).predictions.counts_B) == 2


@pytest.mark.parametrize(
    "row, key, value, words",
    [
        (0, "path", "other.wav", "predictions.npz does not fit report.json: evaluate the run again"),
        (1, "label", "bus", "predictions.npz does not fit report.json"),
        (1, "cmi", {"label": "park", "score": 0.5}, "predictions.npz does not fit report.json"),
        (1, "cmi", {"label": "bus", "score": 0.9}, "predictions.npz does not fit report.json"),
        (1, "cmi", None, "report.json is not the report of a run of this version: decisions is "),
        (1, "cmi", {"label": "bus"}, "decisions is "),
    ],
)
def test_predictions_of_another_run_are_refused(tmp_path, row, key, value, words):
    folder = write_run(tmp_path / "run")
    rows = decisions_of(folder)
    rows[row][key] = value
    change_report(folder, "decisions", rows)
    with pytest.raises(UserError, match=words):
        Run(folder).predictions  # noqa: B018 (it is read here)
