"""Blocks of ``hparams/`` chosen by name on the command line."""

from pathlib import Path

import pytest

from mil_asc.errors import UserError
from mil_asc.training.blocks import legal_names
from mil_asc.training.command_line import read_command
from mil_asc.training.execution import load_run

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes/TAU2019/hparams"


@pytest.fixture(autouse=True)
def own_seed(monkeypatch):
    """Every loaded recipe sets SpeechBrain's seed in the environment; it is reset after the test."""
    monkeypatch.setenv("SB_GLOBAL_SEED", "0")


def load(*words, recipe="fuse_pnl"):
    return built([str(RECIPES / f"{recipe}.yaml"), "--data_folder=anywhere", "--device=cpu", *words])


def built(words):
    """The built hyperparameters of a command line."""
    return load_run(read_command(words))[1]


def refusal(*words, recipe="fuse_pnl"):
    with pytest.raises(UserError) as caught:
        load(*words, recipe=recipe)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_of(hparams):
    return type(hparams["model"]["network"].extractor).__name__, list(hparams["objective"]["loss"].terms)


def test_model_objective_and_training_are_chosen_by_name():
    hparams = load("--model=bc_resnet", "--objective=frame_loss", "--training=sgd_small")
    assert names_of(hparams) == ("BCResNet", ["bag", "frame"])
    assert hparams["training"]["number_of_epochs"] == 10


def test_chosen_blocks_change_the_results_folder():
    hparams = load("--model=bc_resnet", "--objective=gt")
    assert hparams["experiment"] == "fuse_pnl-bc_resnet-gt"
    assert hparams["output_folder"] == "results/fuse_pnl-bc_resnet-gt/seed-1"
    assert load("--model=bc_resnet", "--experiment=mine")["output_folder"] == "results/mine/seed-1"


def test_choosing_the_recipes_own_block_changes_nothing():
    assert load("--model=fuse", "--objective=pnl")["experiment"] == "fuse_pnl"


def test_values_of_a_chosen_block_can_be_set():
    network = load("--model=vgg_like", "--channels=[4, 6]", "--n_mels=32", "--num_classes=3")["model"]["network"]
    assert network.extractor.out_channels == 6 and network.num_classes == 3


def test_head_settings_are_kept_with_another_extractor():
    network = load("--model=cp_mobile", recipe="fuse_gap")["model"]["network"]
    assert (type(network.instances).__name__, network.detector.confidence) == ("FrequencyMean", "softmax")


RAW = ("--model=raw_cnn", "--stride=4", "--stem_channels=6", "--channels=[4, 6]", "--pool=2", "--instance_dim=8")


@pytest.mark.parametrize("recipe", ["SynthScenes", "ESC50", "AnyFolder", "TAU2019"])
def test_model_of_waveforms_is_chosen_in_a_recipe_that_sets_its_spectrogram(recipe):
    yaml_file = ROOT / "recipes" / recipe / "hparams/fuse_pnl.yaml"
    model = built([str(yaml_file), "--data_folder=anywhere", "--device=cpu", *RAW])["model"]
    assert set(model["features"]) == {"sample_rate", "input_norm", "front_end"}
    assert model["network"].front_end.output == "waveform"
    assert model["network"].num_classes == (50 if recipe == "ESC50" else 10)


def test_settings_of_a_spectrogram_are_refused_for_a_model_of_waveforms():
    features = "features/logmel, features/logmel_deltas, features/logmel_durations"
    told = f"unknown option --n_mels; it is a value of {features}, which this experiment does not include (python"
    assert told in refusal(*RAW, "--n_mels=32")


@pytest.mark.parametrize(
    "option, block",
    [
        ("nonzero_parameters=1", "training/sgd_pruned"),
        ("model.time_pool=2", "models/dcase_baseline"),
        ("gamma=1", "objectives/bag_focal"),
    ],
)
def test_value_of_another_block_is_refused_with_the_name_of_that_block(option, block):
    assert f"unknown option --{option.partition('=')[0]}; it is a value of {block}" in refusal(f"--{option}")


def test_misspelt_feature_is_refused_for_a_model_of_waveforms_too(tmp_path):
    text = (RECIPES / "fuse_pnl.yaml").read_text().replace("../../../hparams", str(ROOT / "hparams"))
    recipe = tmp_path / "typo.yaml"
    recipe.write_text(text.replace("fuse.yaml {}", "fuse.yaml\n  features: {n_mels: 32, n_mel: 32}"))
    with pytest.raises(UserError, match="model.features.n_mel is set, but waveform.yaml has no such key"):
        built([str(recipe), "--data_folder=anywhere", "--device=cpu", *RAW])


@pytest.mark.parametrize(
    "section, folder", [("model", "models"), ("objective", "objectives"), ("training", "training")]
)
def test_unknown_block_name_lists_the_legal_ones(section, folder):
    message = refusal(f"--{section}=nothing")
    legal = ", ".join(legal_names(ROOT / "hparams" / folder))
    assert message == f"--{section}: there is no block 'nothing' in {folder}/; legal: {legal}"


def test_parts_of_other_blocks_cannot_be_chosen():
    assert "head" not in legal_names(ROOT / "hparams/models") and "fuse" in legal_names(ROOT / "hparams/models")
    assert "legal: aclnet, alexnet_like, bc_resnet" in refusal("--model=head")


def test_value_without_a_key_in_the_chosen_block_is_refused(tmp_path):
    text = (RECIPES / "fuse_pnl.yaml").read_text().replace("../../../hparams", str(ROOT / "hparams"))
    recipe = tmp_path / "wide.yaml"
    recipe.write_text(text.replace("fuse.yaml {}", "fuse.yaml\n  num_blocks: 2"))
    words = [str(recipe), "--data_folder=anywhere", "--device=cpu"]
    assert built(words)["model"]["num_blocks"] == 2
    with pytest.raises(UserError, match="model.num_blocks is set, but resnet.yaml has no such key"):
        built([*words, "--model=resnet"])


def test_misspelt_key_below_an_include_is_refused_at_any_depth(tmp_path):
    text = (RECIPES / "fuse_pnl.yaml").read_text().replace("../../../hparams", str(ROOT / "hparams"))
    recipe = tmp_path / "typo.yaml"
    recipe.write_text(text.replace("fuse.yaml {}", "fuse.yaml\n  head: {poolnig: mean}"))
    with pytest.raises(UserError, match="model.head.poolnig is set, but head.yaml has no such key"):
        built([str(recipe), "--data_folder=anywhere", "--device=cpu"])


def test_block_with_new_keys_needs_no_change_of_the_parser(tmp_path):
    """``channels`` is a list in the FUSE block, but another block may use it for text."""
    text = (RECIPES / "fuse_pnl.yaml").read_text().replace("../../../hparams", str(ROOT / "hparams"))
    (tmp_path / "mine.yaml").write_text("channels: mono\nseed: none\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text + "disturb: !include:mine.yaml {}\n")
    hparams = built([str(recipe), "--data_folder=anywhere", "--device=cpu", "--disturb.channels=stereo"])
    assert hparams["disturb"] == {"channels": "stereo", "seed": "none"}
