import math

import numpy as np
import pytest
import torch

from mil_asc.model.normalization import ResNorm, SubSpectralNorm


def slow_resnorm(x_BCFT, lambda_, eps):
    """One sample and one frequency row at a time, by the definition of mean and variance."""
    out = np.empty_like(x_BCFT)
    batch, channels, height, frames = x_BCFT.shape
    for b in range(batch):
        for f in range(height):
            values = [x_BCFT[b, c, f, t] for c in range(channels) for t in range(frames)]
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / len(values)
            for c in range(channels):
                for t in range(frames):
                    value = x_BCFT[b, c, f, t]
                    out[b, c, f, t] = lambda_ * value + (value - mean) / math.sqrt(variance + eps)
    return out


def slow_sub_spectral_norm(x_BCFT, bands, scale, offset, eps):
    """Training-mode batch norm, one channel and band at a time; scale and offset are (C, S)."""
    out = np.empty_like(x_BCFT)
    _, channels, height, _ = x_BCFT.shape
    rows = height // bands
    for c in range(channels):
        for s in range(bands):
            part = x_BCFT[:, c, s * rows : (s + 1) * rows]
            mean = sum(part.flat) / part.size
            variance = sum((value - mean) ** 2 for value in part.flat) / part.size
            normal = (part - mean) / math.sqrt(variance + eps)
            out[:, c, s * rows : (s + 1) * rows] = scale[c, s] * normal + offset[c, s]
    return out


def random_map(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 - 5


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("lambda_, eps", [(0.1, 1e-5), (0.0, 1e-3), (2.0, 0.5)])
def test_resnorm_agrees_with_the_slow_reference(lambda_, eps, channels_last):
    x = random_map(2, 3, 4, 5)
    expected = slow_resnorm(x.numpy(), lambda_, eps)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ResNorm(lambda_, eps)(x), torch.from_numpy(expected))


def test_resnorm_known_answer():
    """Row (1, 3): mean 2, variance 1; row (0, 4): mean 2, variance 4."""
    x = torch.tensor([[[[1.0, 3.0], [0.0, 4.0]]]])
    expected = torch.tensor([[[[-0.9, 1.3], [-1.0, 1.4]]]])
    torch.testing.assert_close(ResNorm(eps=1e-12)(x), expected)


def test_resnorm_without_lambda_removes_gain_and_offset_of_a_band():
    x = random_map(2, 1, 6, 40)
    gain, offset = random_map(1, 1, 6, 1, seed=1).abs() + 1, random_map(1, 1, 6, 1, seed=2)
    norm = ResNorm(lambda_=0, eps=1e-12)
    torch.testing.assert_close(norm(gain * x + offset), norm(x))


def test_resnorm_of_silence_is_finite_and_scaled_by_lambda():
    silence = torch.full((1, 1, 4, 7), -23.0)
    torch.testing.assert_close(ResNorm()(silence), 0.1 * silence)


def test_resnorm_has_no_parameters_and_passes_gradients():
    x = random_map(2, 2, 3, 4).requires_grad_()
    assert not list(ResNorm().parameters())
    assert torch.autograd.gradcheck(ResNorm(), x)


def test_resnorm_is_float32_inside_autocast():
    """Differences between log-mel values far below the resolution of bfloat16 are preserved."""
    x = -20 + 0.01 * torch.randn(1, 1, 4, 200, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = ResNorm()(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, ResNorm()(x), rtol=0, atol=0)
    narrow = x.bfloat16()
    assert ResNorm()(narrow).dtype == torch.bfloat16
    torch.testing.assert_close(ResNorm()(narrow), ResNorm()(narrow.float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("bands", [1, 2, 3, 6])
def test_sub_spectral_norm_agrees_with_the_slow_reference(bands, channels_last):
    x = random_map(3, 2, 6, 4)
    norm = SubSpectralNorm(2, bands).double()
    scale, offset = random_map(2, bands, seed=3), random_map(2, bands, seed=4)
    with torch.no_grad():
        norm.norm.weight.copy_(scale.flatten())
        norm.norm.bias.copy_(offset.flatten())
    expected = slow_sub_spectral_norm(x.numpy(), bands, scale.numpy(), offset.numpy(), norm.norm.eps)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(x), torch.from_numpy(expected))


def test_one_band_is_batch_norm():
    x = random_map(3, 4, 6, 5)
    torch.testing.assert_close(SubSpectralNorm(4, 1).double()(x), torch.nn.BatchNorm2d(4).double()(x))


def test_running_statistics_are_per_band():
    norm = SubSpectralNorm(1, 2).double()
    x = torch.cat([torch.zeros(4, 1, 3, 5), torch.ones(4, 1, 3, 5)], dim=2).double() * 10
    for _ in range(300):
        norm(x)
    torch.testing.assert_close(norm.norm.running_mean, torch.tensor([0.0, 10.0]).double())
    assert norm.eval()(x).abs().max() < 1e-6


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ResNorm(lambda_=-1), "a number from 0 up"),
        (lambda: ResNorm(lambda_=float("nan")), "a number from 0 up"),
        (lambda: ResNorm(eps=0), "a number above 0"),
        (lambda: SubSpectralNorm(8, 0), "bands must be a whole number from 1 up"),
        (lambda: SubSpectralNorm(0, 4), "channels must be a whole number from 1 up"),
        (lambda: SubSpectralNorm(8, 4)(torch.zeros(1, 8, 10, 3)), "10 frequency rows cannot be divided into 4 bands"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
