import pytest
import torch
from torch import nn

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.cp_resnet import CPResNet
from mil_asc.model.extractors.layers import DampedConv2d
from mil_asc.model.features import LogMel
from mil_asc.model.folded import folded

RECEPTIVE_FIELDS = [23, 31, 39, 55, 71, 87, 103, 135, 167]
"""Receptive fields for rho = 0, 1, ... 8."""


def test_default_has_the_counted_parameters():
    """Our own count, with the published head: 1x1 convolution without bias, BN."""
    assert with_head(CPResNet()) == 3_956_628


def with_head(extractor):
    """Parameters of an extractor with the published head."""
    head = nn.Sequential(nn.Conv2d(extractor.out_channels, 10, 1, bias=False), nn.BatchNorm2d(10))
    return sum(p.numel() for p in [*extractor.parameters(), *head.parameters()])


@pytest.mark.parametrize(
    "base, rho, blocks, count, channels",
    [
        (48, 9, (4, 4, 3), 635_108, 192),
        (48, 8, (4, 4, 4), 635_876, 192),
        (56, 9, (4, 3, 1), 634_780, 224),
        (68, 8, (4, 3, 0), 635_072, 136),
    ],
)
@pytest.mark.parametrize("damping", [1.0, 0.1])
def test_members_of_the_family_have_about_635_000_parameters(base, rho, blocks, count, channels, damping):
    extractor = CPResNet(base, rho, blocks, damping)
    assert (with_head(extractor), extractor.out_channels) == (count, channels)


@torch.no_grad()
@pytest.mark.parametrize("blocks, channels", [((4, 0, 0), 4), ((4, 0, 1), 16), ((4, 1, 0), 8), ((5, 0, 2), 16)])
def test_later_stages_may_be_empty(blocks, channels):
    extractor = CPResNet(4, 2, blocks)
    assert extractor(torch.randn(2, 1, 64, 50)).shape == (2, channels, 3, 3)
    assert extractor.out_channels == channels


@pytest.mark.parametrize(
    "rows, factors", [(1, [1]), (3, [0.1, 1, 0.1]), (5, [0.1, 0.55, 1, 0.55, 0.1]), (2, [0.1, 0.1])]
)
def test_damping_is_linear_from_the_middle_row_to_the_outermost(rows, factors):
    conv = DampedConv2d(1, 1, (rows, 3), damping=0.1)
    torch.testing.assert_close(conv.factor_K1[:, 0], torch.tensor(factors, dtype=torch.float32))
    assert conv.state_dict().keys() == {"weight", "bias"}


@torch.no_grad()
def test_damped_network_is_the_plain_one_with_damped_kernels():
    torch.manual_seed(0)
    damped, plain = (CPResNet(4, damping=damping).double().eval() for damping in (0.25, 1.0))
    assert not any(isinstance(module, DampedConv2d) for module in plain.modules())
    weights = {name: value.clone() for name, value in damped.state_dict().items()}
    for value in weights.values():
        if value.dim() == 4 and value.shape[2] > 1:
            rows = value.shape[2]
            for row in range(rows):
                centre = (rows - 1) / 2
                value[:, :, row] *= 1 - 0.75 * abs(row - centre) / centre
    plain.load_state_dict(weights)
    x = torch.randn(2, 1, 64, 50, dtype=torch.float64)
    torch.testing.assert_close(damped(x), plain(x))


@torch.no_grad()
def test_folded_network_has_plain_kernels_and_the_same_output():
    torch.manual_seed(0)
    network = MILClassifier(LogMel(n_mels=64), CPResNet(4, damping=0.25)).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    small = folded(network)
    assert not any(isinstance(module, (DampedConv2d, nn.BatchNorm2d)) for module in small.modules())
    x = torch.randn(2, 1, 64, 50, dtype=torch.float64)
    torch.testing.assert_close(small.extractor(x), network.extractor(x), rtol=1e-9, atol=1e-12)
    assert any(isinstance(module, DampedConv2d) for module in network.modules())


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
        ({"blocks": (4, -1, 1)}, "blocks must be a list of 3 whole numbers from 0 up"),
        ({"blocks": (4, 0, 0), "rho": 7}, "rho must be from 0 to 6"),
        ({"damping": -0.1}, "damping must be a number from 0 up"),
        ({"damping": 1.1}, "damping must be a number from 0 to 1"),
        ({"base_channels": 0}, "base_channels must be a whole number from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CPResNet(**settings)
