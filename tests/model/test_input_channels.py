"""Input channels: against torchaudio and SciPy, after normalization and augmentation, in exported files."""

import numpy as np
import pytest
import scipy.signal
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.augment.augmentation import Augmentation
from mil_asc.augment.spectrogram_pieces import SpecAugment
from mil_asc.errors import ArgumentError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.two_path_resnet import TwoPathResNet
from mil_asc.model.features import LogMel, LogMelDeltas, LogMelDurations, Waveform
from mil_asc.model.heads import Head
from mil_asc.model.input_channels import Deltas, Durations, SpectrogramAlone

CHANNELS = {"alone": SpectrogramAlone(), "deltas": Deltas(), "durations": Durations(), "5 and 9": Durations(5, 9)}


def spectrogram(frames, seed=0):
    return torch.randn(2, 1, 3, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network(front_end=None, **settings):
    torch.manual_seed(0)
    extractor = TwoPathResNet(filters=2, in_channels=3)
    return MILClassifier(front_end or LogMelDeltas(n_mels=16), extractor, Head(3, instance_dim=8), **settings).eval()


@given(st.integers(1, 40))
def test_deltas_are_those_of_torchaudio(frames):
    x_B1FT = spectrogram(frames, frames)
    first = torchaudio.functional.compute_deltas(x_B1FT, win_length=5, mode="replicate")
    second = torchaudio.functional.compute_deltas(first, win_length=5, mode="replicate")
    torch.testing.assert_close(Deltas()(x_B1FT), torch.cat([x_B1FT, first, second], dim=1))


def test_deltas_of_a_line_are_its_slope_and_zero():
    line = (0.5 * torch.arange(20.0) - 3).expand(1, 1, 4, 20)
    out = Deltas()(line)[..., 4:-4]
    torch.testing.assert_close(out[:, 1], torch.full_like(out[:, 1], 0.5))
    torch.testing.assert_close(out[:, 2], torch.zeros_like(out[:, 2]))


@given(st.integers(1, 40), st.sampled_from([(3, 15), (1, 3), (5, 9)]))
def test_durations_are_medians_of_scipy(frames, sizes):
    x_B1FT = spectrogram(frames, frames)

    def median(x, size):
        wide = np.pad(x, [(0, 0)] * 3 + [(size, size)])
        return scipy.signal.medfilt(wide, [1, 1, 1, size])[..., size:-size]

    smooth = median(x_B1FT.numpy(), sizes[0])
    long = median(smooth, sizes[1])
    expected = np.concatenate([long, smooth - long, x_B1FT.numpy() - smooth], axis=1)
    np.testing.assert_array_equal(Durations(*sizes)(x_B1FT), expected)


def test_durations_add_up_to_the_spectrogram():
    x_B1FT = spectrogram(50)
    torch.testing.assert_close(Durations()(x_B1FT).sum(1, keepdim=True), x_B1FT)


def test_a_sound_is_in_the_channel_of_its_duration():
    frames = torch.zeros(1, 1, 1, 120)
    frames[..., 10:11], frames[..., 40:45], frames[..., 80:100] = 1.0, 2.0, 3.0
    long, medium, short = Durations(3, 15)(frames)[0, :, 0]
    assert short[10] == 1 and short.sum() == 1
    assert (medium[40:45] == 2).all() and medium.sum() == 10
    assert (long[80:100] == 3).all() and long.sum() == 60


@pytest.mark.parametrize("name", CHANNELS)
def test_context_is_exact(name):
    """A frame changes with the last frame of its context, and not with the next one."""
    make = CHANNELS[name]
    context, middle = make.context_frames, 30
    reached = set()
    for seed in range(40):
        x_B1FT = spectrogram(61, seed)
        for side in (-1, 1):
            for distance in (context, context + 1):
                other = x_B1FT.clone()
                other[..., middle + side * distance] += 100
                moved = (make(other) - make(x_B1FT))[..., middle].abs().max() > 0
                reached |= {(side, distance - context)} if moved else set()
    assert reached == {(-1, 0), (1, 0)}
    assert make(x_B1FT).shape == (2, make.channels, 3, 61)


@pytest.mark.parametrize("values", [{"short": 4}, {"long": 0}, {"short": 257}, {"long": 3.0}])
def test_bad_medians_are_refused(values):
    with pytest.raises(ValueError, match="_median must be (an odd whole number|at most 255 frames)"):
        Durations(**values)


def test_front_ends_give_the_plain_log_mel():
    wav_BN = torch.randn(2, 16000)
    expected = LogMel(n_mels=16)(wav_BN)
    for front_end in (LogMelDeltas(n_mels=16), LogMelDurations(n_mels=16)):
        assert torch.equal(front_end(wav_BN), expected)
        assert front_end.state_dict().keys() == LogMel(n_mels=16).state_dict().keys()
    assert LogMel().input_channels.channels == Waveform().input_channels.channels == 1


def test_a_model_takes_three_channels_of_the_normalized_spectrogram():
    model, seen = network(input_norm="resnorm"), []
    model.extractor.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    wav_BN = torch.randn(2, 32000)
    assert model(wav_BN).logits_BIC.shape == (2, 4, 3)
    torch.testing.assert_close(seen[0], Deltas()(model.input_norm(LogMel(n_mels=16)(wav_BN).unsqueeze(1))))


def test_channels_are_made_of_the_augmented_spectrogram():
    model, seen = network(), []
    model.extractor.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with Augmentation(spectrogram=[SpecAugment(2)]).on_spectrograms(model):
        torch.manual_seed(3)
        model(torch.randn(1, 32000))
    torch.testing.assert_close(seen[0], Deltas()(seen[0][:, :1]))


def test_context_of_an_instance_has_that_of_its_channels():
    """107 frames of the extractor, 4 of the deltas, 2 of the front end's window; 16 frames an instance."""
    model = network(LogMelDeltas(n_mels=16))
    assert model.context_instances == -(-((107 + 4) * 512 + 1024) // (16 * 512)) + 1
    wider = network(LogMelDurations(n_mels=16, long_median=63))
    assert wider.context_instances == -(-((107 + 32) * 512 + 1024) // (16 * 512)) + 1
    assert network(input_norm="resnorm").context_instances is None


def test_other_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"^TwoPathResNet takes 3 input channel\(s\), LogMel gives 1: choose another"):
        network(LogMel(n_mels=16))
    with pytest.raises(ArgumentError, match="long_median"):
        LogMelDurations(long_median=2)
