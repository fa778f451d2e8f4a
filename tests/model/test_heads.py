"""Instance vector generators written again in plain functions of torch."""

import pytest
import torch
import torch.nn.functional as F

from mil_asc.model.heads import GENERATORS


@pytest.fixture
def feature_BCFI():
    torch.manual_seed(0)
    return torch.randn(2, 6, 5, 7)


def generator_of(name):
    """A generator in evaluation mode whose batch norm has statistics and parameters unlike their defaults."""
    torch.manual_seed(1)
    generator = GENERATORS[name](6, 5, 8).eval()
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                value.uniform_(0.5, 1.5)
    return generator


def norm_relu(norm, x):
    return F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps))


@torch.no_grad()
def test_separable_generator_is_depthwise_pointwise_norm_relu(feature_BCFI):
    generator = generator_of("separable")
    (pointwise, norm, _), full = generator.pointwise, generator.full_height
    column_BC1I = F.conv2d(feature_BCFI, full.weight, full.bias, groups=6)
    expected = norm_relu(norm, F.conv2d(column_BC1I, pointwise.weight, pointwise.bias))
    assert (expected == 0).any() and (expected > 0).any()
    torch.testing.assert_close(generator(feature_BCFI), expected.squeeze(2).transpose(1, 2))


@torch.no_grad()
def test_dense_generator_is_convolution_norm_relu(feature_BCFI):
    generator = generator_of("dense")
    convolution, norm, _ = generator.full_height
    expected = norm_relu(norm, F.conv2d(feature_BCFI, convolution.weight, convolution.bias))
    assert (expected == 0).any() and (expected > 0).any()
    torch.testing.assert_close(generator(feature_BCFI), expected.squeeze(2).transpose(1, 2))


@torch.no_grad()
def test_frequency_mean_is_the_mean_of_the_rows(feature_BCFI):
    expected = sum(feature_BCFI[:, :, row] for row in range(5)) / 5
    torch.testing.assert_close(generator_of("frequency_mean")(feature_BCFI), expected.transpose(1, 2))
