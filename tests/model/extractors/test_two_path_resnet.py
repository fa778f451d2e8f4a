import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mil_asc.model.extractors.streams import PreActivationBlock
from mil_asc.model.extractors.two_path_resnet import TwoPathResNet


def test_default_has_the_counted_parameters():
    """Our own count for one input channel; the published count, 3.2M, is for several (log-mel, deltas)."""
    count = sum(p.numel() for p in TwoPathResNet().parameters()) + nn.Conv2d(768, 10, 1, bias=False).weight.numel()
    assert count == 3_245_236
    assert round(count / 1e6, 1) == 3.2


def test_three_input_channels_have_the_published_count_too():
    count = sum(p.numel() for p in TwoPathResNet(in_channels=3).parameters()) + 7680
    assert count == 3_246_108 and round(count / 1e6, 1) == 3.2


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
        nn.init.zeros_(block.residual[5].weight)
    torch.testing.assert_close(same(x), x)
    out = wider(x)
    assert out.shape == (2, 6, 6, 5)
    assert not out[:, 3:].any()
    torch.testing.assert_close(out[:, :3, 2, 1], x[:, :, 1:4, 1:4].mean((2, 3)))
    torch.testing.assert_close(out[:, :3, 0, 0], x[:, :, :2, :2].mean((2, 3)))  # padding does not count in the average


@torch.no_grad()
def test_shortcut_of_an_even_number_of_frames_is_padded_at_the_far_end():
    x = torch.randn(1, 1, 3, 6)
    block = PreActivationBlock(1, widen=True).eval()
    nn.init.zeros_(block.residual[5].weight)
    row = block(x)[0, 0, 1]
    torch.testing.assert_close(row, torch.stack([x[0, 0, :, t : t + 3].mean() for t in (0, 2, 4)]))


def same(x, kernel, stride):
    """Keras's "same" padding of the last axis, whose far end gets the odd one; a slow version of its definition."""
    frames = x.shape[-1]
    total = max((math.ceil(frames / stride) - 1) * stride + kernel - frames, 0)
    return F.pad(x, (total // 2, total - total // 2, 1, 1))


def reference_path(path, x):
    """The authors' path, layer by layer, from their description and with the weights of ``path``."""

    def norm(layer, x):
        mean, var = (v[:, None, None] for v in (layer.running_mean, layer.running_var))
        return (x - mean) / (var + 1e-3).sqrt()

    def conv(layer, x, stride):
        weight = layer.conv.weight if stride == 2 else layer.weight
        return F.conv2d(same(x, 3, stride), weight, stride=(1, stride))

    stem_norm, stem, *blocks = path
    x = conv(stem, norm(stem_norm, x) * stem_norm.weight[:, None, None] + stem_norm.bias[:, None, None], 2)
    for number, block in enumerate(blocks):
        stride = 2 if number in (2, 4, 6) else 1
        norm_1, _, conv_1, norm_2, _, conv_2 = block.residual
        residual = conv(conv_2, norm(norm_2, conv(conv_1, norm(norm_1, x).relu(), stride)).relu(), 1)
        if stride == 2:
            window = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype)
            total, count = (
                F.conv2d(same(values, 3, 2), window, stride=(1, 2), groups=len(window))
                for values in (x, torch.ones_like(x))
            )
            x = torch.cat([total / count, torch.zeros_like(x[..., : total.shape[3]])], dim=1)
        x = x + residual
    return x


@pytest.mark.parametrize("frames", [16, 33, 40, 61, 313])
@torch.no_grad()
def test_paths_are_those_of_the_authors_keras_network(frames):
    torch.manual_seed(0)
    extractor = TwoPathResNet(filters=2).double()
    extractor(torch.randn(4, 1, 16, 64, dtype=torch.float64))
    for module in extractor.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.001, 2)
            module.running_mean.normal_()
    x = torch.randn(2, 1, 8, frames, dtype=torch.float64)
    for path in (extractor.low, extractor.high):
        torch.testing.assert_close(path.eval()(x), reference_path(path, x))


def test_batch_norms_have_the_values_of_keras():
    norms = [module for module in TwoPathResNet(filters=2).modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2 * 17 + 1
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


def test_any_number_of_mel_bins_from_two_works():
    extractor = TwoPathResNet(filters=1).eval()
    for mels in (2, 3, 41):
        assert extractor(torch.randn(1, 1, mels, 20)).shape[2] == extractor.out_height(mels) == mels
    with pytest.raises(ValueError, match="at least 2 mel bins"):
        extractor.out_height(1)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="filters must be a whole number from 1 up"):
        TwoPathResNet(filters=0)
