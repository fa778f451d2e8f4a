import pytest
import torch
from torch import nn

from mil_asc.model.extractors.resnet50 import ResNet50


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    return ResNet50().eval()


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_body_has_the_parameters_of_the_standard_network(extractor):
    """The stem has one input channel instead of three; 24.5M are published, which 527 outputs give."""
    third = extractor[0][0].weight.numel()
    assert third == 64 * 7 * 7
    body = count(extractor) + 2 * third
    assert (count(extractor), body) == (23_501_760, 23_508_032)
    assert body + count(nn.Linear(2048, 527)) == 24_587_855
    assert body + count(nn.Linear(2048, 10)) == 23_528_522


def test_geometry_at_256_mel_bins(extractor):
    assert (extractor.out_channels, extractor.out_height(256), extractor.out_frames(313)) == (2048, 8, 10)
    assert extractor.context_frames == 3 + 2 + 3 * 4 + (4 + 3 * 8) + (8 + 5 * 16) + (16 + 2 * 32)


@torch.no_grad()
def test_output_is_that_of_torchvision(extractor):
    """Its layers stand in the same order, with the shortcut after the residual."""
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    theirs = models.resnet50(weights=None)
    theirs.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    theirs.fc = nn.Identity()
    names, ours = list(theirs.state_dict()), extractor.state_dict().values()
    theirs.load_state_dict(dict(zip(names, ours, strict=True)))
    x = torch.randn(2, 1, 64, 100)
    torch.testing.assert_close(theirs.eval()(x), extractor(x).mean((2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"width": 0}, "width must be a whole number from 1 up"),
        ({"blocks": (3, 4, 6)}, "blocks must be a list of 4 whole numbers from 1 up"),
        ({"blocks": (3, 4, 6, 0)}, "blocks must be a list of 4 whole numbers from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ResNet50(**settings)
