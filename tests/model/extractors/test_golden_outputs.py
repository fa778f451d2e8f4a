"""Outputs of every extractor for fixed weights: the recorded numbers, and the same network in plain functions."""

import json

import pytest
import torch
from functional_extractors import REFERENCES, Weights
from golden_extractors import FILE, VARIANTS, agree, built, described, spectrogram

from mil_asc.model.extractors import registered_extractors

GOLDEN = json.loads(FILE.read_text())


def test_every_extractor_has_golden_numbers():
    assert GOLDEN.keys() == VARIANTS.keys() >= registered_extractors().keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_is_the_recorded_one(variant):
    found = described(variant)
    assert agree(found, GOLDEN[variant]), found


def test_other_outputs_do_not_agree():
    recorded = GOLDEN["fuse"]
    assert agree(recorded, recorded)
    for name, other in (("shape", [1]), ("mean", 1.0), ("elements", [*recorded["elements"][:-1], 9.0])):
        assert not agree(recorded | {name: other}, recorded)


@pytest.mark.parametrize("variant", REFERENCES)
@torch.no_grad()
def test_output_is_that_of_the_same_network_in_plain_functions(variant):
    extractor = built(variant)
    weights, x = Weights(extractor), spectrogram(extractor)
    expected = REFERENCES[variant](weights, x)
    assert weights.rest == []
    torch.testing.assert_close(extractor(x), expected, rtol=1e-3, atol=1e-4 * expected.std().item())
