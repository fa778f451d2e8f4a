import pytest
import torch
from torch import nn

from mil_asc.model.extractors.streams import StridedConv
from mil_asc.model.extractors.trident_resnet import TridentResNet


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_head_gives_the_fitted_count():
    """The widths were fitted to the published 13M; batch norms of the head have no parameters."""
    extractor = TridentResNet()
    head = nn.Sequential(nn.Conv2d(256, 768, 1, bias=False), nn.Conv2d(768, 10, 1, bias=False))
    assert count(extractor) + count(head) == 13_146_162
    assert (extractor.out_channels, extractor.time_reduction, extractor.context_frames) == (256, 16, 167)


def test_one_input_channel_has_the_counted_features():
    assert count(TridentResNet(in_channels=1)) == 12_940_134


@torch.no_grad()
def test_streams_see_a_quarter_a_quarter_and_a_half_of_the_mel_bins():
    extractor = TridentResNet(filters=1, blocks=1).eval()
    x = torch.randn(1, 3, 32, 32)
    out = extractor(x)
    for changed, rows in ((0, slice(0, 8)), (8, slice(8, 16)), (31, slice(16, 32))):
        other = x.clone()
        other[:, :, changed] += 1
        moved = (extractor(other) - out).abs().amax((0, 1, 3)) > 1e-6
        assert moved[rows].any() and moved.sum() == moved[rows].sum()


def test_blocks_that_halve_time_and_the_first_have_no_dilation():
    """Blocks 4, 7 and 10 of twelve halve time."""
    blocks = list(TridentResNet(filters=1).streams[0])[2:]
    first = [block.residual[2] for block in blocks]
    assert [isinstance(layer, StridedConv) for layer in first] == 3 * [False] + 3 * [True, False, False]
    plain = [layer.dilation for layer in first if not isinstance(layer, StridedConv)]
    assert plain == [(1, 1)] + 8 * [(2, 1)]
    assert {block.residual[5].dilation for block in blocks} == {(1, 1)}


def test_any_number_of_mel_bins_from_four_works():
    extractor = TridentResNet(**TridentResNet.tiny).eval()
    for mels in (4, 5, 41):
        assert extractor(torch.randn(1, 3, mels, 20)).shape[2] == extractor.out_height(mels) == mels
    with pytest.raises(ValueError, match="at least 4 mel bins, got 3"):
        extractor.out_height(3)


@pytest.mark.parametrize("name", ["filters", "blocks", "dilation", "in_channels"])
def test_bad_settings_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 up"):
        TridentResNet(**{name: 0})
