"""``mil-asc classify --format dcase``: the challenge's table, its sidecar, and evaluation sets without labels."""

import csv
import json
import os
import re
import shutil

import finished_run
import numpy as np
import pytest
import ruamel.yaml
from calls import write_noise

from mil_asc.cli.found_recordings import read_list
from mil_asc.cli.submission import over_limits
from mil_asc.errors import UserError
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.model.complexity import submitted_size
from mil_asc.results.metrics import log_losses
from mil_asc.results.trained_model import load_model


@pytest.fixture
def evaluation_set(tmp_path):
    """An evaluation set as the challenge publishes it: five recordings, and a list of four without labels."""
    folder = tmp_path / "evaluation"
    for i in range(5):
        write_noise(folder / f"audio/{i}.wav", 1.0, seed=i)
    (folder / "evaluation_setup").mkdir()
    names = [f"audio/{i}.wav" for i in (3, 0, 2, 1)]
    (folder / "evaluation_setup/fold1_test.csv").write_text("\n".join(["filename", *names]) + "\n")
    return folder


@pytest.fixture
def words(evaluation_set, model, tmp_path):
    listed = evaluation_set / "evaluation_setup/fold1_test.csv"
    to = tmp_path / "Doe_INST_task1_1.output.csv"
    return ["classify", evaluation_set, "--list", listed, "--model", model, "--format", "dcase", "--to", to]


NO_SCORES = {"overall": {"accuracy": None, "logloss": None}}


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def meta_of(folder):
    text = (folder / "Doe_INST_task1_1.meta.yaml").read_text()
    return text, ruamel.yaml.YAML(typ="safe").load(text)


def none_paths(value, prefix=""):
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [])
    own = [f"{prefix}{key}" for key, inner in items if inner is None]
    return own + [path for key, inner in items for path in none_paths(inner, f"{prefix}{key}.")]


# -- the table


def test_table_has_the_listed_files_their_class_and_a_probability_of_every_class(mil_asc, words, evaluation_set, model):
    status, out, err = mil_asc(*words)
    assert status == 0 and out == "" and "4 recordings classified" in err
    first = words[-1].read_text().splitlines()[0].split("\t")
    rows = rows_of(words[-1])
    classifier = OnnxSceneClassifier.from_hparams(model)
    labels = classifier.interface.labels
    assert first == ["filename", "scene_label", *sorted(labels)]
    assert [row["filename"] for row in rows] == ["3.wav", "0.wav", "2.wav", "1.wav"]
    for row in rows:
        scene = classifier.explain_file(evaluation_set / "audio" / row["filename"])
        shares = {label: float(row[label]) for label in labels}
        assert row["scene_label"] == scene.label == max(shares, key=shares.get)
        assert sum(shares.values()) == pytest.approx(1, abs=1e-7)
        scores_BC = np.array([[scene.scores["smi"][label] for label in labels]])
        for c, label in enumerate(labels):
            assert -np.log(shares[label]) == pytest.approx(log_losses(np.array([c]), scores_BC)[0], rel=1e-4)


def test_columns_are_in_the_order_of_the_class_names_whatever_that_of_the_model():
    from mil_asc.inference.scene import Instances, Scene
    from mil_asc.presentation.scene_formats import Formatting, dcase_line, header

    labels = ["tram", "airport", "metro_station", "metro"]
    scores = {"smi": dict(zip(labels, [0.3, 0.05, 0.1, 0.05]))}
    scene = Scene("tram", "smi", scores, Instances(labels, np.zeros(1, int), np.zeros((1, 4)), np.zeros((1, 2)), 0))
    how = Formatting("dcase", labels, 16000)
    assert header(how) == "filename\tscene_label\tairport\tmetro\tmetro_station\ttram\n"
    assert dcase_line(scene, "1.wav", labels) == "1.wav\ttram\t0.1\t0.1\t0.2\t0.6"


def test_without_a_list_names_are_those_below_the_folder(mil_asc, recordings, model):
    status, out, _ = mil_asc("classify", recordings, "--model", model, "--format", "dcase")
    lines = [line.split("\t")[0] for line in out.splitlines()]
    assert status == 0 and lines == ["filename", "a.flac", "b.wav", "night/c.wav", "night/deep/d.ogg"]


def test_names_with_tabs_and_line_ends_keep_the_table_whole(mil_asc, tmp_path, model):
    source = write_noise(tmp_path / "source.wav", 0.5)
    (tmp_path / "in").mkdir()
    for name in ("tab\tbed.wav", "new\nline.wav", '"quoted".wav', "caf\udce9.wav"):
        shutil.copy(source, tmp_path / "in" / name)
    to = tmp_path / "a.csv"
    call = ["classify", tmp_path / "in", "--model", model, "--format", "dcase", "--to", to]
    assert mil_asc(*call)[0] == 0
    found = {row["filename"] for row in rows_of(to)}
    assert found == {"tab\\tbed.wav", "new\\nline.wav", '"quoted".wav', "caf\\udce9.wav"}
    assert "4 were there before" in mil_asc(*call)[2]


# -- going on


def test_stopped_submission_goes_on_to_the_same_file(mil_asc, words):
    mil_asc(*words)
    whole = words[-1].read_bytes()
    for length in (0, 3, len(whole) // 2, len(whole) - 1):
        words[-1].write_bytes(whole[:length])
        assert mil_asc(*words)[0] == 0 and words[-1].read_bytes() == whole
    assert "0 recordings classified, 4 were there before" in mil_asc(*words)[2]


def test_file_of_something_else_and_of_another_model_stay(mil_asc, words, plain_model):
    mil_asc(*words)
    before = words[-1].read_bytes()
    other = [plain_model if word == words[5] else word for word in words]
    status, _, err = mil_asc(*other)
    assert status == 1 and "(another model)" in err and words[-1].read_bytes() == before
    words[-1].write_text("filename\tscene_label\n")
    status, _, err = mil_asc(*words)
    assert status == 1 and err.count("\n") == 1 and "the columns are others" in err


# -- lists


@pytest.mark.parametrize(
    "text, part",
    [
        ("file\na.wav\n", "line 1: no column 'filename'"),
        ("filename\naudio/0.wav\n0.wav\n", "line 3: 0.wav is further up too"),
        ("filename\n../0.wav\n", "must be a path below the data folder"),
        ("filename\n", "names no recording"),
        ("filename\naudio/9.wav\n", "no recording of the list is below"),
    ],
)
def test_bad_list_is_one_line(mil_asc, words, evaluation_set, text, part):
    (evaluation_set / "evaluation_setup/fold1_test.csv").write_text(text)
    status, out, err = mil_asc(*words)
    assert status == 1 and out == "" and err.count("\n") == 1 and part in err and not words[-1].exists()


def test_missing_recordings_are_listed_at_the_end(mil_asc, words, evaluation_set):
    (evaluation_set / "audio/0.wav").unlink()
    status, _, err = mil_asc(*words)
    assert status == 3 and "1 of 4 recordings could not be classified" in err and "0.wav: no such file" in err
    assert [row["filename"] for row in rows_of(words[-1])] == ["3.wav", "2.wav", "1.wav"]


def test_other_columns_and_lists_without_a_header_are_read(evaluation_set):
    file = evaluation_set / "list.csv"
    file.write_text("device_id\tfilename\tscene_label\ns7\taudio/1.wav\tbus\n")
    plain = evaluation_set / "list.txt"
    plain.write_text("audio/1.wav\n")
    expected = [(os.path.join(evaluation_set, "audio/1.wav"), "1.wav")]
    for listed in (file, plain):
        assert list(read_list(str(evaluation_set), str(listed))) == expected
    with pytest.raises(UserError, match="cannot be read"):
        read_list(str(evaluation_set), str(evaluation_set / "none.csv"))


def test_list_needs_one_folder(mil_asc, words, evaluation_set):
    for paths in ([evaluation_set / "audio/0.wav"], [evaluation_set, evaluation_set / "audio"]):
        status, _, err = mil_asc("classify", *paths, *words[2:])
        assert status == 2 and "give one folder" in err


def test_list_is_for_every_format(mil_asc, words, tmp_path):
    status, out, _ = mil_asc(*words[:6], "--format", "jsonl")
    names = [os.path.basename(json.loads(line)["path"]) for line in out.splitlines()]
    assert status == 0 and names == ["3.wav", "0.wav", "2.wav", "1.wav"]


@pytest.mark.parametrize("with_meta", [False, True])
def test_evaluation_of_a_set_without_labels_is_refused(mil_asc, evaluation_set, model, tmp_path, with_meta):
    if with_meta:
        shutil.copy(evaluation_set / "evaluation_setup/fold1_test.csv", evaluation_set / "meta.csv")
    status, _, err = mil_asc("evaluate", model, "--data", evaluation_set, "--to", tmp_path / "out", "--quiet")
    assert status == 1 and err.count("\n") == 1 and "has no labels (evaluation_setup/fold1_test.csv names" in err
    assert f"mil-asc classify {evaluation_set} --list" in err and not (tmp_path / "out").exists()


# -- the sidecar


def test_sidecar_names_its_empty_fields_and_has_the_complexity(mil_asc, words, tmp_path, one_run):
    _, _, err = mil_asc(*words)
    text, meta = meta_of(tmp_path)
    empty = re.findall(r"^#   (\S+)$", text, re.MULTILINE)
    assert sorted(empty) == sorted(none_paths(meta)) and "submission.authors.0.lastname" in empty
    assert f"meta.yaml: fill in {', '.join(empty)}" in err
    size, complexity = submitted_size(load_model(one_run).network), meta["system"]["complexity"]
    assert complexity == {
        "total_parameters": size.parameters,
        "non_zero_parameters": size.non_zero,
        "macs": size.macs,
        "weight_precision": "float32",
        "weight_bytes": size.weight_bytes["float32"],
    }
    assert meta["submission"]["label"] == "Doe_INST_task1_1"
    description = meta["system"]["description"]
    assert description["input_sampling_rate"] == "16 kHz" and description["machine_learning_method"].startswith("FUSE")
    assert description["training_data"] == "dataset TAU2019, experiment fuse_pnl, seed 7"
    assert description["data_augmentation"] == "none"


def test_sidecar_of_a_run_has_the_scores_of_its_report(mil_asc, words, tmp_path):
    run = finished_run.write_run(tmp_path / "run")
    report = json.loads((run / "report.json").read_text())
    report["evaluation"]["smi"]["per_device"] = {
        "a": {"accuracy": 0.875, "clips": 8},
        "n": {"accuracy": 0.5, "clips": 2},
    }
    report["evaluation"] |= {"log_loss": 1.25, "log_losses": {"per_class": {"bus": 1.5}, "per_device": {"a": 0.5}}}
    (run / "report.json").write_text(json.dumps(report))
    mil_asc(*[run if word == words[5] else word for word in words])
    text, meta = meta_of(tmp_path)
    found = meta["results"]["development_dataset"]
    assert found["overall"] == {"accuracy": 80.0, "logloss": 1.25}
    assert found["device_wise"] == {"a": {"accuracy": 87.5, "logloss": 0.5}, "n": {"accuracy": 50.0, "logloss": None}}
    assert found["class_wise"]["bus"] == {"accuracy": 80.0, "logloss": 1.5}
    assert '"n":' in text and "#   results.development_dataset.device_wise.n.logloss" in text
    assert meta["system"]["description"]["training_data"] == "dataset TAU2019, experiment fuse_pnl, seed 7"


def test_sidecar_of_an_onnx_file_without_facts_leaves_the_complexity_to_the_author(mil_asc, words, tmp_path, model):
    mil_asc(*[f"{model}/model.onnx" if word == model else word for word in words])
    text, meta = meta_of(tmp_path)
    assert set(meta["system"]["complexity"].values()) == {None} and "#   system.complexity.macs" in text
    assert meta["system"]["description"]["input_sampling_rate"] == "16 kHz"


def test_sidecar_of_an_exported_file_is_about_its_weights(mil_asc, words, tmp_path, model, one_run, monkeypatch):
    monkeypatch.setattr("mil_asc.packaging.half.LEAST_VALUES", 8)  # the model is tiny
    file = tmp_path / "half.onnx"
    status, out, err = mil_asc("export", model, "--to", file, "--fp16")
    assert status == 0, err
    mil_asc(*[file if word == model else word for word in words])
    meta = meta_of(tmp_path)[1]
    size, complexity = submitted_size(load_model(one_run).network), meta["system"]["complexity"]
    assert (complexity["total_parameters"], complexity["macs"]) == (size.parameters, size.macs)
    assert complexity["weight_precision"] == "float16"
    assert size.weight_bytes["float16"] < complexity["weight_bytes"] < size.weight_bytes["float32"]
    assert f"{size.parameters:,} parameters, {complexity['weight_bytes']:,} bytes of weights" in out
    description = meta["system"]["description"]
    assert description["training_data"] == "dataset TAU2019, experiment fuse_pnl, seed 7"
    assert description["acoustic_features"] == "log-mel spectrogram" and description["data_augmentation"] == "none"
    told = json.loads(mil_asc("info", file, "--json")[1])
    assert told["weight_bytes"] == complexity["weight_bytes"] and told["trained_on"]["seed"] == "7"


def test_debug_run_is_marked_and_has_no_scores(mil_asc, words, tmp_path):
    run = finished_run.write_run(tmp_path / "run")
    report = json.loads((run / "report.json").read_text())
    report["run"]["debug"] = True
    (run / "report.json").write_text(json.dumps(report))
    file = tmp_path / "small.onnx"
    assert mil_asc("export", run, "--to", file)[0] == 0
    for model in (run, file):
        err = mil_asc(*[model if word == words[5] else word for word in words], "--force")[2]
        text, meta = meta_of(tmp_path)
        assert "warning: the model is of a debug run, whose results mean nothing" in err
        assert "# the model is of a debug run" in text and meta["results"]["development_dataset"] == NO_SCORES
        assert f"warning: {model} is " in err and "a debug run, whose results mean nothing" in err
    told = json.loads(mil_asc("info", file, "--json")[1])
    assert told["trained_on"]["debug"].startswith("a debug run")


def test_classes_of_other_data_are_warned_of_and_have_no_scores(mil_asc, words, tmp_path, monkeypatch):
    run = finished_run.write_run(tmp_path / "run")
    words = [run if word == words[5] else word for word in words]
    told = "the classes are not the ten scenes of DCASE task 1, 2018 to 2025"
    assert f"warning: {told}: bus, park, tram" in mil_asc(*words)[2]
    assert meta_of(tmp_path)[1]["results"]["development_dataset"]["overall"]["accuracy"] == 80.0  # three of the ten
    monkeypatch.setattr("mil_asc.cli.submission.SCENES", ("bus", "park"))
    mil_asc(*words, "--force")
    text, meta = meta_of(tmp_path)
    assert meta["results"]["development_dataset"] == NO_SCORES and f"# {told}" in text


def test_what_exceeds_the_limits_is_said():
    counts = {"weight_bytes": 128_000, "macs": 30_000_000, "weight_precision": "float32"}
    assert over_limits(counts) == over_limits(dict.fromkeys(counts)) == []
    lines = over_limits({**counts, "weight_bytes": 128_001, "macs": 30_000_001})
    assert lines[0].startswith("128,001 bytes of weights: DCASE task 1 allowed 128,000") and "--int8" in lines[0]
    assert lines[1].startswith("30,000,001 multiply-accumulates") and "--int8" not in lines[1]


def test_limits_stand_in_the_sidecar_and_on_the_console(mil_asc, words, tmp_path, monkeypatch):
    monkeypatch.setattr("mil_asc.cli.submission.DCASE_WEIGHT_BYTES", 10)
    err = mil_asc(*words)[2]
    assert "warning: " in err and "bytes of weights: DCASE task 1 allowed 10" in err
    assert "bytes of weights: DCASE task 1 allowed 10 from 2022 to 2025" in meta_of(tmp_path)[0]


def test_sidecar_that_its_author_filled_in_is_kept_unless_forced(mil_asc, words, tmp_path):
    mil_asc(*words)
    place = tmp_path / "Doe_INST_task1_1.meta.yaml"
    place.write_text("mine\n")
    assert "was kept" in mil_asc(*words)[2] and place.read_text() == "mine\n"
    assert mil_asc(*words, "--force")[0] == 0 and "EMPTY FIELDS" in place.read_text()


def test_quiet_says_nothing_and_standard_output_has_no_sidecar(mil_asc, words, tmp_path):
    assert mil_asc(*words, "--quiet")[1:] == ("", "") and (tmp_path / "Doe_INST_task1_1.meta.yaml").exists()
    before = sorted(os.listdir(tmp_path))
    assert mil_asc(*words[:-2])[1].startswith("filename\tscene_label\t") and sorted(os.listdir(tmp_path)) == before
