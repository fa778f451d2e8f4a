"""Gains of batch norms, and the least eps that keeps them small."""

import pytest
import torch
from torch import nn

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.extractors.two_path_resnet import TwoPathResNet
from mil_asc.model.features import LogMel
from mil_asc.model.gains import GAIN_LIMIT, batch_norm_gains
from mil_asc.model.normalization import raise_batch_norm_eps


def norm_with(variances, gammas, eps=1e-5):
    norm = nn.BatchNorm2d(len(variances), eps=eps)
    with torch.no_grad():
        norm.running_var.copy_(torch.tensor(variances))
        norm.weight.copy_(torch.tensor(gammas))
    return norm


def test_largest_gain_and_dead_channels_over_all_layers():
    model = nn.Sequential(
        norm_with([1.0, 4.0, 1.0], [1.0, -6.0, 2.0]), nn.ReLU(), norm_with([1.0, 1.0, 0.0], [1.0] * 3)
    )
    gains = batch_norm_gains(model)
    assert gains.largest == pytest.approx(1e-5**-0.5)
    assert (gains.layer, gains.dead, gains.channels, gains.smallest_variance) == ("2", 1, 6, 0.0)
    assert batch_norm_gains(model[:1]).largest == pytest.approx(3.0, rel=1e-4)


def test_eps_counts():
    assert batch_norm_gains(nn.Sequential(norm_with([0.3], [2.0], eps=0.1))).largest == pytest.approx(2 / 0.4**0.5)


def test_gain_above_the_limit_gives_a_warning_that_names_the_layer():
    assert GAIN_LIMIT == 50
    assert batch_norm_gains(nn.Sequential(norm_with([1.0], [49.0]))).warning is None
    warning = batch_norm_gains(nn.Sequential(norm_with([1.0], [52.0]))).warning
    assert warning.startswith("batch norm 0 multiplies a channel by 52 (limit 50), and 0 of 1 channels")


def test_norms_without_scale_have_gamma_one_and_models_without_norms_no_gains():
    assert batch_norm_gains(nn.Sequential(nn.BatchNorm2d(2, affine=False))).largest == pytest.approx(1.0, rel=1e-4)
    assert batch_norm_gains(nn.Linear(2, 2)) is None


def eps_of(model):
    return {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)}


@pytest.mark.parametrize("extractor, plain", [(FUSE, {1e-5}), (TwoPathResNet, {1e-3, 1e-5})])
def test_stable_raises_every_eps_and_plain_keeps_the_networks_own(extractor, plain):
    """Two-path ResNet has the eps of its authors; the instance vector generator PyTorch's."""
    assert eps_of(MILClassifier(LogMel(n_mels=32), extractor(**extractor.tiny), batch_norm="plain")) == plain
    assert eps_of(MILClassifier(LogMel(n_mels=32), extractor(**extractor.tiny), batch_norm="stable")) == {0.1}
    assert eps_of(MILClassifier(LogMel(n_mels=32), extractor(**extractor.tiny))) == {0.1}


def test_eps_is_never_lowered_and_unknown_settings_are_refused():
    model = nn.Sequential(nn.BatchNorm2d(1, eps=0.5))
    raise_batch_norm_eps(model, "stable")
    assert eps_of(model) == {0.5}
    for value, words in [("none", "one of plain, stable"), (-0.1, "a number from 0 up"), (None, "a number from 0 up")]:
        with pytest.raises(ValueError, match=f"batch_norm must be {words}"):
            MILClassifier(LogMel(), FUSE(), batch_norm=value)


def test_least_eps_as_a_number():
    assert eps_of(MILClassifier(LogMel(n_mels=32), FUSE(**FUSE.tiny), batch_norm=0.02)) == {0.02}


@torch.no_grad()
def test_dead_channels_blow_up_foreign_input_with_the_plain_setting_only():
    """Statistics of a training set in which some channels are constant, and a recording in which they are not."""
    peaks = {}
    for setting in ("plain", "stable"):
        torch.manual_seed(0)
        model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(8, 8, 8, 8)), batch_norm=setting).eval()
        for module in model.extractor[0].blocks.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var[:2] = 1e-9
        peaks[setting] = model(0.1 * torch.randn(1, 16000)).logits_BIC.abs().max().item()
    assert peaks["plain"] > 1e4 > 50 > peaks["stable"]
