"""Common tests of all extractors; a new file in the package is found automatically."""

import pkgutil

import pytest
import tiny
import torch

import mil_asc.model.extractors
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel, Waveform
from mil_asc.model.heads import Head

EXTRACTORS = registered_extractors()
MELS = 64
MORE = [("bc_resnet", {"c": 8, "resnorm": True}), ("fcnn", {"channels": [4, 6, 8], "class_maps": 6})]
VARIANTS = [(name, cls.tiny) for name, cls in EXTRACTORS.items()] + MORE
LOCAL = [(name, settings) for name, settings in VARIANTS if EXTRACTORS[name](**settings).context_frames is not None]
GLOBAL = [variant for variant in VARIANTS if variant not in LOCAL]
"""Variants whose columns depend on nearby frames only, and on the whole clip (ResNorm, squeeze-and-excitation)."""
SPECTRAL = [(name, settings) for name, settings in VARIANTS if EXTRACTORS[name].input == "logmel"]


def every(variants):
    ids = ["+".join([name, *(settings if (name, settings) in MORE else [])]) for name, settings in variants]
    return pytest.mark.parametrize("name, settings", variants, ids=ids)


def build(name, settings):
    """An extractor in evaluation mode after one training batch, in float64."""
    torch.manual_seed(0)
    extractor = EXTRACTORS[name](**settings).double()
    with torch.no_grad():
        extractor(noise(extractor, 4, 64))
    return extractor.eval()


def noise(extractor, clips, frames, mels=MELS, dtype=torch.float64):
    """Random input of an extractor, of ``frames`` frames or of two columns, whichever is longer."""
    rows = 1 if extractor.input == "waveform" else mels
    return torch.randn(clips, extractor.in_channels, rows, max(frames, 2 * extractor.time_reduction), dtype=dtype)


def smallest_frames(extractor):
    return next(frames for frames in range(1, 2 * extractor.time_reduction) if extractor.out_frames(frames) > 0)


def test_every_file_is_registered():
    files = {module.name for module in pkgutil.iter_modules(mil_asc.model.extractors.__path__)}
    assert files - {"base", "layers", "streams"} == set(EXTRACTORS)
    for name, extractor in EXTRACTORS.items():
        assert extractor.__module__ == f"mil_asc.model.extractors.{name}"


@every(VARIANTS)
@torch.no_grad()
def test_output_shape_for_every_number_of_frames(name, settings):
    extractor = build(name, settings)
    smallest = smallest_frames(extractor)
    x = noise(extractor, 1, 100)
    rows = x.shape[2]
    for frames in range(smallest, x.shape[3] + 1):
        shape = extractor(x[..., :frames]).shape
        assert shape == (1, extractor.out_channels, extractor.out_height(rows), extractor.out_frames(frames))
        assert type(extractor.out_frames(frames)) is int


@pytest.mark.parametrize("name", EXTRACTORS)
@torch.no_grad()
def test_default_size_at_256_mel_bins(name):
    extractor = EXTRACTORS[name]().eval()
    x = noise(extractor, 1, 40, mels=256, dtype=torch.float32)
    rows, frames = x.shape[2:]
    assert extractor(x).shape == (1, extractor.out_channels, extractor.out_height(rows), extractor.out_frames(frames))


@every(VARIANTS)
def test_out_frames_takes_integer_tensors(name, settings):
    extractor = EXTRACTORS[name](**settings)
    frames = torch.arange(1, 400)
    columns = extractor.out_frames(frames)
    assert columns.dtype == torch.int64
    assert columns.tolist() == [extractor.out_frames(int(t)) for t in frames]
    assert ((columns[1:] - columns[:-1]) >= 0).all()
    assert extractor.out_frames(100 * extractor.time_reduction) == (99 if name == "cp_resnet" else 100)


@pytest.mark.parametrize("mels", [256, 128, 64, 40])
@every(SPECTRAL)
@torch.no_grad()
def test_output_height_for_common_mel_bins(name, settings, mels):
    """Correct, or refused with one line: an even number of bands does not fit BC-ResNet at 40 mel bins."""
    extractor = EXTRACTORS[name](**settings).eval()
    spectrogram = noise(extractor, 1, 24, mels, torch.float32)
    if name == "bc_resnet" and mels == 40:
        with pytest.raises(ValueError, match="^40 mel bins leave 20, 10 and 5 frequency rows.*bands 1, 5.*$"):
            extractor.out_height(mels)
        with pytest.raises(ValueError, match="cannot be divided into . bands"):
            extractor(spectrogram)
    else:
        assert extractor(spectrogram).shape[2] == extractor.out_height(mels)


@every(LOCAL)
@torch.no_grad()
def test_column_depends_only_on_its_context(name, settings):
    extractor = build(name, settings)
    step, context = extractor.time_reduction, extractor.context_frames
    column = -(-context // step) + 1
    frames = 2 * (column + 1) * step
    x = noise(extractor, 1, frames)
    expected = extractor(x)[..., column]

    def moved_by(first, last):
        """Change of the column if all frames outside first..last-1 are replaced by loud ones."""
        other = 1e6 * torch.randn_like(x)
        other[..., first:last] = x[..., first:last]
        return (extractor(other)[..., column] - expected).abs().max().item()

    first, last = column * step, (column + 1) * step
    assert 0 < first - context and last + context < frames
    assert moved_by(first - context, last + context) < 1e-11
    assert moved_by(first - context // 2, last + context) > 1e-6  # the bound is tight on both sides
    assert moved_by(first - context, last + context // 2) > 1e-6


@every(GLOBAL)
@torch.no_grad()
def test_column_depends_on_the_whole_clip_without_a_context(name, settings):
    extractor = build(name, settings)
    x = noise(extractor, 1, 400)
    other = x.clone()
    other[..., -8:] += 1e4
    assert (extractor(other)[..., 0] - extractor(x)[..., 0]).abs().max() > 1e-6


@every(VARIANTS)
@torch.no_grad()
def test_output_does_not_depend_on_other_clips_in_evaluation(name, settings):
    extractor = build(name, settings)
    x = noise(extractor, 3, 40)
    alone = extractor(x[:1])
    torch.testing.assert_close(extractor(x)[:1], alone, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(extractor(torch.cat([x[:1], 100 * x[1:]]))[:1], alone, rtol=1e-10, atol=1e-12)
    assert (extractor(x)[1:2] - alone).abs().max() > 1e-6


@every(VARIANTS)
def test_gradients_reach_every_parameter(name, settings):
    """In evaluation mode, because the batch norm after a convolution cancels its bias in training."""
    extractor = build(name, settings)
    out = extractor(noise(extractor, 4, 64))
    (out * torch.randn_like(out)).sum().backward()
    dead = [key for key, parameter in extractor.named_parameters() if not parameter.grad.any()]
    assert not dead
    assert all(parameter.grad.isfinite().all() for parameter in extractor.parameters())


@every(VARIANTS)
@torch.no_grad()
def test_channels_last_gives_the_same_output(name, settings):
    extractor = build(name, settings)
    x = noise(extractor, 2, 40)
    expected = extractor(x)
    extractor.to(memory_format=torch.channels_last)
    out = extractor(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)


@every(VARIANTS)
@torch.no_grad()
def test_bfloat16_autocast_gives_a_similar_output(name, settings):
    extractor = build(name, settings).float()
    x = noise(extractor, 2, 40, dtype=torch.float32)
    expected = extractor(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = extractor(x).float()
    assert (out - expected).norm() < 0.05 * expected.norm()


@every(VARIANTS)
def test_input_is_not_modified(name, settings):
    extractor = build(name, settings)
    x = noise(extractor, 1, 40)
    before = x.clone()
    extractor(x)
    assert torch.equal(x, before)


@every(VARIANTS)
def test_all_parameters_of_the_complete_model_get_gradients(name, settings):
    torch.manual_seed(0)
    extractor = EXTRACTORS[name](**settings)
    front_end = tiny.front_end_of(extractor, n_mels=MELS)
    model = MILClassifier(front_end, extractor, Head(num_classes=3, instance_dim=8))
    samples = noise(extractor, 1, 40).shape[3] * front_end.hop_length
    bags = model(torch.randn(2, samples))
    assert bags.logits_BIC.shape[1] == model.extractor.out_frames(model.front_end.num_frames(samples))
    bags.logits_BIC.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# -- checks of the base class


@pytest.fixture
def strided():
    """An extractor of waveforms that is registered only during a test."""

    class Strided(torch.nn.Sequential, Extractor):
        """Every column is 25 ms long, with 5 ms of context on either side."""

        input = "waveform"
        tiny = {"channels": 4}

        def __init__(self, channels=8):
            convolution = torch.nn.Conv2d(1, channels, (1, 560), stride=(1, 400), padding=(0, 80))
            super().__init__(convolution, torch.nn.ReLU())
            self.set_geometry(channels, time_reduction=400, context_frames=80)

        def out_height(self, height):
            return height

        def out_frames(self, num_frames):
            return num_frames // 400

    yield Strided
    del Extractor.registry["test_registry"]


def test_extractor_is_registered_under_its_file_name(strided):
    assert Extractor.registry["test_registry"] is strided


def test_waveform_extractor_works_in_the_complete_model(strided):
    model = MILClassifier(Waveform(), strided(), Head(num_classes=3, instance_dim=8))
    bags = model(torch.randn(2, 4000))
    assert bags.logits_BIC.shape == (2, 10, 3)
    bags.logits_BIC.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.instance_samples == 400 and model.context_instances == 2
    assert model.spectrogram(torch.randn(1, 16000)).shape == (1, 256, 32)


def test_extractor_with_the_wrong_front_end_is_refused(strided):
    with pytest.raises(ValueError, match="Strided takes waveform input, LogMel gives logmel"):
        MILClassifier(LogMel(), strided())
    with pytest.raises(ValueError, match="FUSE takes logmel input, Waveform gives waveform"):
        MILClassifier(Waveform(), EXTRACTORS["fuse"]())


def test_extractor_of_other_channels_is_refused():
    with pytest.raises(ValueError, match=r"^TridentResNet takes 3 input channel\(s\), LogMel gives 1: choose another"):
        MILClassifier(LogMel(n_mels=16), EXTRACTORS["trident_resnet"](**EXTRACTORS["trident_resnet"].tiny))


@pytest.mark.parametrize(
    "body, message",
    [
        ({"tiny": None}, "must define tiny"),
        ({"input": "mel"}, "input must be one of logmel, waveform; got 'mel'"),
        ({"tiny": {"widths": 3}}, "there is no 'widths'"),
        ({"out_frames": Extractor.out_frames}, "must define out_frames"),
    ],
)
def test_invalid_extractor_class_is_refused_when_it_is_defined(strided, body, message):
    methods = {"forward": strided.forward, "out_height": strided.out_height, "out_frames": strided.out_frames}
    with pytest.raises(TypeError, match=message):
        type("Broken", (Extractor,), {"__module__": "broken", "tiny": {}, **methods, **body})
    assert "broken" not in Extractor.registry


def test_geometry_is_checked(strided):
    with pytest.raises(ValueError, match="out_channels must be a whole number from 1 up, got 0"):
        strided(4).set_geometry(0, 1, 1)
    with pytest.raises(ValueError, match="context_frames must be a whole number from 0 up"):
        strided(4).set_geometry(1, 1, -1)


def test_context_is_none_if_columns_depend_on_the_whole_clip():
    resnorm = MILClassifier(LogMel(n_mels=64), EXTRACTORS["bc_resnet"](c=4, bands=2, resnorm=True))
    assert resnorm.extractor.context_frames is None and resnorm.context_instances is None
    assert MILClassifier(LogMel(n_mels=64), EXTRACTORS["fuse"](), input_norm="resnorm").context_instances is None


def test_a_module_that_is_loaded_again_replaces_its_extractor():
    def load():
        class Again(FUSE):
            """As FUSE, of a module of its own."""

        return Again

    try:
        first, second = load(), load()
        assert first is not second and Extractor.registry["test_registry"] is second
    finally:
        del Extractor.registry["test_registry"]
