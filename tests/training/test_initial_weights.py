"""``init_from`` and ``freeze_extractor``: which weights a training begins with, what is refused, and what resumes."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import tiny
import torch
from dcase_files import write_dcase_folder
from test_resume import KILLED_RUN

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.cp_resnet import CPResNet
from mil_asc.model.extractors.dcase_baseline import DCASEBaseline
from mil_asc.model.extractors.trident_resnet import TridentResNet
from mil_asc.model.features import LogMel
from mil_asc.packaging.pack import pack_run
from mil_asc.packaging.sources import shipped_models
from mil_asc.results.settings import changed_settings
from mil_asc.training import initial_weights
from mil_asc.training.brain import MILBrain
from mil_asc.training.entry import main
from mil_asc.training.run_state import RunState

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
CLASSES = ("airport", "park", "tram")
STILL = "--learning_rate=1.0e-30"
"""With it, no parameter changes by as much as its last bit."""


def write_data(folder, classes=CLASSES, cities=("lisbon", "prague")):
    clips = [("train", classes[i % 3], cities[0], 10 + i, 0) for i in range(10)]
    clips += [("evaluate", classes[i % 3], cities[1], 50 + i, 0) for i in range(3)]
    return write_dcase_folder(folder, clips, seconds=0.5)


def weights(run):
    return torch.load(run / "model.ckpt", weights_only=True)


def report(run):
    return json.loads((run / "report.json").read_text())


def only_parameters(state):
    return {name: value for name, value in state.items() if "running" not in name and "num_batches" not in name}


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    monkeypatch.setattr("mil_asc.results.report.render_page", lambda *arguments: "")  # slow, and has its own tests


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def source(tmp_path_factory, data_folder):
    """A trained run of seed 5, of ten classes, as TAU2019 has them."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert main(tiny.tiny_run(YAML, data_folder, folder, "--number_of_epochs=1", "--seed=5")) == 0
    return folder


@pytest.fixture
def train(data_folder, tmp_path, capsys):
    """Trains one epoch with options; returns the run's folder."""

    def start(*more, name="run", status=0, data=data_folder, yaml=YAML):
        capsys.readouterr()
        folder = tmp_path / name
        words = tiny.tiny_run(yaml, data, folder, "--number_of_epochs=1", *more)
        found = main(words)
        start.err = capsys.readouterr().err
        assert found == status, start.err
        return folder

    return start


@pytest.fixture
def refusal(train):
    """The one line of a start that is refused."""

    def refused(*more, **options):
        train(*more, status=1, **options)
        lines = [line for line in train.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and "Traceback" not in train.err
        return lines[0]

    return refused


# -- which weights


def test_training_begins_with_the_weights_of_a_run(source, train):
    run = train(f"--init_from={source}", STILL)
    expected, found = only_parameters(weights(source)), only_parameters(weights(run))
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    without = only_parameters(weights(train(STILL, name="without")))
    assert not all(torch.equal(without[name], found[name]) for name in found)


def test_model_folder_gives_the_same_start_as_its_run(source, train, tmp_path):
    packed = pack_run(source, tmp_path / "packed", graph=None)
    first = weights(train(f"--init_from={source}"))
    second = weights(train(f"--init_from={packed}", name="second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_report_and_settings_say_where_the_weights_came_from(source, train):
    run = train(f"--init_from={source}")
    made = report(run)["run"]["init_from"]
    assert made["source"] == str(source) and made["folder"] == str(source.resolve())
    assert made["weights_sha256"] == report(source)["run"]["weights_sha256"] != report(run)["run"]["weights_sha256"]
    assert made["new"] == [] and made["labels"] == report(source)["labels"] and made["frozen_parameters"] == 0
    assert f"init_from: {source}" in (run / "hyperparams.yaml").read_text()
    (note,) = [note for note in report(run)["notes"] if "began with the weights" in note]
    assert "with its detector" in note and f"note: {note}" in train.err
    assert "init_from" not in report(source)["run"]


def test_detector_of_other_classes_is_that_of_a_run_without_initial_weights_and_a_line_says_so(source, train, tmp_path):
    data = write_data(tmp_path / "other", ("bus", "car", "tree"))
    words = ["--num_classes=3", "--data.labels=[bus,car,tree]", STILL]
    run = train(f"--init_from={source}", *words, data=data)
    assert "note: the training began with" in train.err and "the detector is new (detector.bias, " in train.err
    assert report(run)["run"]["init_from"]["new"] == ["detector.bias", "detector.weight"]
    without, found, old = weights(train(*words, name="without", data=data)), weights(run), weights(source)
    for name in only_parameters(found):
        expected = without if name.startswith("detector.") else old
        assert torch.equal(found[name], expected[name]), name


def test_clips_and_random_numbers_are_those_of_a_run_without_initial_weights(source, train, monkeypatch):
    seen, fit_batch = [], MILBrain.fit_batch

    def noted(self, batch):
        seen.append((batch.index_B.tolist(), torch.get_rng_state()))
        return fit_batch(self, batch)

    monkeypatch.setattr(MILBrain, "fit_batch", noted)
    train(f"--init_from={source}")
    train(name="without")
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert [clips for clips, _ in first] == [clips for clips, _ in second] and len(first) == 3
    assert all(torch.equal(one[1], other[1]) for one, other in zip(first, second))


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_model_starts_a_training(train, name):
    config = json.loads((tiny.ROOT / f"mil_asc/packaging/shipped/{name}/config.json").read_text())
    front, arguments = config["front_end"], config["extractor"]["arguments"]
    words = [f"--{key}={front[key]}" for key in ("n_mels", "hop_ms", "window_ms", "log_floor")]
    words += [f"--{key}={arguments[key]}" for key in ("channels", "num_blocks")]
    run = train(f"--init_from={name}", f"--instance_dim={config['head']['instance_dim']}", *words)
    assert report(run)["run"]["init_from"]["source"] == name
    words = f"whether {name}, with whose weights the training began, was trained on these clips is unknown"
    assert any(words in warning for warning in report(run)["warnings"])


def test_evaluated_clips_that_the_source_was_trained_on_are_warned_of(source, train, tmp_path, data_folder):
    shutil.copytree(data_folder, tmp_path / "swapped")
    setup = tmp_path / "swapped/evaluation_setup"
    (setup / "fold1_train.csv").rename(setup / "x")
    (setup / "fold1_evaluate.csv").rename(setup / "fold1_train.csv")
    (setup / "x").rename(setup / "fold1_evaluate.csv")
    run = train(f"--init_from={source}", data=tmp_path / "swapped")
    assert any("10 of these 10 recordings" in line and str(source) in line for line in report(run)["warnings"])


# -- a frozen extractor


def test_frozen_extractor_does_not_change_and_everything_after_it_does(source, train):
    run = train(f"--init_from={source}", "--freeze_extractor=true")
    before, after = weights(source), weights(run)
    own = [name for name in before if name.startswith("extractor.") and "num_batches" not in name]
    assert any("running_mean" in name for name in own)
    assert all(torch.equal(before[name], after[name]) for name in own)
    for name in ("detector.weight", "instances.pointwise.0.weight", "instances.pointwise.1.running_mean"):
        assert not torch.equal(before[name], after[name]), name
    made = report(run)["run"]
    assert made["init_from"]["frozen_parameters"] == sum(
        before[name].numel() for name in own if name in only_parameters(before)
    )
    assert made["parameters"] == report(source)["run"]["parameters"]
    assert "the extractor is frozen" in train.err
    trained = weights(train(f"--init_from={source}", name="trained"))
    assert not all(torch.equal(before[name], trained[name]) for name in own)


# -- what is refused, before anything is decoded


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--n_mels=32"], "n_mels is 16 there and 32 here"),
        (["--hop_ms=16.0"], "hop_ms is 32 there and 16 here"),
        (["--window_ms=64.0"], "window_ms is 128 there and 64 here"),
        (["--log_floor=1.0e-6"], "log_floor is 1e-10 there and 1e-06 here"),
        (["--model.features.sample_rate=8000"], "sample_rate is 16000 there and 8000 here"),
        (["--input_norm=resnorm"], "input_norm is Identity there and ResNorm here"),
        (["--batch_norm=plain"], "batch_norm (least eps) is 0.1 there and 1e-05 here"),
        (["--instance_dim=12"], "instances.pointwise.0.weight is [8, "),
        (["--detectors=2"], "detector.weight is [10, 8] there and [20, 8] here"),
        (["--num_blocks=3"], "missing there"),
        (["--pooling=attention"], "attention.0.weight is missing there"),
    ],
)
def test_model_that_does_not_fit_is_refused_by_what_differs(source, refusal, words, expected, tmp_path):
    text = refusal(f"--init_from={source}", *words)
    assert text.startswith(f"error: training.init_from: {source} does not fit this run: ") and expected in text
    assert not (tmp_path / "waveforms").exists() and not list((tmp_path / "run/save").glob("CKPT*"))


def test_another_extractor_is_refused(source, refusal):
    text = refusal(f"--init_from={source}", yaml="recipes/TAU2019/hparams/vgg_like_pnl.yaml")
    assert "extractor is FUSE there and VGGLike here" in text


def test_damping_which_no_weight_shows_is_compared():
    there, here = (MILClassifier(LogMel(n_mels=32), CPResNet(4, damping=damping)) for damping in (0.1, 1.0))
    assert initial_weights._other_values(there, here) == ["damping is 0.1 there and 1 here"]
    assert initial_weights._other_values(there, there) == initial_weights._other_values(here, here) == []


@pytest.mark.parametrize(
    "there, here, expected",
    [
        (DCASEBaseline(time_pool=8), DCASEBaseline(time_pool=4), "time_reduction is 40 there and 20 here"),
        (TridentResNet(2, 2, dilation=2), TridentResNet(2, 2, dilation=1), "dilations is [(1, 1), (2, 1)] there"),
    ],
    ids=["pooling", "dilation"],
)
def test_geometry_that_no_weight_shows_is_compared(there, here, expected):
    networks = [MILClassifier(tiny.front_end_of(one, n_mels=64), one) for one in (there, here)]
    found = initial_weights._other_values(*networks, initial_weights._geometry)
    assert len(found) == 1 and found[0].startswith(expected)
    assert initial_weights._other_values(*networks) == []


def test_unknown_source_is_refused_with_the_shipped_models(refusal):
    text = refusal("--init_from=no-such-model")
    assert text.startswith("error: training.init_from: no-such-model: there is no such folder")
    assert all(name in text for name in shipped_models())


def test_damaged_weights_are_refused(source, refusal, tmp_path):
    copy = shutil.copytree(source, tmp_path / "copy")
    content = bytearray((copy / "model.ckpt").read_bytes())
    content[-200] ^= 1
    (copy / "model.ckpt").write_bytes(content)
    assert f"training.init_from: {copy} is damaged" in refusal(f"--init_from={copy}")


def test_frozen_extractor_with_random_weights_is_refused(refusal):
    assert "training.freeze_extractor needs training.init_from" in refusal("--freeze_extractor=true")


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--init_from=7"], "training.init_from must be text"),
        (["--freeze_extractor=maybe"], "must be one of True, False"),
    ],
)
def test_values_of_another_kind_are_refused(refusal, words, expected):
    assert expected in refusal(*words)


def test_another_source_is_another_run(source, refusal, train, tmp_path):
    train(f"--init_from={source}")
    copy = shutil.copytree(source, tmp_path / "copy")
    assert "contains a run with other settings (training.init_from: " in refusal(f"--init_from={copy}")
    assert "training.freeze_extractor: None before, True now" in refusal(
        f"--init_from={source}", "--freeze_extractor=true"
    )


def test_help_names_both_options(capsys):
    assert main([str(tiny.ROOT / YAML), "--help"]) == 0
    out = capsys.readouterr().out
    assert "--init_from= " in out and "--freeze_extractor=False" in out


# -- resuming


def test_off_values_are_the_settings_of_a_run_of_earlier_versions():
    now = "seed: 1\ntraining: {init_from: '', freeze_extractor: false}"
    assert changed_settings("seed: 1\ntraining: {}", now) == {}
    assert changed_settings("seed: 1", now.replace("false", "true")) == {"training.freeze_extractor": (None, "True")}


def test_state_of_a_run_of_earlier_versions_has_no_origin(tmp_path):
    state = RunState()
    state.save(tmp_path / "state")
    old = torch.load(tmp_path / "state", weights_only=True)
    old["record"] = json.dumps([{}, [{"epoch": 1}]])
    torch.save(old, tmp_path / "state")
    state.load(tmp_path / "state", end_of_epoch=True)
    assert state.origin is None and state.history == [{"epoch": 1}]


def test_source_may_be_gone_once_the_run_has_a_checkpoint(source, train, tmp_path):
    copy = shutil.copytree(source, tmp_path / "copy")
    words = [f"--init_from={copy}", "--freeze_extractor=true"]
    run = train(*words)
    before, notes = report(run), report(run)["notes"]
    shutil.rmtree(copy)
    for more in ([], ["--test_only"]):
        train(*words, *more)
        assert report(run)["evaluation"] == before["evaluation"] and report(run)["notes"] == notes
        assert report(run)["run"]["init_from"] == before["run"]["init_from"]


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["true", "false"])
def test_killed_run_resumes_bit_for_bit_without_its_source(data_folder, source, tmp_path, frozen):
    copy = shutil.copytree(source, tmp_path / "copy")
    words = ["--number_of_epochs=3", f"--init_from={copy}", f"--freeze_extractor={frozen}", "--ckpt_interval_steps=1"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main(tiny.tiny_run(YAML, data_folder, whole, *words)) == 0
    arguments = tiny.tiny_run(YAML, data_folder, run, *words)
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, "5", *arguments], capture_output=True)  # of 9 steps
    assert killed.returncode == -signal.SIGKILL and not (run / "model.ckpt").exists()
    shutil.rmtree(copy)
    assert main(arguments) == 0
    expected, found = weights(whole), weights(run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert report(run)["evaluation"] == report(whole)["evaluation"]
    assert report(run)["run"]["init_from"] == report(whole)["run"]["init_from"]
    assert report(run)["notes"] == report(whole)["notes"]
