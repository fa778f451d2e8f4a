import pytest
from torch import nn

from mil_asc.model.extractors.aclnet import AclNet

DOUBLE = (64, 128, 256, 512, 1024)


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_width_and_classes_give_the_counted_parameters():
    """With a 1x1 convolution to the classes; the last of the three is the published 19.3M."""
    assert count(AclNet(), nn.Conv2d(512, 10, 1)) == 4_716_938
    double = AclNet(DOUBLE)
    assert count(double, nn.Conv2d(1024, 10, 1)) == 18_828_682
    assert count(double, nn.Conv2d(1024, 527, 1)) == 19_358_607


def test_a_frame_of_the_map_is_10_ms_and_an_instance_32_frames_long():
    extractor = AclNet()
    assert (extractor.time_reduction, extractor.out_frames(160_000), extractor.out_height(1)) == (32 * 160, 31, 2)
    assert (extractor.out_frames(5112), extractor.out_frames(5113)) == (0, 1)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"channels": (32, 0)}, "channels must be a list of whole numbers from 1 up"),
        ({"filters": 16}, "filters must be at least 32 with 5 stages, got 16"),
        ({"pool": 0}, "pool must be a whole number from 1 up"),
        ({"dropout": -0.1}, "dropout must be a number from 0 up and below 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AclNet(**settings)
