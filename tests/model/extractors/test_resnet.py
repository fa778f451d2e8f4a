import pytest
import torch
from torch import nn

from mil_asc.model.extractors.resnet import BasicBlock, ResNet


def test_default_has_the_counted_parameters():
    """Our own count, layer by layer; the paper does not state one."""
    stem = 9 * 8 + 2 * 8
    count = stem
    for ins, outs, blocks in [(8, 8, 3), (8, 16, 3), (16, 32, 3), (32, 64, 1)]:
        shortcut = ins * outs + 2 * outs if ins != outs else 0
        count += 9 * ins * outs + (2 * blocks - 1) * 9 * outs * outs + 2 * blocks * 2 * outs + shortcut
    assert count == 126_040
    assert sum(p.numel() for p in ResNet().parameters()) == count


@torch.no_grad()
def test_block_is_relu_of_residual_plus_shortcut():
    """Known answer: with the last batch norm at zero, a block is the ReLU of its shortcut."""
    x = torch.randn(2, 3, 5, 6)
    same = BasicBlock(3, 3).eval()
    nn.init.zeros_(same.residual[-1][1].weight)
    torch.testing.assert_close(same(x), x.relu())
    wider = BasicBlock(3, 4).eval()
    nn.init.zeros_(wider.residual[-1][1].weight)
    torch.testing.assert_close(wider(x), wider.shortcut(x).relu())
    assert wider.shortcut[0].kernel_size == (1, 1)


@torch.no_grad()
def test_output_has_the_same_grid_as_fuse():
    assert ResNet()(torch.randn(2, 1, 256, 313)).shape == (2, 64, 32, 39)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"blocks": (3, 3)}, "blocks must be a list of 4 whole numbers"),
        ({"blocks": (3, 3, 3, 0)}, "from 1 up"),
        ({"channels": (8, -1)}, "channels must be a list of whole numbers from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**settings)
