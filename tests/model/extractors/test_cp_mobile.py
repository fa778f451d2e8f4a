import pytest
import torch
from torch import nn

from mil_asc.model.extractors.cp_mobile import CPMobile, InvertedResidual, multiple_of_8

DOCUMENTED = [
    (88, (8, 128, 33)),
    (2_368, (32, 64, 17)),
    (2_176 + 704 + 2_112, (32, 64, 17)),
    (2_176 + 704 + 2_112, (32, 64, 17)),
    (2_176 + 704 + 2_112, (32, 64, 9)),
    (2_176 + 704 + 3_696, (56, 32, 9)),
    (6_960 + 1_320 + 6_832, (56, 32, 9)),
    (6_960 + 1_320 + 12_688, (104, 32, 9)),
]
"""Parameters and output shape of every block, from the documentation of the DCASE 2024 task 1 baseline."""


@torch.no_grad()
def test_blocks_agree_with_the_documentation():
    x = torch.randn(1, 1, 256, 65)
    ours = [(sum(p.numel() for p in m.parameters()), tuple((x := m(x)).shape[1:])) for m in CPMobile().eval()]
    assert ours == DOCUMENTED


def test_complete_network_has_the_published_parameters():
    head = nn.Sequential(nn.Conv2d(104, 10, 1, bias=False), nn.BatchNorm2d(10))
    assert sum(p.numel() for p in [*CPMobile().parameters(), *head.parameters()]) == 61_148


@pytest.mark.parametrize(
    "width, rounded", [(1, 8), (11, 16), (12, 16), (57.6, 56), (67.2, 64), (103.68, 104), (16, 16)]
)
def test_widths_are_multiples_of_8(width, rounded):
    assert multiple_of_8(width) == rounded


@torch.no_grad()
def test_block_with_zero_residual_is_the_relu_of_its_shortcut():
    """Known answer: with the residual at zero a block is the ReLU of its input, averaged if the stride is not 1."""
    x = torch.randn(2, 8, 6, 10)
    for stride, expected in [((1, 1), x.relu()), ((1, 2), nn.functional.avg_pool2d(x, 3, (1, 2), 1).relu())]:
        block = InvertedResidual(8, 16, 8, stride).eval()
        nn.init.zeros_(block.residual[-1][1].weight)
        torch.testing.assert_close(block(x), expected)
    assert InvertedResidual(8, 16, 24).shortcut is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"base_channels": 4}, "base_channels must be a whole number from 8 up"),
        ({"channels_multiplier": 0}, "channels_multiplier must be a number"),
        ({"expansion_rate": "2"}, "expansion_rate must be a number"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CPMobile(**settings)
