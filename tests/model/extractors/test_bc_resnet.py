import pytest
import torch
from torch import nn

from mil_asc.model.extractors.bc_resnet import BCResNet, BroadcastedBlock
from mil_asc.model.normalization import ResNorm


@pytest.mark.parametrize("resnorm", [False, True])
def test_complete_network_has_the_published_parameters(resnorm):
    """With the published head, a 1x1 convolution to 10 classes and global average pooling; ResNorm has none."""
    head = nn.Conv2d(200, 10, 1)
    assert sum(p.numel() for p in [*BCResNet(resnorm=resnorm).parameters(), *head.parameters()]) == 314_970


@torch.no_grad()
def test_shapes_of_the_stages():
    x = torch.randn(1, 1, 256, 313)
    shapes = [tuple((x := module(x)).shape[1:]) for module in BCResNet().eval()]
    assert list(dict.fromkeys(shapes[1:])) == [
        (160, 128, 157),
        (80, 128, 157),
        (80, 64, 78),
        (120, 64, 78),
        (120, 32, 39),
        (160, 32, 39),
        (200, 32, 39),
    ]


@torch.no_grad()
def test_block_is_the_sum_of_its_paths():
    """Identity, frequency path and broadcast time path, computed separately with the block's layers."""
    torch.manual_seed(0)
    block = BroadcastedBlock(6, 6, bands=2, dropout=0.5)
    for _ in range(3):
        block(torch.randn(4, 6, 8, 10))
    block.eval()
    x = torch.randn(2, 6, 8, 10)
    frequency = block.frequency[1](nn.functional.conv2d(x, block.frequency[0].weight, padding=(1, 0), groups=6))
    mean = sum(frequency[:, :, row] for row in range(8)) / 8
    convolved = nn.functional.conv1d(mean, block.time[0][0].weight.squeeze(2), padding=1, groups=6)
    normal = block.time[0][1](convolved.unsqueeze(2)).squeeze(2)
    mixed = nn.functional.conv1d(normal * normal.sigmoid(), block.time[1].weight.squeeze(2))
    expected = torch.stack([(x[:, :, row] + frequency[:, :, row] + mixed).relu() for row in range(8)], dim=2)
    torch.testing.assert_close(block(x), expected)


@torch.no_grad()
def test_first_block_of_a_stage_has_no_identity():
    """Known answer: with both paths at zero the output is zero; with equal width it is the ReLU of the input."""
    x = torch.randn(2, 4, 8, 10)
    for block, expected in [
        (BroadcastedBlock(4, 6, bands=2, dropout=0.0), torch.zeros(2, 6, 8, 10)),
        (BroadcastedBlock(4, 4, bands=2, dropout=0.0), x.relu()),
    ]:
        block.eval()
        nn.init.zeros_(block.frequency[1].norm.weight)
        nn.init.zeros_(block.time[1].weight)
        torch.testing.assert_close(block(x), expected)


@torch.no_grad()
def test_dropout_drops_complete_channels_of_the_time_path_in_training_only():
    block = BroadcastedBlock(64, 64, bands=1, dropout=0.5)
    x = torch.randn(1, 64, 4, 9)
    time = block.time(x.mean(2, keepdim=True))
    dropped = (time == 0).all(-1).squeeze()
    assert 10 < dropped.sum() < 54 and not (time == 0)[0, ~dropped].any()
    block.eval()
    assert (block.time(x.mean(2, keepdim=True)) != 0).all()


def test_resnorm_is_applied_before_the_stem_and_after_every_stage():
    kinds = [type(module).__name__ for module in BCResNet(c=8, resnorm=True)]
    stage = ["BroadcastedBlock"] * 2
    assert kinds == [
        *("ResNorm", "Sequential"),
        *(*stage, "ResNorm", "MaxPool2d"),
        *(*stage, "ResNorm", "MaxPool2d"),
        *(*stage, "ResNorm"),
        *(*stage, "BroadcastedBlock", "ResNorm"),
    ]
    assert not any(isinstance(module, ResNorm) for module in BCResNet(c=8).modules())


def test_40_mel_bins_work_with_five_bands():
    extractor = BCResNet(c=8, bands=5)
    assert extractor.out_height(40) == 5
    assert extractor(torch.randn(2, 1, 40, 24)).shape == (2, 20, 5, 3)


@torch.no_grad()
def test_out_height_refuses_the_sizes_that_the_network_refuses():
    extractor = BCResNet(c=2, bands=2).eval()
    for mels in range(8, 130):
        x = torch.zeros(1, 1, mels, 8)
        try:
            height = extractor.out_height(mels)
        except ValueError:
            with pytest.raises(ValueError, match="cannot be divided"):
                extractor(x)
        else:
            assert extractor(x).shape[2] == height, mels


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"c": 0}, "c must be a whole number from 1 up"),
        ({"c": 7}, "c must be even"),
        ({"bands": 2.0}, "bands must be a whole number from 1 up"),
        ({"dropout": 1.0}, "dropout must be a number from 0 up and below 1"),
        ({"resnorm": "yes"}, "resnorm must be True or False"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BCResNet(**settings)
