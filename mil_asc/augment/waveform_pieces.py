"""Pieces that move and scale waveforms: random crop, time roll, random gain.

All three are usual in systems for acoustic scenes and environmental sounds: crops as in Y. Tokozume, Y. Ushiku and T.
Harada, "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018 (ESC-50); time rolls and gains as
in F. Schmid et al., "CP-JKU Submission to DCASE23: Efficient Acoustic Scene Classification with CP-Mobile", 2023.
"""

import torch

from mil_asc.augment.piece import WaveformPiece, uniform
from mil_asc.checks import check_number
from mil_asc.errors import UserError


def cyclic(wav_BN, length_B, start_B, count):
    """``count`` samples of every clip from ``start_B`` on, read in a circle of the clip's own ``length_B`` samples.

    Shorter clips are continued in ``wav_BN`` by repeating them, so an index beyond its end can go back by one clip.
    Where that is enough, it takes a fraction of the time of a remainder of every index.

    Example
    -------
    >>> cyclic(torch.tensor([[1, 2, 3, 1]]), torch.tensor([3]), torch.tensor([2]), 4)
    tensor([[3, 1, 2, 3]])
    """
    samples = wav_BN.shape[1]
    index_BN = torch.arange(count, device=wav_BN.device) + (start_B % length_B).unsqueeze(1)
    if count > samples:
        return wav_BN.gather(1, index_BN % length_B.unsqueeze(1))
    return wav_BN.gather(1, torch.where(index_BN < samples, index_BN, index_BN - length_B.unsqueeze(1)))


class RandomCrop(WaveformPiece):
    """An excerpt of every clip, at a place drawn uniformly; clips that are not longer stay whole.

    Arguments
    ---------
    seconds : float
        Length of the excerpt (in seconds); 0: off.
    """

    def __init__(self, seconds=0.0):
        check_number("crop_seconds", seconds, least=0)
        self.seconds = seconds

    @property
    def active(self):
        """Whether there is a length."""
        return self.seconds > 0

    def prepare(self, network, device):
        """Length in samples; a ``UserError`` where it is too short for one instance."""
        rate = network.front_end.sample_rate
        self.samples = round(self.seconds * rate)
        if self.samples < network.min_samples:
            raise UserError(
                f"augment: crop_seconds={self.seconds:g} is too short: an instance of this model needs "
                f"{network.min_samples / rate:.3f} s"
            )

    def __call__(self, wav_BN, length_B):
        """Waveforms of at most ``seconds``, and their lengths."""
        count = min(self.samples, wav_BN.shape[1])
        room_B = (length_B - count).clamp(min=0)
        start_B = (torch.rand(len(wav_BN), device=wav_BN.device) * (room_B + 1)).long().minimum(room_B)
        return cyclic(wav_BN, length_B, start_B, count), length_B.clamp(max=count)


class TimeRoll(WaveformPiece):
    """Every clip begins at another of its samples, and goes on from its end to its beginning.

    Arguments
    ---------
    share : float
        Greatest shift to either side, as a share of the clip (0 to 0.5); 0: off. With 0.5 every beginning is equally
        likely.
    """

    def __init__(self, share=0.0):
        check_number("roll_share", share, least=0)
        if share > 0.5:
            raise ValueError(f"roll_share must be a number from 0 to 0.5, got {share}")
        self.share = share

    @property
    def active(self):
        """Whether there is a shift."""
        return self.share > 0

    def __call__(self, wav_BN, length_B):
        """Rolled waveforms, and the same lengths."""
        shift_B = (uniform(len(wav_BN), -self.share, self.share, wav_BN) * length_B).round().long()
        return cyclic(wav_BN, length_B, shift_B, wav_BN.shape[1]), length_B


class RandomGain(WaveformPiece):
    """Every clip is made louder or softer by a gain drawn uniformly in decibels.

    Arguments
    ---------
    decibels : float
        Greatest gain, up or down (in dB); 0: off. Samples are not clipped: they are floating-point numbers.
    """

    def __init__(self, decibels=0.0):
        check_number("gain_db", decibels, least=0)
        if decibels > 60:
            raise ValueError(f"gain_db must be a number from 0 to 60, got {decibels}")
        self.decibels = decibels

    @property
    def active(self):
        """Whether there is a gain."""
        return self.decibels > 0

    def __call__(self, wav_BN, length_B):
        """Scaled waveforms, and the same lengths."""
        gain_B = 10 ** (uniform(len(wav_BN), -self.decibels, self.decibels, wav_BN) / 20)
        return wav_BN * gain_B.unsqueeze(1), length_B
