"""What exported files state of their network, and what is refused."""

import json
import math

import numpy as np
import onnx
import pytest
import tiny
from exported_models import LABELS, small_network

from mil_asc.errors import UserError
from mil_asc.model.complexity import DCASE_WEIGHT_BYTES, submitted_size
from mil_asc.packaging.export import export_onnx, state_facts
from mil_asc.packaging.file_facts import KEY, NetworkFacts, facts_of, read_facts
from mil_asc.packaging.graph_file import check_content
from mil_asc.packaging.half import to_fp16
from mil_asc.packaging.int8 import WAYS, _quantize
from mil_asc.training.config import load_hparams

TRAINED_ON = {"dataset": "TAU2019", "seed": "7"}


def metadata_of(data):
    return {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}


def counted(data):
    """Bytes of the network's weights in a file, by their names: convolutions, biases and detector, without scales."""
    parts = ("extractor.", "instances.", "detector")
    found = 0
    for each in onnx.load_from_string(data).graph.initializer:
        is_transposed_detector = each.name.startswith("val_") and len(each.dims) == 2
        if is_transposed_detector or any(part in each.name for part in parts):
            is_weight = not each.name.endswith(("_scale", "_zero_point"))
            found += is_weight * onnx.numpy_helper.to_array(each).nbytes
    return found


@pytest.fixture(scope="module")
def fuse():
    network = small_network(instance_dim=64)
    return network, export_onnx(network, LABELS)


def test_file_states_the_network_and_what_it_was_trained_on(fuse):
    network, data = fuse
    size = submitted_size(network)
    stated, facts = state_facts(data, network, TRAINED_ON)
    assert read_facts(metadata_of(stated)) == (facts, TRAINED_ON) and facts == facts_of(network)
    assert facts[:5] == ("FUSE", "logmel", size.parameters, size.non_zero, size.macs)
    assert facts[5:] == ("float32", size.weight_bytes["float32"]) and facts.weight_bytes == counted(data)
    assert read_facts(metadata_of(data)) is None
    check_content(stated)
    with pytest.raises(ValueError, match="changed or damaged"):
        check_content(stated.replace(b"TAU2019", b"TAU2020"))


def test_weights_count_in_the_type_they_have_in_the_file(fuse):
    network, data = fuse
    half = to_fp16(data)
    facts = state_facts(half, network, {})[1]
    assert facts.weight_precision == "float16" and facts.weight_bytes == counted(half) < counted(data)


@pytest.mark.parametrize("spared", [False, True], ids=["all convolutions", "first module in float32"])
def test_fuse_128k_is_within_the_limit_as_its_file_has_the_weights(spared):
    path = tiny.ROOT / "recipes/TAU2022m/hparams/fuse_128k.yaml"
    network = load_hparams(path, {"data_folder": "anywhere"})[0]["model"]["network"].eval()
    data = export_onnx(network, [f"class {c}" for c in range(10)])
    clip = np.random.default_rng(0).normal(0, 0.1, (1, network.front_end.sample_rate)).astype(np.float32)
    small = _quantize(data, [clip], WAYS["minimum and maximum"], spared)
    facts = state_facts(small, network, {})[1]
    kept = 3 * sum(math.prod(p.shape) for n, p in network.extractor.named_parameters() if n[0] == "0" and p.ndim > 1)
    detector = 3 * network.detector.weight.numel()
    assert facts.weight_bytes == submitted_size(network).weight_bytes["int8"] + detector + (kept if spared else 0)
    assert facts.weight_precision == "int8" and facts.weight_bytes == counted(small) <= DCASE_WEIGHT_BYTES


@pytest.mark.parametrize(
    "text, part",
    [
        ("{", "no legal JSON"),
        ("[]", "no mapping"),
        ("{}", "no trained_on"),
        ('{"trained_on": {"a": 1}}', "no trained_on"),
        ('{"trained_on": {}, "extractor": 3}', "no extractor"),
        (json.dumps({"trained_on": {}} | dict(zip(NetworkFacts._fields, ("a", "b", 1, 2, 3.5, "c", 4)))), "no macs"),
    ],
)
def test_damaged_facts_are_refused(text, part):
    with pytest.raises(UserError, match=part):
        read_facts({KEY: text})
