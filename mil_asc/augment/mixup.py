"""Mixup of clips, and what it means for the labels of bags and instances."""

from typing import NamedTuple

import torch

from mil_asc.checks import check_number


class TrainingBatch(NamedTuple):
    """An augmented batch on the device, in the place of the ``ClipBatch`` it was made of.

    ``wav_BN``: (B, N) float32 waveforms; ``length_B``: (B,) their lengths (in samples); ``label_B``: (B,) class
    indices; ``index_B``: (B,) positions in the data set. After mixup, ``partner_B`` are the positions in the batch of
    the clips mixed in, and ``share`` (a scalar tensor, 0.5 to 1) is the share of the clips themselves; else both are
    None.
    """

    wav_BN: torch.Tensor
    length_B: torch.Tensor
    label_B: torch.Tensor
    index_B: torch.Tensor
    partner_B: torch.Tensor | None = None
    share: torch.Tensor | None = None

    def waveforms(self):
        """(B, N) float32 waveforms, linear amplitude."""
        return self.wav_BN

    def mixed_terms(self, terms_of):
        """Terms of an objective, those of the two labels of every clip weighted by their shares.

        Arguments
        ---------
        terms_of : callable
            A batch with one label a clip -> dictionary of scalars.
        """
        if self.partner_B is None:
            return terms_of(self)
        own, other = terms_of(self), terms_of(self._replace(label_B=self.label_B[self.partner_B]))
        return {name: self.share * value + (1 - self.share) * other[name] for name, value in own.items()}


class Mixup:
    """Every clip is mixed with another of the batch: x = s x_a + (1 - s) x_b, with one share s for the batch.

    H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018; s is
    drawn from Beta(alpha, alpha) and is at least 1/2, so that the clip itself is the louder one. Waveforms are mixed,
    because sounds add up; the louder clip keeps its length.

    The loss is s L(a) + (1 - s) L(b). Since the bag losses and the instance losses are linear in their labels, this is
    the loss of the mixed labels s y_a + (1 - s) y_b, which means: for the bag, both classes with their shares; for
    ground-truth instance labels (GT), the same at every instance; for positive/negative labels (PNL), an instance whose
    most confident class is a's has the label s of that class, one whose most confident class is b's has 1 - s of that
    one, and all others are negative. Where both clips are of one class, the labels are those without mixup. The frame
    loss, which is not linear, is mixed as a loss. The accuracy in training is s of a's and 1 - s of b's, below 1.

    Arguments
    ---------
    alpha : float
        Of the beta distribution; 0: off.
    """

    def __init__(self, alpha=0.0):
        check_number("mixup_alpha", alpha, least=0)
        self.alpha = alpha

    @property
    def active(self):
        """Whether there is an alpha."""
        return self.alpha > 0

    def __call__(self, batch):
        """A ``TrainingBatch`` -> the same with mixed waveforms."""
        alpha = torch.full((), float(self.alpha), device=batch.wav_BN.device)
        share = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        partner_B = torch.randperm(len(batch.wav_BN), device=batch.wav_BN.device)
        return mix(batch, torch.maximum(share, 1 - share), partner_B)


def mix(batch, share, partner_B):
    """A ``TrainingBatch`` in which ``share`` (0.5 to 1) of every clip is itself, and the rest its partner."""
    wav_BN = share * batch.wav_BN + (1 - share) * batch.wav_BN[partner_B]
    return batch._replace(wav_BN=wav_BN, partner_B=partner_B, share=share)
