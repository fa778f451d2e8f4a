"""Stretch: spectrograms of which the answer is known, the range of its factors, and what it leaves alone."""

import math

import pytest
import torch

from mil_asc.augment.stretch import Stretch, positions, read_at


def slow_read(x_KT, position_T, cyclic):
    """``read_at`` for one clip, number by number."""
    count = x_KT.shape[1]
    out_KT = torch.empty(x_KT.shape[0], len(position_T))
    for t, position in enumerate(position_T.tolist()):
        position = position % count if cyclic else min(max(position, 0), count - 1)
        first = math.floor(position)
        second = (first + 1) % count if cyclic else min(first + 1, count - 1)
        for k in range(x_KT.shape[0]):
            out_KT[k, t] = x_KT[k, first] * (1 - position + first) + x_KT[k, second] * (position - first)
    return out_KT


@pytest.mark.parametrize("cyclic", [True, False])
def test_reading_is_linear_interpolation(device, cyclic):
    x_BKT = torch.randn(3, 4, 9)
    position_BT = torch.rand(3, 9) * 16 - 4
    found = read_at(x_BKT.to(device), position_BT.to(device), cyclic).cpu()
    for clip in range(3):
        assert torch.allclose(found[clip], slow_read(x_BKT[clip], position_BT[clip], cyclic), atol=1e-5)


def test_whole_positions_are_a_shift_in_a_circle(device):
    x_BKT = torch.randn(2, 3, 7, device=device)
    position_BT = torch.arange(7.0, device=device).expand(2, 7) - 2
    assert torch.equal(read_at(x_BKT, position_BT, cyclic=True), x_BKT.roll(2, dims=2))


def test_a_position_just_below_the_beginning_is_within_the_circle(device):
    x_BKT = torch.tensor([[[5.0, 1.0, 1.0]]], device=device)
    assert read_at(x_BKT, torch.tensor([[-1e-9]], device=device), cyclic=True).item() == 5.0


def test_an_event_becomes_longer_by_the_factor_and_keeps_its_level(device):
    """A ramp along time has its slope divided by the factor, and rows without change stay as they are."""
    torch.manual_seed(3)
    ramp = torch.arange(200.0, device=device).expand(64, 1, 5, 200)
    stretched = Stretch(time=0.5)(ramp)
    slope = stretched.diff(dim=3).squeeze(1)[:, 0].median(1).values
    assert 1 / 1.5 - 1e-3 < slope.min() < 0.75 and 1.3 < slope.max() < 1.5 + 1e-3
    assert torch.equal(stretched, stretched[:, :, :1].expand_as(stretched))  # every filter alike
    level = torch.full((4, 1, 8, 20), -3.0, device=device)
    assert torch.allclose(Stretch(time=0.5, frequency=0.5)(level), level)


def test_a_line_of_the_spectrum_moves_along_the_mel_axis_alone(device):
    torch.manual_seed(1)
    logmel = torch.zeros(32, 1, 40, 12, device=device)
    logmel[:, :, 20] = 1.0
    stretched = Stretch(frequency=0.2)(logmel)
    assert torch.allclose(stretched, stretched[..., :1].expand_as(stretched))  # every frame alike
    peak = stretched[:, 0, :, 0].argmax(1)
    assert peak.min() < 20 < peak.max() and (peak - 20).abs().max() <= 7


def test_the_mel_axis_does_not_wrap_around_and_time_does(device):
    """A ramp along an axis rises everywhere when read with its ends repeated, and falls once where it wraps around."""
    torch.manual_seed(4)
    ramp = torch.arange(40.0, device=device)
    over_mel = Stretch(frequency=0.5)(ramp.view(1, 1, 40, 1).repeat(32, 1, 1, 6))
    assert over_mel.diff(dim=2).min() >= -1e-3
    over_time = Stretch(time=0.5)(ramp.view(1, 1, 1, 40).repeat(32, 1, 6, 1))
    assert over_time.diff(dim=3).min() < -10


def test_factors_are_symmetric_and_the_window_is_within_the_clip(device):
    torch.manual_seed(2)
    position_BT = positions(100, 0.25, torch.zeros(4000, 1, 1, device=device))
    step = position_BT.diff(dim=1).mean(1)
    assert 0.8 - 1e-3 < step.min() < 0.81 and 1.24 < step.max() < 1.25 + 1e-3
    assert abs(step.log().mean().item()) < 0.01
    inside = step < 1
    assert position_BT[inside].min() >= -1e-3 and position_BT[inside].max() <= 99 + 1e-3
    outside = position_BT[~inside]
    assert (outside[:, 0] <= 1e-3).all() and (outside[:, -1] >= 99 - 1e-3).all()


def test_clips_are_drawn_one_by_one_and_the_input_stays(device):
    logmel = torch.randn(1, 1, 16, 40, device=device).repeat(4, 1, 1, 1)
    before = logmel.clone()
    torch.manual_seed(5)
    stretched = Stretch(0.25, 0.1)(logmel)
    assert torch.equal(logmel, before) and stretched.shape == before.shape
    assert not torch.allclose(stretched[0], stretched[1])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Stretch(time=-0.1), "time_stretch must be a number from 0 up"),
        (lambda: Stretch(time=float("nan")), "time_stretch must be a number from 0 up"),
        (lambda: Stretch(frequency=1.5), "frequency_stretch must be a number from 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_without_factors_it_is_off():
    assert not Stretch().active and Stretch(0.1).active and Stretch(0.0, 0.1).active
