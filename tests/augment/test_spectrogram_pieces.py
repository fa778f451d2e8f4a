"""SpecAugment and Freq-MixStyle on spectrograms whose answer is known."""

import pytest
import torch

from mil_asc.augment.spectrogram_pieces import FreqMixStyle, SpecAugment, mix_statistics


def test_masks_are_whole_frames_and_bands_of_the_mean(device):
    torch.manual_seed(1)
    logmel_B1FT = torch.rand(6, 1, 20, 50, device=device) + torch.arange(50, device=device)
    before = logmel_B1FT.clone()
    masked = SpecAugment(masks=1, time_share=0.2, frequency_share=0.0)(logmel_B1FT)
    assert torch.equal(logmel_B1FT, before)
    changed_BFT = (masked != before).squeeze(1)
    frames_BT = changed_BFT.any(1)
    assert torch.equal(changed_BFT, frames_BT.unsqueeze(1).expand_as(changed_BFT))  # all filters of a frame
    assert 0 < frames_BT.sum(1).max() <= 10
    assert torch.allclose(masked.squeeze(1)[changed_BFT], before.mean())


def test_masks_of_filters_go_over_all_frames(device):
    logmel_B1FT = torch.randn(8, 1, 20, 30, device=device)
    masked = SpecAugment(masks=2, time_share=0.0, frequency_share=0.3)(logmel_B1FT)
    changed_BFT = (masked != logmel_B1FT).squeeze(1)
    assert changed_BFT.any() and torch.equal(changed_BFT.any(2), changed_BFT.all(2))
    assert changed_BFT.any(2).sum(1).max() <= 12


def test_mixed_statistics_are_those_of_both_clips(device):
    logmel_B1FT = torch.randn(2, 1, 3, 400, device=device) * torch.tensor([1.0, 4.0], device=device).view(2, 1, 1, 1)
    logmel_B1FT[1] += 10
    share = torch.tensor([0.25, 1.0], device=device).view(2, 1, 1, 1)
    mixed = mix_statistics(logmel_B1FT, share, torch.tensor([1, 0], device=device))
    deviation, mean = torch.std_mean(logmel_B1FT, 3, correction=0)
    new_deviation, new_mean = torch.std_mean(mixed, 3, correction=0)
    assert torch.allclose(new_mean[0], 0.25 * mean[0] + 0.75 * mean[1], atol=1e-4)
    assert torch.allclose(new_deviation[0], 0.25 * deviation[0] + 0.75 * deviation[1], atol=1e-4)
    assert torch.allclose(mixed[1], logmel_B1FT[1], atol=1e-4)
    own, new = logmel_B1FT[0, 0, 0], mixed[0, 0, 0]
    assert torch.allclose((own - own.mean()) / own.std(), (new - new.mean()) / new.std(), atol=1e-4)  # the same course


def test_the_share_of_changed_clips_is_the_probability(device):
    logmel_B1FT = torch.randn(2000, 1, 2, 8, device=device)
    mixed = FreqMixStyle(probability=0.4, alpha=0.3)(logmel_B1FT)
    moved = ((mixed - logmel_B1FT).abs().amax((1, 2, 3)) > 1e-3).float().mean().item()
    assert 0.3 < moved < 0.42  # less where the drawn share is near 1, or the partner is the clip itself
    still = FreqMixStyle(probability=1e-9)(logmel_B1FT)
    assert torch.allclose(still, logmel_B1FT, atol=1e-4)


def test_a_silent_filter_stays_finite(device):
    logmel_B1FT = torch.full((4, 1, 3, 10), -11.5, device=device)
    assert torch.isfinite(FreqMixStyle(probability=1.0)(logmel_B1FT)).all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SpecAugment(masks=-1), "masks must be a whole number from 0 up"),
        (lambda: SpecAugment(masks=1, time_share=1.5), "mask_time_share must be a number from 0 to 1"),
        (lambda: FreqMixStyle(1.5), "mixstyle_probability must be a number from 0 to 1"),
        (lambda: FreqMixStyle(0.5, alpha=0), "mixstyle_alpha must be a number above 0"),
    ],
)
def test_values_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
