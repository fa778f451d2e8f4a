"""Pieces that change log-mel spectrograms: SpecAugment and Freq-MixStyle."""

import torch
from speechbrain.augment.freq_domain import SpectrogramDrop

from mil_asc.augment.piece import SpectrogramPiece, drawn
from mil_asc.checks import check_count, check_number


class SpecAugment(SpectrogramPiece):
    """Stretches of frames and bands of mel filters are replaced by the mean of the batch.

    D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech
    2019, without time warping; computed by ``speechbrain.augment.freq_domain.SpectrogramDrop``.

    Arguments
    ---------
    masks : int
        Masks along each axis; 0: off.
    time_share, frequency_share : float
        Longest mask as a share of the frames and of the mel filters (0 to 1); lengths are drawn from 0 up.
    """

    def __init__(self, masks=0, time_share=0.1, frequency_share=0.1):
        check_count("masks", masks, least=0)
        for name, share in (("mask_time_share", time_share), ("mask_frequency_share", frequency_share)):
            check_number(name, share, least=0)
            if share > 1:
                raise ValueError(f"{name} must be a number from 0 to 1, got {share}")
        self.masks, self.time_share, self.frequency_share = masks, time_share, frequency_share

    @property
    def active(self):
        """Whether there are masks."""
        return self.masks > 0 and max(self.time_share, self.frequency_share) > 0

    def __call__(self, logmel_B1FT):
        """Masked spectrograms."""
        logmel_BTF = logmel_B1FT.squeeze(1).transpose(1, 2).clone()
        for dim, share in ((1, self.time_share), (2, self.frequency_share)):
            longest = int(share * logmel_BTF.shape[dim])
            if longest:
                masks = {"drop_count_low": self.masks, "drop_count_high": self.masks}
                logmel_BTF = SpectrogramDrop(0, longest + 1, **masks, replace="mean", dim=dim)(logmel_BTF)
        return logmel_BTF.transpose(1, 2).unsqueeze(1)


class FreqMixStyle(SpectrogramPiece):
    """Every clip takes on, in part, the mean and deviation along time that another clip has in each mel filter.

    These statistics are what a recording device leaves in a spectrogram. K. Zhou et al., "Domain Generalization with
    MixStyle", ICLR 2021, with statistics per frequency as in F. Schmid et al., "Knowledge Distillation from
    Transformers for Low-Complexity Acoustic Scene Classification", DCASE 2022, whose settings are alpha 0.3 and
    probability 0.4. Here each clip draws whether it is changed, there each batch did.

    Arguments
    ---------
    probability : float
        Of a change (0 to 1); 0: off.
    alpha : float
        Of the beta distribution of the clip's own share in its new statistics (> 0).
    """

    def __init__(self, probability=0.0, alpha=0.3):
        check_number("mixstyle_probability", probability, least=0)
        if probability > 1:
            raise ValueError(f"mixstyle_probability must be a number from 0 to 1, got {probability}")
        check_number("mixstyle_alpha", alpha, above=0)
        self.probability, self.alpha = probability, alpha

    @property
    def active(self):
        """Whether there is a probability."""
        return self.probability > 0

    def __call__(self, logmel_B1FT):
        """Spectrograms with mixed statistics."""
        count, device = len(logmel_B1FT), logmel_B1FT.device
        concentration = torch.full((count,), float(self.alpha), device=device)
        share_B = torch.distributions.Beta(concentration, concentration, validate_args=False).sample()
        share_B = torch.where(drawn(count, self.probability, logmel_B1FT), share_B, torch.ones_like(share_B))
        partner_B = torch.randperm(count, device=device)
        return mix_statistics(logmel_B1FT, share_B.view(-1, 1, 1, 1), partner_B)


def mix_statistics(logmel_B1FT, share_B111, partner_B):
    """Spectrograms whose mean and deviation along time are a mixture of their own and those of their partners.

    ``share_B111`` (0 to 1) is their own share; with 1 a spectrogram does not change.
    """
    deviation, mean = torch.std_mean(logmel_B1FT, dim=3, keepdim=True, correction=0)
    deviation = deviation + 1e-6  # a filter in silence
    new_mean = share_B111 * mean + (1 - share_B111) * mean[partner_B]
    new_deviation = share_B111 * deviation + (1 - share_B111) * deviation[partner_B]
    return (logmel_B1FT - mean) / deviation * new_deviation + new_mean
