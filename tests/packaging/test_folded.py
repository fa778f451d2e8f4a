"""Batch norms folded into convolutions: the same scores."""

import copy

import exported_models
import pytest
import torch
from torch import nn

from mil_asc.model.extractors import registered_extractors
from mil_asc.model.folded import folded


@pytest.mark.parametrize(
    "name, settings", [*((name, {}) for name in registered_extractors()), ("fcnn", {"class_maps": 6})]
)
def test_folded_network_gives_the_same_scores(name, settings):
    network = exported_models.small_network(name, settings=settings).double()
    frames = max(90, 3 * network.extractor.time_reduction)
    logmel = torch.randn(2, network.extractor.in_channels, network.front_end.n_mels, frames, dtype=torch.float64)
    small = folded(network)
    with torch.no_grad():
        expected = network.instances(network.extractor(logmel))
        torch.testing.assert_close(small.instances(small.extractor(logmel)), expected, rtol=1e-9, atol=1e-9)
    count = lambda model: sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())  # noqa: E731
    assert count(small) < count(network)


def test_network_itself_stays_as_it_is():
    network = exported_models.small_network()
    before = copy.deepcopy(network.state_dict())
    folded(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_every_batch_norm_of_fuse_is_folded():
    small = folded(exported_models.small_network())
    assert not [module for module in small.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(parameter.requires_grad for parameter in small.parameters())
