"""A model that takes the waveform, from the recipe to the report, the model folder, a decision and its picture."""

import json

import pytest
import tiny

from mil_asc.errors import DoubtWarning
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.synth.write import generate_synth_scenes
from mil_asc.training.entry import main

RECIPE = tiny.ROOT / "recipes/SynthScenes/hparams/fuse_pnl.yaml"
SIZE = ["--train_clips=20", "--evaluate_clips=10", "--seconds=2.0"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "scenes"
    generate_synth_scenes(folder, train_clips=20, evaluate_clips=10, seconds=2.0, progress=False)
    return folder


def words(scenes, output, *more, span=64):
    places = [f"--data_folder={scenes}", f"--output_folder={output}", f"--cache_folder={output.parent / 'waveforms'}"]
    model = ["--model=raw_cnn", *tiny.tiny_model("raw_cnn"), f"--stride={span}"]
    run = ["--device=cpu", "--precision=fp32", "--noprogressbar", "--batch_size=4", "--debug"]
    return [str(RECIPE), *places, *SIZE, *model, *run, *more]


def test_model_of_waveforms_trains_reports_and_classifies(scenes, tmp_path, capsys):
    assert main(words(scenes, tmp_path / "run")) == 0, capsys.readouterr().err
    run = tmp_path / "run_debug"
    results = json.loads((run / "report.json").read_text())
    assert results["evaluation"]["clips"] > 0 and 0 <= results["floor"]["accuracy"] <= 1
    assert "<html" in (run / "report.html").read_text().lower()
    with pytest.warns(DoubtWarning, match="is a debug run"):
        classifier = SceneClassifier.from_hparams(source=run)
    scene = classifier.explain_file(next(scenes.glob("audio/*.wav")))
    assert scene.label in results["labels"] and len(scene.instances) == 2 * 16000 // (64 * 2 * 2)


def test_augmentation_of_spectrograms_is_refused_in_one_line(scenes, tmp_path, capsys):
    assert main(words(scenes, tmp_path / "run", "--augment=spec_augment")) != 0
    assert "SpecAugment changes log-mel spectrograms, and this model takes the waveform" in capsys.readouterr().err


@pytest.mark.parametrize("batch_size, fits", [(19, False), (18, True)])
def test_last_batch_of_one_clip_with_one_instance_is_refused(scenes, tmp_path, capsys, batch_size, fits):
    """Of twenty clips; an instance is as long as a clip."""
    code = main(words(scenes, tmp_path / "run", f"--batch_size={batch_size}", span=8000))
    told = capsys.readouterr().err
    if fits:
        assert code == 0, told
    else:
        assert code == 1 and "a batch of one clip with one instance (2.00 s) is too little for batch norms" in told
