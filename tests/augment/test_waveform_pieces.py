"""Crop, roll and gain: what comes out is the clip itself, moved or scaled as asked for."""

import pytest
import torch

from mil_asc.augment.waveform_pieces import RandomCrop, RandomGain, TimeRoll, cyclic
from mil_asc.errors import UserError


@pytest.fixture
def clips(device):
    """Two clips of 8 and 5 samples, the second continued by repeating it; every sample is its own number."""
    wav_BN = torch.stack([torch.arange(8), 100 + torch.arange(8) % 5]).float().to(device)
    return wav_BN, torch.tensor([8, 5], device=device)


def test_reading_in_a_circle_stays_within_the_clip(clips):
    read = cyclic(*clips, torch.tensor([6, 4], device=clips[0].device), 4)
    assert read.tolist() == [[6, 7, 0, 1], [104, 100, 101, 102]]


def test_reading_in_a_circle_is_the_remainder_of_every_index(device):
    torch.manual_seed(0)
    for samples in (1, 2, 7, 24):
        length_B = torch.arange(1, samples + 1, device=device)
        clip_BN = torch.rand(samples, samples, device=device)
        every_N = torch.arange(samples, device=device)
        wav_BN = clip_BN.gather(1, every_N % length_B.unsqueeze(1))
        for count in (1, samples, samples + 1, 3 * samples):
            start_B = torch.randint(-samples, 2 * samples, (samples,), device=device)
            index_BN = torch.arange(count, device=device) + start_B.unsqueeze(1)
            expected = clip_BN.gather(1, index_BN % length_B.unsqueeze(1))
            assert torch.equal(cyclic(wav_BN, length_B, start_B, count), expected)


def test_a_crop_is_a_stretch_of_the_clip_and_every_place_occurs(clips, small_model):
    crop, starts = RandomCrop(3.0), set()
    crop.samples = 3
    for _ in range(200):
        wav_BN, length_B = crop(*clips)
        assert wav_BN.shape == (2, 3) and length_B.tolist() == [3, 3]
        first = wav_BN[:, 0].tolist()
        assert wav_BN.tolist() == [[first[0] + i for i in range(3)], [first[1] + i for i in range(3)]]
        starts.add(tuple(first))
    assert {a for a, _ in starts} == {0, 1, 2, 3, 4, 5} and {b for _, b in starts} == {100, 101, 102}


def test_a_clip_shorter_than_the_crop_stays_whole(clips):
    crop = RandomCrop(1.0)
    crop.samples = 6
    wav_BN, length_B = crop(*clips)
    assert length_B.tolist() == [6, 5] and wav_BN[1].tolist() == [100, 101, 102, 103, 104, 100]


def test_a_crop_too_short_for_an_instance_is_refused(small_model):
    with pytest.raises(UserError, match="crop_seconds=0.01 is too short: an instance of this model needs"):
        RandomCrop(0.01).prepare(small_model, "cpu")


def test_a_roll_keeps_every_sample_and_reaches_every_beginning(clips):
    begun = set()
    for _ in range(200):
        wav_BN, length_B = TimeRoll(0.5)(*clips)
        assert length_B.tolist() == [8, 5]
        assert sorted(wav_BN[0].tolist()) == list(range(8)) and set(wav_BN[1].tolist()) == set(range(100, 105))
        steps = (wav_BN[0].diff() % 8).tolist()
        assert steps == [1] * 7
        begun.add(wav_BN[0, 0].item())
    assert begun == set(range(8))


def test_a_small_roll_stays_small(clips):
    for _ in range(100):
        assert TimeRoll(0.2)(*clips)[0][0, 0].item() in (0, 1, 2, 6, 7)


def test_gains_are_uniform_in_decibels(device):
    wav_BN = torch.ones(20_000, 2, device=device)
    gained, length_B = RandomGain(6.0)(wav_BN, torch.full((20_000,), 2, device=device))
    decibels_B = 20 * gained[:, 0].log10()
    assert torch.equal(gained[:, 0], gained[:, 1]) and length_B.eq(2).all()
    assert -6 <= decibels_B.min() < -5.9 and 5.9 < decibels_B.max() <= 6.0001
    assert decibels_B.mean().abs() < 0.1 and (decibels_B.std() - 12 / 12**0.5).abs() < 0.05


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RandomCrop(-1), "crop_seconds must be a number from 0 up"),
        (lambda: TimeRoll(0.6), "roll_share must be a number from 0 to 0.5"),
        (lambda: RandomGain(100.0), "gain_db must be a number from 0 to 60"),
        (lambda: RandomGain("loud"), "gain_db must be a number"),
    ],
)
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
