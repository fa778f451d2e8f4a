"""What every piece of an augmentation has in common."""

from abc import ABC, abstractmethod

import torch


class WaveformPiece(ABC):
    """Changes waveforms: ``piece(wav_BN, length_B)`` returns both, changed or as they are.

    ``prepare`` is called once before.
    """

    @property
    @abstractmethod
    def active(self):
        """Whether the settings change anything."""

    @property
    def files_sha256(self):
        """SHA-256 of the files that it reads; empty where it reads none."""
        return ""

    def prepare(self, network, device):
        """Get ready for a model (``MILClassifier``) and a device; a ``UserError`` where it does not fit the model."""
        del network, device

    @abstractmethod
    def __call__(self, wav_BN, length_B):
        """(B, N) waveforms with their (B,) lengths (in samples), which are continued by repeating them -> the same."""


class SpectrogramPiece(ABC):
    """Changes log-mel spectrograms between front end and input normalization: ``piece(logmel_B1FT)``."""

    moves_instances = False
    """Whether it changes at which frames a moment of the waveform is."""

    @property
    @abstractmethod
    def active(self):
        """Whether the settings change anything."""

    @abstractmethod
    def __call__(self, logmel_B1FT):
        """(B, 1, F, T) natural log of mel power -> the same shape."""


def uniform(count, low, high, like):
    """(count,) numbers drawn between ``low`` and ``high`` on the device of the tensor ``like``."""
    return torch.rand(count, device=like.device) * (high - low) + low


def drawn(count, probability, like):
    """(count,) bool, each True with ``probability``, on the device of the tensor ``like``."""
    return torch.rand(count, device=like.device) < probability
