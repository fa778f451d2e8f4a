import pytest
import torch
from torch import nn

from mil_asc.model.extractors.two_path_resnet import PreActivationBlock, TwoPathResNet


def test_default_has_the_counted_parameters():
    """Our own count for one input channel; the published count, 3.2M, is for several (log-mel, deltas)."""
    count = sum(p.numel() for p in TwoPathResNet().parameters()) + nn.Conv2d(768, 10, 1, bias=False).weight.numel()
    assert count == 3_245_236
    assert round(count / 1e6, 1) == 3.2


@torch.no_grad()
def test_paths_are_independent():
    """A change in the upper half of the mel bins does not affect the rows of the lower half, and vice versa."""
    extractor = TwoPathResNet(filters=2).eval()
    x = torch.randn(1, 1, 32, 48)
    high, low = x.clone(), x.clone()
    high[:, :, 16:] += 1
    low[:, :, :16] += 1
    out = extractor(x)
    for changed, same in [(high, slice(0, 16)), (low, slice(16, 32))]:
        moved = (extractor(changed) - out).abs().amax((0, 1, 3))
        assert (moved[same] < 1e-6).all()
        assert moved.max() > 1e-3


@torch.no_grad()
def test_block_with_zero_residual_returns_its_shortcut():
    """Known answer: with the residual at zero a block returns its input, averaged and zero-padded with ``widen``."""
    x = torch.randn(2, 3, 6, 9)
    same, wider = PreActivationBlock(3).eval(), PreActivationBlock(3, widen=True).eval()
    for block in (same, wider):
        nn.init.zeros_(block.residual[1][2].weight)
    torch.testing.assert_close(same(x), x)
    out = wider(x)
    assert out.shape == (2, 6, 6, 5)
    assert not out[:, 3:].any()
    torch.testing.assert_close(out[:, :3, 2, 1], x[:, :, 1:4, 1:4].mean((2, 3)))
    torch.testing.assert_close(out[:, :3, 0, 0], x[:, :, :2, :2].mean((2, 3)))  # padding does not count in the average


def test_any_number_of_mel_bins_from_two_works():
    extractor = TwoPathResNet(filters=1).eval()
    for mels in (2, 3, 41):
        assert extractor(torch.randn(1, 1, mels, 20)).shape[2] == extractor.out_height(mels) == mels
    with pytest.raises(ValueError, match="at least 2 mel bins"):
        extractor.out_height(1)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="filters must be a whole number from 1 up"):
        TwoPathResNet(filters=0)
