"""The values that build a network: read strictly, the same after a round trip, built within a budget."""

import dataclasses
import json

import pytest
import torch

from mil_asc.errors import ArgumentError, UserError
from mil_asc.mil.pooling import POOLINGS
from mil_asc.model.build_network import Budget, budget_of, build_network, fill_network, rebuilt_names
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.features import LogMel
from mil_asc.model.heads import GENERATORS
from mil_asc.model.model_config import HeadConfig, ModelConfig, all_arguments


def config_of(name="fuse", front_end=None, **head):
    """A tiny config of an extractor."""
    extractor = registered_extractors()[name]
    with torch.device("meta"):  # which draws no random numbers
        channels = extractor(**extractor.tiny).in_channels
    kind = "logmel_deltas" if channels == 3 else extractor.input
    values = {"instances": "separable", "instance_dim": 8, "detectors": 1, "confidence": "sigmoid", "pooling": "max"}
    front = {"sample_rate": 16000} if kind == "waveform" else all_arguments(LogMel, {"n_mels": 32})
    return ModelConfig(
        labels=["bus", "park", "tram"],
        rule="smi",
        front_end={"kind": kind} | front | (front_end or {}),
        input_norm="none",
        extractor={"name": name, "arguments": all_arguments(extractor, extractor.tiny)},
        head=HeadConfig(**values | {"pooling_options": {}} | head),
        batch_norm="stable",
        trained_on={"dataset": "TAU 2019"},
    )


@pytest.mark.parametrize("name", registered_extractors())
def test_config_of_every_extractor_survives_json_and_builds(name):
    config = config_of(name)
    again = ModelConfig.from_json(config.to_json())
    assert again == config and again.to_json() == config.to_json()
    network = build_network(again)
    assert type(network.extractor) is registered_extractors()[name] and network.num_classes == 3
    assert build_network(config, budget_of(network.state_dict())).state_dict().keys() == network.state_dict().keys()


def test_medians_of_a_config_are_limited():
    front_end = {"kind": "logmel_durations", "short_median": 3, "long_median": 15}
    config = config_of("trident_resnet", front_end)
    assert build_network(ModelConfig.from_json(config.to_json())).front_end.input_channels.long == 15
    for wrong in (0, 257, 3.0, None):
        with pytest.raises(ArgumentError, match="front_end.long_median must be a whole number from 1 to 255"):
            config_of("trident_resnet", front_end | {"long_median": wrong})
    with pytest.raises(UserError, match="short_median must be an odd whole number, got 4"):
        build_network(config_of("trident_resnet", front_end | {"short_median": 4}))


def test_file_without_a_later_argument_is_read_with_what_the_class_did_before():
    values = json.loads(config_of("cp_resnet").to_json())
    assert values["extractor"]["arguments"].pop("damping") == 1.0
    assert ModelConfig.from_json(json.dumps(values)) == config_of("cp_resnet")
    del values["extractor"]["arguments"]["rho"]
    with pytest.raises(UserError, match="extractor.arguments: rho is missing"):
        ModelConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("name", registered_extractors())
def test_later_arguments_are_those_of_the_class_with_its_defaults(name):
    extractor = registered_extractors()[name]
    defaults = all_arguments(extractor, {})
    assert extractor.later == {key: defaults[key] for key in extractor.later}


def test_damped_network_is_within_the_budget_of_its_weights():
    config = config_of("cp_resnet")
    damped = config.extractor["arguments"] | {"damping": 0.1}
    config = dataclasses.replace(config, extractor={"name": "cp_resnet", "arguments": damped})
    state = build_network(config).state_dict()
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    build_network(config, budget_of(kept))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_config_of_every_pooling_builds(pooling):
    network = build_network(config_of(pooling=pooling))
    assert network.pooling_name == pooling and network.decision == "smi"


@pytest.mark.parametrize("instances", GENERATORS)
def test_config_of_every_generator_builds(instances):
    assert type(build_network(config_of(instances=instances)).instances) is GENERATORS[instances]


def test_rule_of_the_config_decides():
    assert build_network(dataclasses.replace(config_of(), rule="cmi")).decision == "cmi"


def test_state_of_random_numbers_does_not_change():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_network(config_of())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("least", Budget._fields)
def test_network_beyond_its_budget_is_refused(least):
    with pytest.raises(UserError, match=f"more than the 5 {least}"):
        build_network(config_of(), Budget()._replace(**{least: 5}))
    build_network(config_of())  # the hooks are gone again


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(ModelConfig)])
def test_every_key_must_be_there_and_of_its_type(name):
    values = json.loads(config_of().to_json())
    for wrong in (None, [], {"a": 1}, True, "eval", 7.5 if name != "batch_norm" else -7.5):
        with pytest.raises(UserError, match=r"^config.json: .*" + (name if name != "format" else "")) as caught:
            ModelConfig.from_json(json.dumps(values | {name: wrong}))
        assert "\n" not in str(caught.value)
    del values[name]
    with pytest.raises(UserError, match=f"^config.json: the file: {name} is missing$"):
        ModelConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(HeadConfig)])
def test_every_key_of_the_head_must_be_there_and_of_its_type(name):
    values = json.loads(config_of().to_json())
    for wrong in (None, [1], {"a": "b"}, True, "eval", 7.5):
        with pytest.raises(UserError, match=f"config.json: head.{name}"):
            ModelConfig.from_json(json.dumps(values | {"head": values["head"] | {name: wrong}}))


def test_labels_of_other_scripts_are_legal():
    labels = ["地下鉄", "می\u200cدان", "café\u00a0noir"]
    config = dataclasses.replace(config_of(), labels=labels)
    assert ModelConfig.from_json(config.to_json()).labels == labels


def test_instance_step_that_would_take_hours_to_count_is_refused():
    config = dataclasses.replace(
        config_of(),
        extractor={"name": "fuse", "arguments": config_of().extractor["arguments"] | {"channels": [1] * 40}},
    )
    with pytest.raises(UserError, match="an instance every 549755813888 frames"):
        build_network(config)


def test_weights_fit_without_what_the_config_rebuilds():
    network = build_network(config_of())
    rebuilt = rebuilt_names(network, network.front_end)
    assert {"front_end.mel.spectrogram.window", "front_end.mel.mel_scale.fb"} < rebuilt
    weights = {name: value.clone() for name, value in network.state_dict().items() if name not in rebuilt}
    other = build_network(config_of())
    fill_network(other, weights, "file", rebuilt)
    wav_BN = torch.randn(1, 16000)
    assert not other.training and torch.equal(other(wav_BN).logits_BIC, network.eval()(wav_BN).logits_BIC)
    with pytest.raises(UserError, match="file does not fit the model: it lacks 'detector.bias'"):
        fill_network(other, {name: v for name, v in weights.items() if name != "detector.bias"}, "file", rebuilt)


def test_unknown_argument_is_refused_with_the_legal_ones():
    with pytest.raises(ArgumentError, match="LogMel: unknown 'mels'; legal: sample_rate, n_mels"):
        all_arguments(LogMel, {"mels": 3})
