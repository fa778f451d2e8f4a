import pytest
import torch
from torch import nn

from mil_asc.model.extractors.dcasenet import DcaseNet, SqueezeExcitation


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_scene_branch_has_the_parameters_of_the_authors_code():
    extractor = DcaseNet()
    assert count(extractor) == 10_005_056
    assert count(extractor, nn.Linear(384, 128), nn.Linear(128, 10)) == 10_055_626
    assert (extractor.out_height(256), extractor.out_frames(313), extractor.context_frames) == (8, 4, None)


@torch.no_grad()
def test_squeeze_and_excitation_multiplies_channels_by_a_function_of_their_means():
    module = SqueezeExcitation(32)
    first, second = module.gate[0].weight[:, :, 0, 0], module.gate[2].weight[:, :, 0, 0]
    assert first.shape == (2, 32) and second.shape == (32, 2)
    x_BCFT = torch.randn(3, 32, 4, 5)
    factor_BC = ((x_BCFT.mean((2, 3)) @ first.T).relu() @ second.T).sigmoid()
    torch.testing.assert_close(module(x_BCFT), x_BCFT * factor_BC[:, :, None, None])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"channels": (64, 128, 256, 384)}, "channels must be a list of 5 whole numbers from 1 up"),
        ({"blocks": 0}, "blocks must be a whole number from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DcaseNet(**settings)
