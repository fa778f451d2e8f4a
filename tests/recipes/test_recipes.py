"""Every YAML file of every recipe is built, trained at debug size, reported on, and used."""

import json

import pytest
import soundfile
import tiny

from mil_asc.data.synth_scenes import generate_synth_scenes
from mil_asc.inference import SceneClassifier
from mil_asc.training.entry import main
from mil_asc.training.options import load_hparams

EXPERIMENTS = sorted(path.relative_to(tiny.ROOT) for path in tiny.ROOT.glob("recipes/*/hparams/*.yaml"))
FIELD_SCENES = tiny.ROOT.parent / "shared/data/field-scenes"


@pytest.fixture(scope="module")
def synth_folder(tmp_path_factory):
    """Twenty clips of two seconds to train on, and ten to evaluate on."""
    folder = tmp_path_factory.mktemp("synth") / "scenes"
    generate_synth_scenes(folder, train_clips=20, evaluate_clips=10, seconds=2.0, progress=False)
    return folder


def data_options(path, synth_folder):
    if path.parts[1] != "SynthScenes":
        return []
    return ["--data.train_clips=20", "--data.evaluate_clips=10", "--data.seconds=2.0"]


def test_there_are_experiments():
    assert {path.parts[1] for path in EXPERIMENTS} >= {"SynthScenes", "TAU2019"}
    assert {path.stem for path in EXPERIMENTS} >= {"fuse_pnl", "fuse_gt", "fuse_no_il"}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_trains_reports_and_classifies(path, synth_folder, tmp_path, capsys):
    output = tmp_path / "run"
    arguments = tiny.tiny_run(path, synth_folder, output, "--debug", *data_options(path, synth_folder))
    assert main(arguments) == 0, capsys.readouterr().err
    run = tmp_path / "run_debug"
    results = json.loads((run / "report.json").read_text())
    assert results["run"]["debug"] and results["run"]["epochs"] == 2 and results["evaluation"]["clips"] > 0
    assert "<html" in (run / "report.html").read_text().lower()
    scene = SceneClassifier.from_hparams(source=run).classify_file(next(synth_folder.glob("audio/*.wav")))
    assert scene.label in results["labels"] and len(scene.instances) > 0


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_is_a_small_diff_that_states_its_loss(path):
    lines = [line for line in (tiny.ROOT / path).read_text().splitlines() if line.strip()]
    assert len(lines) <= 30
    hparams, _ = load_hparams(tiny.ROOT / path, {"data_folder": "anywhere"})
    terms = sorted(hparams["objective"]["loss"].terms)
    assert terms == (["bag"] if path.stem.endswith("no_il") else ["bag", "instance"])


@pytest.mark.parametrize("recipe", ["TAU2019"])
def test_the_papers_training_setup_is_the_default(recipe):
    hparams, _ = load_hparams(tiny.ROOT / f"recipes/{recipe}/hparams/fuse_pnl.yaml", {"data_folder": "anywhere"})
    training, features = hparams["training"], hparams["model"]["features"]
    assert [training[key] for key in ("number_of_epochs", "batch_size", "learning_rate", "weight_decay")] == [
        100,
        48,
        0.06,
        0.001,
    ]
    assert (features["n_mels"], features["window_ms"], features["hop_ms"], features["log_floor"]) == (
        256,
        128,
        32,
        1e-10,
    )
    assert sum(p.numel() for p in hparams["model"]["network"].parameters()) == 139_082


@pytest.mark.skipif(not FIELD_SCENES.is_dir(), reason="the field recordings are not there")
def test_runs_whole_on_real_recordings(tmp_path):
    yaml_file = "recipes/TAU2019/hparams/fuse_pnl.yaml"
    output = tmp_path / "run"
    assert main(tiny.tiny_run(yaml_file, FIELD_SCENES, output, "--number_of_epochs=1", "--batch_size=16")) == 0
    results = json.loads((output / "report.json").read_text())
    assert results["evaluation"]["classes_without_clips"] == ["airport", "bus", "metro", "tram"]
    assert results["evaluation"]["smi"]["per_class"]["airport"] == {"accuracy": None, "clips": 0}
    assert any("partial set: 134 of the official 9185 train clips" in note for note in results["notes"])
    recording = next(FIELD_SCENES.glob("audio/*.wav"))
    scene = SceneClassifier.from_hparams(source=output).classify_file(recording)
    assert scene.instances[-1].end <= soundfile.info(recording).duration
