"""``mil-asc info``, ``pack``, ``export``, ``push`` and ``evaluate``: from a run to a model that others can use."""

import csv
import io
import json

import numpy as np
import onnxruntime
import pytest
import tiny
from calls import start, write_noise
from dcase_files import write_dcase_folder
from hub_server import running_hub

from mil_asc.packaging.layout import CALIBRATION, CARD, CHECKSUMS, GRAPH
from mil_asc.training.entry import main as train

CLASSES = ["bus", "park", "tram"]


# -- info


def test_info_says_what_a_model_is(mil_asc, model):
    status, out, _ = mil_asc("info", model)
    assert status == 0
    for words in ("labels: bus, park, tram", "sample rate: 16000 Hz", "shortest input: 0.224 s", "trained on:"):
        assert words in out
    for words in (
        "instance step: 0.256 s",
        "context: ",
        "decides by: SMI",
        "parameters: ",
        "clips: 500",
        "model.onnx: ",
    ):
        assert words in out


def test_info_says_that_there_is_no_calibration(mil_asc, plain_model):
    assert "calibration: none: scores are no probabilities" in mil_asc("info", plain_model)[1]


def test_info_as_json_agrees_with_every_form_of_a_model(mil_asc, plain_model, one_run):
    found = [json.loads(mil_asc("info", one, "--json")[1]) for one in (plain_model, one_run, f"{plain_model}/{GRAPH}")]
    for name in ("labels", "sample_rate", "shortest_input", "instance_step", "context", "decides_by", "calibration"):
        assert found[0][name] == found[1][name] == found[2][name]
    assert found[0]["parameters"] == found[1]["parameters"] > 0
    assert found[0]["trained_on"]["experiment"] == found[1]["trained_on"]["experiment"] == "fuse_pnl"


# -- pack, export, push


def test_packed_run_classifies_as_the_run_does(mil_asc, one_run, recordings, tmp_path):
    status, out, err = mil_asc("pack", one_run, "--to", tmp_path / "model", "--name", "street sounds")
    assert (status, out) == (0, f"{tmp_path / 'model'}\n") and "without a calibration" in err
    assert "# street sounds" in (tmp_path / "model" / CARD).read_text()
    assert (tmp_path / "model" / GRAPH).is_file() and (tmp_path / "model" / CHECKSUMS).is_file()
    words = ["classify", recordings, "--format", "csv", "--model"]
    found, expected = (
        list(csv.DictReader(io.StringIO(mil_asc(*words, one)[1]))) for one in (tmp_path / "model", one_run)
    )
    for own, theirs in zip(found, expected, strict=True):
        assert own["label"] == theirs["label"] and abs(float(own["score"]) - float(theirs["score"])) < 1e-4


@pytest.mark.slow
def test_every_form_of_export_classifies(mil_asc, plain_model, tmp_path):
    (tmp_path / "many").mkdir()
    for seed in range(24):
        write_noise(tmp_path / f"many/{seed}.wav", seed=seed)
    calibrate = ("--int8", "--calibrate", tmp_path / "many")
    for name, words, said in [
        ("half", ("--fp16",), "half.onnx"),
        ("int8", calibrate, "as float32 does, SMI and CMI"),
        ("network", ("--network-only", "--seconds", "1"), "weights (flash)"),
        ("network8", ("--network-only", "--seconds", "0.5", *calibrate), "working memory"),
    ]:
        status, out, err = mil_asc("export", plain_model, "--to", tmp_path / f"{name}.onnx", *words)
        assert status == 0 and said in out, err
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].name == ("logmel" if "network" in name else "waveform")
    for name in ("half", "int8"):
        status, out, _ = mil_asc("classify", tmp_path / "many/0.wav", "--model", tmp_path / f"{name}.onnx")
        assert status == 0 and "0.wav" in out
    status, _, err = mil_asc("classify", tmp_path / "many/0.wav", "--model", tmp_path / "network.onnx")
    assert status == 1 and "without --network-only" in err


@pytest.mark.parametrize(
    "words, said",
    [
        (("--fp16", "--int8"), "exclude each other"),
        (("--int8",), "belong together"),
        (("--calibrate", "."), "belong together"),
        (("--seconds", "3"), "--seconds is for --network-only"),
    ],
)
def test_contradictory_forms_of_export_are_wrong_usage(mil_asc, plain_model, tmp_path, words, said):
    status, _, err = mil_asc("export", plain_model, "--to", tmp_path / "a.onnx", *words)
    assert status == 2 and said in err and not (tmp_path / "a.onnx").exists()


def test_model_folder_is_replaced_only_if_forced(mil_asc, one_run, tmp_path):
    words = ["pack", one_run, "--to", tmp_path / "model", "--no-onnx"]
    assert mil_asc(*words)[0] == 0 and not (tmp_path / "model" / GRAPH).exists()
    status, _, err = mil_asc(*words)
    assert status == 1 and err.count("\n") == 1 and "--force" in err
    assert mil_asc(*words, "--force")[0] == 0


def test_exported_file_is_the_graph_of_the_model(mil_asc, plain_model, one_run, tmp_path):
    status, out, _ = mil_asc("export", plain_model, "--to", tmp_path / "a.onnx")
    assert status == 0 and out.startswith(f"{tmp_path / 'a.onnx'}: ")
    assert mil_asc("export", one_run, "--to", tmp_path / "b.onnx", "--quiet")[:2] == (0, "")
    wav_1N = 0.1 * np.random.default_rng(0).normal(size=(1, 16000)).astype(np.float32)
    expected = onnxruntime.InferenceSession(f"{plain_model}/{GRAPH}").run(["smi"], {"waveform": wav_1N})[0]
    for name in ("a.onnx", "b.onnx"):
        found = onnxruntime.InferenceSession(str(tmp_path / name)).run(["smi"], {"waveform": wav_1N})[0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_export_keeps_a_file_that_is_there(mil_asc, plain_model, tmp_path):
    (tmp_path / "a.onnx").write_text("mine")
    status, _, err = mil_asc("export", plain_model, "--to", tmp_path / "a.onnx")
    assert status == 1 and "--force" in err and (tmp_path / "a.onnx").read_text() == "mine"
    assert mil_asc("export", plain_model, "--to", tmp_path / "a.txt")[0] == 2


def test_only_complete_models_are_pushed_and_only_to_the_hub(mil_asc, model, tmp_path):
    status, _, err = mil_asc("push", tmp_path, "hf:anna/sounds")
    assert status == 1 and err.count("\n") == 1 and "config.json is missing" in err
    status, _, err = mil_asc("push", model, "anna/sounds")
    assert status == 1 and err.count("\n") == 1 and "hf:user/model" in err


@pytest.mark.slow
def test_pushed_model_classifies_by_its_name(model, recordings, tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    with running_hub() as hub:
        settings = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        process = start("push", model, "hf:anna/sounds", settings=settings)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and out.startswith(hub.address), err
        words = ["classify", recordings / "b.wav", "--format", "csv", "--model"]
        process = start(*words, "hf:anna/sounds", "--revision", "main", settings=settings)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    process = start(*words, model)
    assert process.communicate(timeout=120)[0] == out


# -- with a run that was really trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with ``run``, trained on the folder ``data``, and ``model``, packed from it."""
    from mil_asc.packaging.pack import pack_run

    root = tmp_path_factory.mktemp("trained")
    clips = [("train", CLASSES[i % 3], "lisbon", 10 + i, 0) for i in range(6)]
    clips += [("evaluate", CLASSES[i % 3], "prague", 50 + i, 0) for i in range(5)]
    write_dcase_folder(root / "data", clips)
    words = ["--number_of_epochs=1", "--num_classes=3", f"--data.labels=[{','.join(CLASSES)}]"]
    assert train(tiny.tiny_run("recipes/TAU2019/hparams/fuse_pnl.yaml", root / "data", root / "run", *words)) == 0
    pack_run(root / "run", root / "model")
    return root


def evaluated(mil_asc, model, data, out, *more):
    status, _, err = mil_asc("evaluate", model, "--data", data, "--to", out, "--device", "cpu", "--quiet", *more)
    assert status == 0, err
    return json.loads((out / "report.json").read_text())


def test_run_and_model_folder_have_the_same_report_of_the_same_data(mil_asc, trained, tmp_path):
    of_run = evaluated(mil_asc, trained / "run", trained / "data", tmp_path / "a")
    of_model = evaluated(mil_asc, trained / "model", trained / "data", tmp_path / "b")
    own = json.loads((trained / "run" / "report.json").read_text())
    assert of_run["evaluation"] == own["evaluation"] and of_run["warnings"] == []
    for found, expected in zip(of_model["decisions"], own["decisions"], strict=True):
        assert found["path"] == expected["path"] and found["smi"]["label"] == expected["smi"]["label"]
        assert found["smi"]["score"] == pytest.approx(expected["smi"]["score"], abs=1e-4)
    assert of_model["evaluation"]["smi"]["accuracy"] == own["evaluation"]["smi"]["accuracy"]


def test_report_of_a_model_folder_says_what_is_known_of_its_training(mil_asc, trained, tmp_path):
    report = evaluated(mil_asc, trained / "model", trained / "data", tmp_path / "out")
    own = json.loads((trained / "run" / "report.json").read_text())
    assert report["model"]["dataset"] == own["dataset"] and report["experiment"] == own["experiment"]
    assert report["run"]["seed"] == own["run"]["seed"] and report["run"]["epochs"] == 1
    assert any("trained on these clips is unknown" in text for text in report["warnings"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"Evaluation of a model that was trained on {own['dataset']}" in page


def test_class_folders_are_evaluated_with_options_of_their_reader(mil_asc, trained, tmp_path):
    for place, label in enumerate(["bus", "park"]):
        write_noise(tmp_path / "sounds" / label / "a.wav", 4.0, place)
    report = evaluated(mil_asc, trained / "model", tmp_path / "sounds", tmp_path / "out", "--clip_seconds=2")
    assert report["evaluation"]["clips"] == 4 and report["dataset"] == "sounds"


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--bogus=1"], "--bogus=1 is not understood: options of readers are"),
        (["--fold=2"], "--fold has no effect"),
    ],
)
def test_unknown_options_of_an_evaluation_are_refused_in_one_line(mil_asc, trained, tmp_path, words, reason):
    write_noise(tmp_path / "sounds/bus/a.wav")
    status, _, err = mil_asc(
        "evaluate", trained / "model", "--data", tmp_path / "sounds", "--to", tmp_path / "o", *words
    )
    assert status == 1 and err.count("error: ") == 1 and reason in err and not (tmp_path / "o").exists()


def test_clips_that_were_trained_on_do_not_calibrate(mil_asc, trained, tmp_path):
    for place in range(3):
        write_noise(tmp_path / "sounds" / CLASSES[place] / "a.wav", 1.0, place)
    words = ["pack", trained / "run", "--to", tmp_path / "model", "--no-onnx", "--calibrate", tmp_path / "sounds"]
    status, _, err = mil_asc(*words)
    assert status == 0 and "warning: packed without a calibration" in err and "500 clips or more" in err
    assert (
        not (tmp_path / "model" / CALIBRATION).exists() and "nothing marks" in (tmp_path / "model" / CARD).read_text()
    )
    words.append("--force")
    (tmp_path / "sounds/bus/b.wav").symlink_to(sorted((trained / "data/audio").glob("bus-lisbon*"))[0])
    status, _, err = mil_asc(*words)
    assert status == 1 and "was trained on 1 of these recordings" in err


@pytest.mark.slow
def test_run_is_packed_with_a_calibration_of_500_clips(mil_asc, trained, tmp_path):
    for place in range(500):
        write_noise(tmp_path / "sounds" / CLASSES[place % 3] / f"{place}.wav", 0.6, place)
    words = ["pack", trained / "run", "--to", tmp_path / "model", "--calibrate", tmp_path / "sounds", "--quiet"]
    assert mil_asc(*words)[0] == 0
    assert json.loads((tmp_path / "model" / CALIBRATION).read_text())["clips"] == 500
    _, out, _ = mil_asc("classify", tmp_path / "sounds/bus/0.wav", "--model", tmp_path / "model", "--format", "jsonl")
    assert json.loads(out)["familiar"] in (True, False)
