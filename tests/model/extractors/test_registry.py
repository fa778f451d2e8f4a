"""What every extractor promises, tested for all of them: a new file in the package is found by itself."""

import pkgutil

import pytest
import torch

import mil_asc.model.extractors
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import EXTRACTORS
from mil_asc.model.features import LogMel

SMALL = {
    "fuse": {"channels": [4, 6, 8, 10]},
    "vgg_like": {"channels": [4, 6, 8]},
    "resnet": {"channels": [4, 6, 8, 10], "blocks": [2, 1, 2, 1]},
    "bc_resnet": {"c": 8},
    "cp_mobile": {"base_channels": 8},
    "cp_resnet": {"base_channels": 4},
    "two_path_resnet": {"filters": 2},
}
"""Settings that make an extractor small; one without an entry is tested at its own size."""
MELS = 64
VARIANTS = [(name, SMALL.get(name, {})) for name in EXTRACTORS] + [("bc_resnet", {"c": 8, "resnorm": True})]
LOCAL = [variant for variant in VARIANTS if not variant[1].get("resnorm")]
"""Those whose columns hear only the frames near them: ResNorm takes its mean over the whole clip."""


def every(variants):
    ids = [name + ("+resnorm" if settings.get("resnorm") else "") for name, settings in variants]
    return pytest.mark.parametrize("name, settings", variants, ids=ids)


def build(name, settings):
    """An extractor in eval mode whose batch norms have seen a batch, in float64."""
    torch.manual_seed(0)
    extractor = EXTRACTORS[name](**settings).double()
    with torch.no_grad():
        extractor(torch.randn(4, 1, MELS, 64, dtype=torch.float64))
    return extractor.eval()


def smallest_frames(extractor):
    return next(frames for frames in range(1, 1000) if extractor.out_frames(frames) > 0)


def test_every_file_is_registered():
    files = {module.name for module in pkgutil.iter_modules(mil_asc.model.extractors.__path__)} - {"layers"}
    assert files == set(EXTRACTORS)
    for name, extractor in EXTRACTORS.items():
        assert extractor.__module__ == f"mil_asc.model.extractors.{name}"


@every(VARIANTS)
@torch.no_grad()
def test_shape_for_every_number_of_frames(name, settings):
    extractor = build(name, settings)
    smallest = smallest_frames(extractor)
    assert smallest <= extractor.time_reduction
    for frames in range(smallest, 101):
        shape = extractor(torch.zeros(1, 1, MELS, frames, dtype=torch.float64)).shape
        assert shape == (1, extractor.out_channels, extractor.out_height(MELS), extractor.out_frames(frames))
        assert type(extractor.out_frames(frames)) is int


@pytest.mark.parametrize("name", EXTRACTORS)
@torch.no_grad()
def test_default_size_at_256_mel_bins(name):
    extractor = EXTRACTORS[name]().eval()
    shape = extractor(torch.randn(1, 1, 256, 40)).shape
    assert shape == (1, extractor.out_channels, extractor.out_height(256), extractor.out_frames(40))


@every(VARIANTS)
def test_out_frames_takes_integer_tensors(name, settings):
    extractor = EXTRACTORS[name](**settings)
    frames = torch.arange(1, 400)
    columns = extractor.out_frames(frames)
    assert columns.dtype == torch.int64
    assert columns.tolist() == [extractor.out_frames(int(t)) for t in frames]
    assert ((columns[1:] - columns[:-1]) >= 0).all()
    assert extractor.out_frames(100 * extractor.time_reduction) == 100


@pytest.mark.parametrize("mels", [256, 128, 64, 40])
@every(VARIANTS)
@torch.no_grad()
def test_height_of_usual_mel_bins(name, settings, mels):
    """Right or refused with one line: four bands do not divide what BC-ResNet makes of 40 mel bins."""
    extractor = EXTRACTORS[name](**settings).eval()
    spectrogram = torch.randn(1, 1, mels, 24)
    if name == "bc_resnet" and mels == 40:
        with pytest.raises(ValueError, match="^40 mel bins leave 20, 10 and 5 frequency rows.*bands 1, 5.*$"):
            extractor.out_height(mels)
        with pytest.raises(ValueError, match="cannot be cut into 4 bands"):
            extractor(spectrogram)
    else:
        assert extractor(spectrogram).shape[2] == extractor.out_height(mels)


@every(LOCAL)
@torch.no_grad()
def test_a_column_hears_no_further_than_its_context(name, settings):
    extractor = build(name, settings)
    step, context = extractor.time_reduction, extractor.context_frames
    column = -(-context // step) + 1
    frames = 2 * (column + 1) * step
    x = torch.randn(1, 1, MELS, frames, dtype=torch.float64)
    expected = extractor(x)[..., column]

    def moved_by(first, last):
        """How far the column moves when everything outside frames first..last-1 is replaced, by something loud."""
        other = 1e6 * torch.randn_like(x)
        other[..., first:last] = x[..., first:last]
        return (extractor(other)[..., column] - expected).abs().max().item()

    first, last = column * step, (column + 1) * step
    assert 0 < first - context and last + context < frames
    assert moved_by(first - context, last + context) < 1e-11
    assert moved_by(first - context // 2, last + context) > 1e-6  # the bound is not far off, on either side
    assert moved_by(first - context, last + context // 2) > 1e-6


@torch.no_grad()
def test_with_resnorm_a_column_hears_the_whole_clip():
    extractor = build("bc_resnet", {"c": 8, "resnorm": True})
    x = torch.randn(1, 1, MELS, 400, dtype=torch.float64)
    other = x.clone()
    other[..., -8:] += 5
    assert (extractor(other)[..., 0] - extractor(x)[..., 0]).abs().max() > 1e-6


@every(VARIANTS)
@torch.no_grad()
def test_batch_mates_do_not_matter_in_evaluation(name, settings):
    extractor = build(name, settings)
    x = torch.randn(3, 1, MELS, 40, dtype=torch.float64)
    alone = extractor(x[:1])
    torch.testing.assert_close(extractor(x)[:1], alone, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(extractor(torch.cat([x[:1], 100 * x[1:]]))[:1], alone, rtol=1e-10, atol=1e-12)
    assert (extractor(x)[1:2] - alone).abs().max() > 1e-6


@every(VARIANTS)
def test_gradients_reach_every_parameter(name, settings):
    """In eval mode, where a convolution's bias is not cancelled by the batch norm behind it."""
    extractor = build(name, settings)
    out = extractor(torch.randn(4, 1, MELS, 64, dtype=torch.float64))
    (out * torch.randn_like(out)).sum().backward()
    dead = [key for key, parameter in extractor.named_parameters() if not parameter.grad.any()]
    assert not dead
    assert all(parameter.grad.isfinite().all() for parameter in extractor.parameters())


@every(VARIANTS)
@torch.no_grad()
def test_channels_last_gives_the_same(name, settings):
    extractor = build(name, settings)
    x = torch.randn(2, 1, MELS, 40, dtype=torch.float64)
    expected = extractor(x)
    extractor.to(memory_format=torch.channels_last)
    out = extractor(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)


@every(VARIANTS)
@torch.no_grad()
def test_bfloat16_autocast_is_close(name, settings):
    extractor = build(name, settings).float()
    x = torch.randn(2, 1, MELS, 40)
    expected = extractor(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = extractor(x).float()
    assert (out - expected).norm() < 0.05 * expected.norm()


@every(VARIANTS)
def test_input_is_left_as_it_was(name, settings):
    extractor = build(name, settings)
    x = torch.randn(1, 1, MELS, 40, dtype=torch.float64)
    before = x.clone()
    extractor(x)
    assert torch.equal(x, before)


@every(VARIANTS)
def test_a_step_of_training_in_the_whole_model(name, settings):
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=MELS), EXTRACTORS[name](**settings), num_classes=3, instance_dim=8)
    samples = 40 * model.front_end.hop_length
    bags = model(torch.randn(2, samples))
    assert bags.logits_BIC.shape[1] == model.extractor.out_frames(model.front_end.num_frames(samples))
    bags.logits_BIC.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
