"""Every network that a recipe can describe is read from its model.yaml as HyperPyYAML builds it."""

import pytest
import tiny
import torch
from hyperpyyaml import load_hyperpyyaml

from mil_asc.errors import UserError
from mil_asc.mil.pooling import POOLINGS
from mil_asc.model.build_network import build_network
from mil_asc.model.extractors import registered_extractors
from mil_asc.results.model_yaml import read_model_yaml
from mil_asc.results.trained_model import load_model, save_model
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.config import load_hparams

RECIPE = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"
BLOCKS = sorted(path.stem for path in (tiny.ROOT / "hparams/models").glob("*.yaml") if path.stem != "head")
LARGE = ("aclnet", "dcasenet", "resnet50")
"""Blocks whose networks of full size take seconds to build."""
LABELS = [str(c) for c in range(10)]


def built_with(*options):
    words = [str(RECIPE), "--data_folder=x", *options]
    hparams, settings = load_hparams(RECIPE, parse_command_line(words)[2])
    return hparams["model"]["network"], settings


@pytest.mark.parametrize(
    "block", [pytest.param(block, marks=pytest.mark.slow if block in LARGE else ()) for block in BLOCKS]
)
def test_every_block_is_read_as_hyperpyyaml_builds_it(tmp_path, block):
    save_model(tmp_path, *built_with(f"--model={block}"), LABELS)
    expected = load_hyperpyyaml((tmp_path / "model.yaml").read_text())["model"]["network"]
    network = build_network(read_model_yaml((tmp_path / "model.yaml").read_bytes(), "model.yaml"))
    assert repr(network) == repr(expected)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert shapes == {name: value.shape for name, value in expected.state_dict().items()}
    assert (network.decision, network.min_samples) == (expected.decision, expected.min_samples)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_is_loaded_with_every_pooling(tmp_path, block, pooling):
    network, settings = built_with(
        f"--model={block}", *tiny.tiny_model(tiny.extractor_of(block)), f"--pooling={pooling}"
    )
    save_model(tmp_path, network, settings, LABELS)
    loaded = load_model(tmp_path).network
    assert type(loaded.extractor) is registered_extractors()[tiny.extractor_of(block)]
    assert (loaded.pooling_name, loaded.decision) == (pooling, "smi" if pooling == "max" else "bag")
    expected = network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    "option, found",
    [
        ("--pooling=top_k_mean --model.head.pooling_options={k: 3}", lambda c: c.head.pooling_options == {"k": 3}),
        ("--batch_norm=plain", lambda c: c.batch_norm == "plain"),
        ("--batch_norm=0.01", lambda c: c.batch_norm == 0.01),
        ("--input_norm=resnorm", lambda c: c.input_norm == "resnorm"),
        ("--detectors=3", lambda c: c.head.detectors == 3),
        ("--instances=frequency_mean", lambda c: c.head.instances == "frequency_mean"),
        ("--confidence=softmax", lambda c: c.head.confidence == "softmax"),
        ("--sample_rate=44100", lambda c: c.front_end["sample_rate"] == 44100),
        ("--window_ms=64 --hop_ms=20", lambda c: (c.front_end["window_ms"], c.front_end["hop_ms"]) == (64, 20)),
    ],
)
def test_legal_values_of_a_run_are_kept(tmp_path, option, found):
    words = [f"--{word}".strip() for word in option.removeprefix("--").split(" --")]
    save_model(tmp_path, *built_with(*tiny.tiny_model("fuse"), *words), LABELS)
    config = read_model_yaml((tmp_path / "model.yaml").read_bytes(), "model.yaml")
    assert found(config)
    load_model(tmp_path)


def test_earlier_run_without_later_arguments_gets_their_defaults():
    text = """
labels: [a, b]
model:
  network: !new:mil_asc.model.classifier.MILClassifier
    front_end: !new:mil_asc.model.features.LogMel
      n_mels: 32
    extractor: !new:mil_asc.model.extractors.fuse.FUSE
      channels: [4, 4]
    head: !new:mil_asc.model.heads.Head
      num_classes: 2
"""
    config = read_model_yaml(text.encode(), "model.yaml")
    assert config.front_end["hop_ms"] == 32.0 and config.head.instance_dim == 256 and config.batch_norm == "stable"
    with pytest.raises(UserError, match="2 labels for a model of 3 classes"):
        read_model_yaml(text.replace("num_classes: 2", "num_classes: 3").encode(), "model.yaml")
