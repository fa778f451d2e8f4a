"""What a caller of a network must know, and the metadata that carry it."""

import json

import numpy as np
import pytest

from mil_asc.errors import ArgumentError
from mil_asc.model.interface import NetworkInterface, interface_of

LABELS = ["bus", "metro", "park", "tram"]


def test_interface_survives_its_metadata(small_model):
    interface = interface_of(small_model, LABELS)
    assert NetworkInterface.from_metadata(interface.to_metadata()) == interface
    assert all(isinstance(text, str) for text in interface.to_metadata().values())


def test_times_are_those_of_the_network(small_model):
    interface = interface_of(small_model, LABELS)
    for samples in (16000, 16001, 40000, interface.min_samples):
        count = small_model.num_instances(samples)
        np.testing.assert_array_equal(interface.instance_times(count, samples), small_model.instance_times(samples))


@pytest.mark.parametrize(
    "name, value",
    [
        ("labels", ["bus", "bus"]),
        ("labels", []),
        ("labels", "bus"),
        ("labels", ["a\0b"]),
        ("labels", [f"class {i}" for i in range(10_001)]),
        ("sample_rate", 0),
        ("sample_rate", 1e5),
        ("min_samples", 2**31),
        ("step_samples", True),
        ("context_instances", -1),
        ("rule", "tmi"),
        ("pooling", ""),
        ("pooling_options", [1]),
        ("pooling_options", {"k": "3"}),
        ("sharpness", [1.0]),
        ("sharpness", [float("nan")] * 4),
        ("has_attention", 1),
    ],
)
def test_illegal_values_are_refused_in_one_line(small_model, name, value):
    metadata = interface_of(small_model, LABELS).to_metadata() | {name: json.dumps(value)}
    with pytest.raises(ArgumentError, match=name) as caught:
        NetworkInterface.from_metadata(metadata)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_missing_and_broken_metadata_are_refused(small_model):
    metadata = interface_of(small_model, LABELS).to_metadata()
    with pytest.raises(ArgumentError, match="have no sample_rate"):
        NetworkInterface.from_metadata({key: text for key, text in metadata.items() if key != "sample_rate"})
    for text in ("{", "[" * 100_000):
        with pytest.raises(ArgumentError, match="labels of the metadata is not JSON"):
            NetworkInterface.from_metadata(metadata | {"labels": text})
