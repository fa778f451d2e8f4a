import pytest
import torch
from torch import nn

from mil_asc.model.extractors.fcnn import FCNN, ChannelAttention


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_published_head_gives_the_published_count():
    """1x1 conv, two BN without scale and offset, channel attention of 10 - 5 - 10 that mean and maximum share."""
    extractor = FCNN()
    head = [nn.Conv2d(576, 10, 1, bias=False), nn.Linear(10, 5), nn.Linear(5, 10)]
    assert count(extractor) == 11_774_454
    assert count(extractor, *head) == 11_780_329
    assert (extractor.out_channels, extractor.out_height(256), extractor.out_frames(313)) == (576, 16, 19)
    assert (extractor.time_reduction, extractor.context_frames) == (16, 44)
    complete = FCNN(class_maps=10)
    assert count(complete) == 11_780_329
    assert (complete.out_channels, complete.context_frames) == (10, None)


@torch.no_grad()
def test_channel_attention_multiplies_by_a_function_of_mean_and_maximum():
    module = ChannelAttention(10)
    (first, _, second), x_BCFT = module.shared, torch.randn(3, 10, 4, 5)

    def shared(z_BC):
        hidden_BH = (z_BC @ first.weight[:, :, 0, 0].T + first.bias).relu()
        return hidden_BH @ second.weight[:, :, 0, 0].T + second.bias

    assert first.weight.shape[:2] == (5, 10)
    factor_BC = (shared(x_BCFT.mean((2, 3))) + shared(x_BCFT.flatten(2).max(2).values)).sigmoid()
    torch.testing.assert_close(module(x_BCFT), x_BCFT * factor_BC[:, :, None, None])


def test_dropout_is_between_the_last_four_convolutions():
    kinds = [type(layer).__name__ for layer in FCNN(channels=[1, 1, 1], dropout=0.2)]
    assert kinds[-8:] == ["Sequential"] + 3 * ["Dropout", "Sequential"] + ["MaxPool2d"]
    assert [layer.p for layer in FCNN(channels=[1, 1, 1], dropout=0.2) if isinstance(layer, nn.Dropout)] == [0.2] * 3


@torch.no_grad()
def test_batch_norm_is_the_first_layer():
    extractor = FCNN(**FCNN.tiny).double().train()
    extractor.apply(lambda module: setattr(module, "p", 0.0) if isinstance(module, nn.Dropout) else None)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(extractor(10 * x - 80), extractor(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"channels": [4, 6]}, "channels must be a list of 3 whole numbers"),
        ({"dropout": 1.0}, "dropout must be a number"),
        ({"in_channels": 0}, "in_channels must be a whole number from 1 up"),
        ({"class_maps": -1}, "class_maps must be a whole number from 0 up"),
    ],
)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        FCNN(**values)
