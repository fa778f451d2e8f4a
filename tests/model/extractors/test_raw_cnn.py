import pytest
import torch
from torch import nn

from mil_asc.model.extractors.raw_cnn import RawCNN


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_network_has_the_parameters_of_the_authors_code():
    """Their head: mean and maximum over time, embedding, ten classes without bias; their first layer takes stereo."""
    extractor = RawCNN()
    head = [nn.Linear(256, 128), nn.Linear(128, 10, bias=False)]
    assert (count(extractor), count(extractor, *head)) == (601_024, 635_200)
    second_channel = 12 * 128
    assert count(extractor, *head) + second_channel == 636_736


def test_an_instance_is_the_product_of_all_poolings_long():
    extractor = RawCNN()
    assert (extractor.time_reduction, extractor.context_frames) == (12 * 3**7, 26_232)
    assert [extractor.out_frames(10 * rate) for rate in (16000, 48000)] == [6, 18]


@torch.no_grad()
def test_first_convolution_does_not_overlap():
    stem = RawCNN()[0][0]
    wav_N = torch.randn(36)
    expected = wav_N.view(3, 12) @ stem.weight.view(128, 12).T + stem.bias
    torch.testing.assert_close(stem(wav_N.view(1, 1, 1, 36))[0, :, 0].T, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"stride": 0}, "stride must be a whole number from 1 up"),
        ({"stem_channels": 0}, "stem_channels must be a whole number from 1 up"),
        ({"channels": ()}, "channels must be a list of whole numbers from 1 up"),
        ({"pool": 1.5}, "pool must be a whole number from 1 up"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RawCNN(**settings)
