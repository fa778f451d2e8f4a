"""Every YAML file of every recipe: build, train at debug size, report, classify."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny

from mil_asc.errors import DoubtWarning
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.mil.assigners import ground_truth_labels, positive_negative_labels
from mil_asc.mil.losses import BagBCE, BagCE, BagFocalCE, FrameLoss, InstanceBCE, InstanceCE
from mil_asc.mil.pooling import POOLINGS
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.heads import FrequencyMean
from mil_asc.model.normalization import ResNorm
from mil_asc.results.settings import read_settings
from mil_asc.synth.write import generate_synth_scenes
from mil_asc.training.config import load_hparams, resolve_settings
from mil_asc.training.entry import main
from mil_asc.training.run_options import REFUSED_OPTIONS, RUN_OPTIONS

EXPERIMENTS = sorted(path.relative_to(tiny.ROOT) for path in tiny.ROOT.glob("recipes/*/hparams/*.yaml"))
TRAINED = [
    path
    for place, path in enumerate(EXPERIMENTS)
    if path.stem == "fuse_pnl" or path.stem not in {earlier.stem for earlier in EXPERIMENTS[:place]}
]
"""One experiment of each name, and one of every recipe: experiments of one name differ in their data alone."""
EXTRACTORS = tuple(registered_extractors())
STRATEGIES = {
    "no_il": (BagBCE, None, "max", "sigmoid"),
    "pnl": (BagBCE, InstanceBCE, "max", "sigmoid"),
    "gt": (BagBCE, InstanceBCE, "max", "sigmoid"),
    "frame_loss": (BagBCE, FrameLoss, "max", "sigmoid"),
    "pnl_ce": (BagCE, InstanceCE, "max", "softmax"),
    "gt_ce": (BagCE, InstanceCE, "geometric_mean", "softmax"),
    "best": (BagCE, InstanceCE, "geometric_mean", "softmax"),
    "gap": (BagCE, None, "geometric_mean", "softmax"),
    "gap_focal": (BagFocalCE, None, "geometric_mean", "softmax"),
    "gap_bce": (BagBCE, None, "mean_logits", "sigmoid"),
    "gt_resnorm": (BagBCE, InstanceBCE, "max", "sigmoid"),
    "128k": (BagBCE, InstanceBCE, "max", "sigmoid"),  # as gt_resnorm, smaller
}
"""End of an experiment's name -> bag loss, other loss, pooling, confidence."""
FIELD_SCENES = tiny.ROOT.parent / "shared/data/field-scenes"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_batch_norms_are_stable_and_log_floors_fit_the_data_by_default(path):
    settings = read_settings(resolve_settings(tiny.ROOT / path, {"data_folder": "data"}))
    assert settings["model.batch_norm"] == "stable"
    floors = {"SynthScenes": 1e-6, "AnyFolder": 1e-5, "TUT2018m": 1e-10, "TAU2019": 1e-10}
    floors |= {"TAU2020m": 1e-10, "TAU2022m": 1e-10}
    if "model.features.log_floor" not in settings:
        assert registered_extractors()[tiny.extractor_of(path)].input == "waveform"
        return
    floor = float(settings["model.features.log_floor"])
    assert floor == floors.get(path.parts[1], floor)  # a new recipe chooses its own


@pytest.fixture(scope="module")
def synth_folder(tmp_path_factory):
    """Twenty training clips and ten evaluation clips, of two seconds."""
    folder = tmp_path_factory.mktemp("synth") / "scenes"
    generate_synth_scenes(folder, train_clips=20, evaluate_clips=10, seconds=2.0, progress=False)
    return folder


@pytest.fixture(scope="module")
def class_folders(synth_folder, tmp_path_factory):
    """The same clips as a folder of class sub-folders, with one sub-sub-folder per location."""
    folder = tmp_path_factory.mktemp("classes")
    for clip in synth_folder.glob("audio/*.wav"):
        label, city, place, *_ = clip.stem.split("-")
        target = folder / label / f"{city}-{place}" / clip.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(clip)
    return folder


def tree_of(recipe, folder):
    """A tiny set of a recipe's own, as ``tools/new_recipe.py`` writes it; None for recipes that have none."""
    (program,) = (tiny.ROOT / "recipes" / recipe).glob("*_prepare.py")
    name = program.stem.removesuffix("_prepare") + "_tree"
    if not Path(__file__).with_name(f"{name}.py").is_file():
        return None
    return importlib.import_module(name).write_tree(folder)


@pytest.fixture
def arguments_for(synth_folder, class_folders, tmp_path):
    """The command line that trains an experiment at debug size."""

    def arguments(path):
        recipe = path.parts[1]
        folder = tree_of(recipe, tmp_path / "tree") or (class_folders if recipe == "AnyFolder" else synth_folder)
        more = ["--train_clips=20", "--evaluate_clips=10", "--seconds=2.0"] if recipe == "SynthScenes" else []
        if "sgd_pruned" in (tiny.ROOT / path).read_text():
            more = [*more, "--nonzero_parameters=2000"]  # of 3,000 to 6,000
        return tiny.tiny_run(path, folder, tmp_path / "run", "--debug", *more)

    return arguments


def test_experiments_are_found():
    assert {path.parts[1] for path in EXPERIMENTS} >= {
        *("SynthScenes", "AnyFolder", "TUT2018m", "TAU2019", "TAU2020m", "TAU2022m", "ESC50"),
    }
    assert {path.parts[1] for path in TRAINED} == {path.parts[1] for path in EXPERIMENTS}
    assert {path.stem for path in EXPERIMENTS} >= {"fuse_pnl", "fuse_gt", "fuse_no_il", "fuse_128k"}


@pytest.mark.parametrize("path", TRAINED, ids=str)
def test_experiment_trains_reports_and_classifies(path, arguments_for, synth_folder, tmp_path, capsys):
    assert main(arguments_for(path)) == 0, capsys.readouterr().err
    run = tmp_path / "run_debug"
    results = json.loads((run / "report.json").read_text())
    assert results["run"]["debug"] and results["run"]["epochs"] == 2 and results["evaluation"]["clips"] > 0
    assert 0 <= results["floor"]["accuracy"] <= 1 and results["floor"]["train_clips"] == results["run"]["train_clips"]
    assert "<html" in (run / "report.html").read_text().lower()
    with pytest.warns(DoubtWarning, match="is a debug run"):
        classifier = SceneClassifier.from_hparams(source=run)
    scene = classifier.explain_file(next(synth_folder.glob("audio/*.wav")))
    assert scene.label in results["labels"] and len(scene.instances) > 0
    with np.load(run / "predictions.npz", allow_pickle=False) as predictions:
        assert len(predictions["truth"]) == results["evaluation"]["clips"]
        assert predictions["logits"].shape == (predictions["counts"].sum(), len(results["labels"]))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_experiment_is_a_small_diff_that_states_its_loss(path):
    lines = [line for line in (tiny.ROOT / path).read_text().splitlines() if line.strip()]
    assert len(lines) <= 20
    hparams, _ = load_hparams(tiny.ROOT / path, {"data_folder": "anywhere"})
    run_options = RUN_OPTIONS.keys() | REFUSED_OPTIONS.keys()
    assert hparams["training"].keys() & run_options == {"max_grad_norm"}  # SpeechBrain looks for run options here too
    (what,) = [what for what in STRATEGIES if path.stem.endswith(f"_{what}") and path.stem.startswith(EXTRACTORS)]
    bag, instance, pooling, confidence = STRATEGIES[what]
    terms, model = hparams["objective"]["loss"].terms, hparams["model"]["network"]
    assert [type(term) for term in terms.values()] == [bag, *filter(None, [instance])]
    assert model.pooling.func is POOLINGS[pooling] and model.detector.confidence == confidence
    assert isinstance(model.instances, FrequencyMean) == what.startswith("gap")
    assert isinstance(model.input_norm, ResNorm) == what.endswith(("resnorm", "128k"))
    if instance in (InstanceBCE, InstanceCE):
        assert terms["instance"].assigner is (
            ground_truth_labels if "gt" in what or what in ("128k", "best") else positive_negative_labels
        )


@pytest.mark.parametrize(
    "name, mels, parameters",
    [("vgg_like_40mel_pnl", 40, 454_508), ("fuse_pnl", 256, 139_082), ("fuse_gt", 256, 139_082)],
)
def test_models_of_2018_have_the_papers_size(name, mels, parameters):
    hparams, _ = load_hparams(tiny.ROOT / f"recipes/TUT2018m/hparams/{name}.yaml", {"data_folder": "anywhere"})
    assert hparams["model"]["features"]["n_mels"] == mels
    assert sum(p.numel() for p in hparams["model"]["network"].parameters()) == parameters


@pytest.mark.parametrize("recipe", ["TAU2019", "TAU2020m"])
@pytest.mark.parametrize(
    "name, parameters", [("vgg_like_pnl", 1_339_244), ("bc_resnet_gap", 314_970), ("fuse_no_il", 139_082)]
)
def test_models_have_the_published_size(recipe, name, parameters):
    hparams, _ = load_hparams(tiny.ROOT / f"recipes/{recipe}/hparams/{name}.yaml", {"data_folder": "anywhere"})
    assert sum(p.numel() for p in hparams["model"]["network"].parameters()) == parameters


def test_the_best_recipe_of_esc50_is_small_and_not_pretrained():
    hparams, _ = load_hparams(tiny.ROOT / "recipes/ESC50/hparams/fuse_best.yaml", {"data_folder": "anywhere"})
    assert sum(p.numel() for p in hparams["model"]["network"].parameters()) == 143_218
    assert hparams["training"]["init_from"] == "" and hparams["training"]["teachers"] == []


@pytest.mark.parametrize("recipe", ["TUT2018m", "TAU2019", "TAU2020m"])
def test_default_training_setup_is_the_papers(recipe):
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


@pytest.mark.slow
@pytest.mark.skipif(not FIELD_SCENES.is_dir(), reason="the field recordings are not there")
def test_recipe_works_end_to_end_on_real_recordings(tmp_path):
    yaml_file = "recipes/TAU2019/hparams/fuse_pnl.yaml"
    output = tmp_path / "run"
    assert main(tiny.tiny_run(yaml_file, FIELD_SCENES, output, "--number_of_epochs=1", "--batch_size=16")) == 0
    results = json.loads((output / "report.json").read_text())
    assert results["evaluation"]["classes_without_clips"] == ["airport", "bus", "metro", "tram"]
    assert results["evaluation"]["smi"]["per_class"]["airport"] == {"accuracy": None, "clips": 0}
    assert any("partial set: 134 of the official 9185 train clips" in note for note in results["notes"])
    recording = next(FIELD_SCENES.glob("audio/*.wav"))
    scene = SceneClassifier.from_hparams(source=output).explain_file(recording)
    assert scene.instances[-1].end <= soundfile.info(recording).duration
