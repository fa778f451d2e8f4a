import pytest
import torch
from torch import nn

from mil_asc.model.extractors.cp_resnet import CPResNet

RECEPTIVE_FIELDS = [23, 31, 39, 55, 71, 87, 103, 135, 167]
"""Receptive fields for rho = 0, 1, ... 8."""


def test_default_has_the_counted_parameters():
    """Our own count, with the published head: 1x1 convolution without bias, BN."""
    head = nn.Sequential(nn.Conv2d(512, 10, 1, bias=False), nn.BatchNorm2d(10))
    assert sum(p.numel() for p in [*CPResNet().parameters(), *head.parameters()]) == 3_956_628


@torch.no_grad()
def test_stem_pads_one_row_and_one_frame():
    """A first column sees frames up to 3 only, and 17 frames are needed for one column."""
    stem = CPResNet(base_channels=4)[0][0]
    x = torch.randn(1, 1, 9, 9)
    expected = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1)), stem.weight, stride=2)
    torch.testing.assert_close(stem(x), expected)
    extractor = CPResNet(base_channels=4)
    assert (extractor.out_frames(16), extractor.out_frames(17), extractor.out_height(256)) == (0, 1, 15)


@pytest.mark.parametrize("rho, field", list(enumerate(RECEPTIVE_FIELDS)))
def test_receptive_field_grows_with_rho(rho, field):
    """Measured: rows and columns of the input with a gradient from one output."""
    torch.manual_seed(0)
    extractor = CPResNet(base_channels=4, rho=rho).double().eval()
    assert 2 * extractor.context_frames + 15 == field
    for module in extractor.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0.0, 0.5)
    x = torch.rand(1, 1, 352, 352, dtype=torch.float64).requires_grad_()
    reach = torch.zeros(352, 352, dtype=torch.bool)
    for _ in range(8):  # max-pooling selects one of four inputs, so several inputs are needed to find all
        with torch.no_grad():
            x.uniform_()
        (gradient,) = torch.autograd.grad(extractor(x)[0, :, 11, 11].sum(), x)
        reach |= gradient[0, 0] != 0
    for axis in (0, 1):
        hit = reach.any(axis).nonzero().flatten()
        assert field - 4 <= hit[-1] - hit[0] + 1 <= field


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"rho": 23}, "rho must be from 0 to 22"),
        ({"rho": -1}, "rho must be a whole number from 0 up"),
        ({"blocks": (3, 4, 4)}, "the first of blocks must be at least 4"),
        ({"blocks": (4, 4)}, "blocks must be a list of 3 whole numbers"),
        ({"base_channels": 0}, "base_channels must be a whole number from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CPResNet(**settings)
