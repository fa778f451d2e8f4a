import pytest
import torch
from torch import nn

from mil_asc.model.extractors.vgg_like import VGGLike


@pytest.mark.parametrize("mels, count", [(40, 454_508), (256, 1_339_244)])
def test_complete_model_has_the_papers_parameters(mels, count):
    """After the extractor: dense full-height convolution with bias, BN, linear detector."""
    extractor = VGGLike()
    head = nn.Sequential(nn.Conv2d(128, 256, (extractor.out_height(mels), 1)), nn.BatchNorm2d(256), nn.Linear(256, 10))
    assert sum(p.numel() for p in [*extractor.parameters(), *head.parameters()]) == count


@torch.no_grad()
def test_batch_norm_is_the_first_layer():
    """The level of the log-mel values then does not matter in training."""
    extractor = VGGLike((4, 4)).train()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    extractor = extractor.double()
    torch.testing.assert_close(extractor(10 * x - 80), extractor(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [(), (32, 0), 32, (8.0, 8)])
def test_bad_widths_are_refused(channels):
    with pytest.raises(ValueError, match="channels must be a list of whole numbers from 1 up"):
        VGGLike(channels)
