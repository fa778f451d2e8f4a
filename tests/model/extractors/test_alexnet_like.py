import pytest
import torch
from torch import nn

from mil_asc.model.extractors.alexnet_like import AlexNetLike


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_published_head_gives_the_published_count():
    """For segments of 128 mel bins and 128 frames, whose feature map has 8 rows and 8 columns."""
    extractor = AlexNetLike()
    assert count(extractor) == 292_176
    assert (extractor.out_height(128), extractor.out_frames(128)) == (8, 8)
    head = nn.Sequential(
        nn.Linear(192 * 8 * 8, 1024),
        nn.BatchNorm1d(1024),
        nn.Linear(1024, 256),
        nn.BatchNorm1d(256),
        nn.Linear(256, 10),
    )
    assert count(extractor, head) == 13_143_642


@torch.no_grad()
def test_channels_of_the_input_stay_apart():
    extractor = AlexNetLike(**AlexNetLike.tiny).eval()
    x = torch.randn(1, 3, 32, 64)
    out = extractor(x)
    for channel in range(3):
        other = x.clone()
        other[:, channel] += 1
        moved = (extractor(other) - out).abs().amax((0, 2, 3)) > 1e-6
        assert moved.any() and set(moved.nonzero().flatten().tolist()) <= {2 * channel, 2 * channel + 1}


@pytest.mark.parametrize("channels", [(3, 6, 6, 6), (0, 3, 3, 3, 3), 3])
def test_bad_widths_are_refused(channels):
    with pytest.raises(ValueError, match="channels must be a list of 5 whole numbers from 1 up"):
        AlexNetLike(channels)


def test_widths_that_cannot_be_grouped_are_refused():
    with pytest.raises(ValueError, match="channels must be multiples of 3, got"):
        AlexNetLike([3, 6, 6, 6, 8])
