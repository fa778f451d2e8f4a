"""The whole model: waveform -> log-mel -> feature map -> instances -> instance logits.

Shape letters, used in names throughout the package: B bag (clip), I instance, C class (or channel in a
feature map), D instance dimension, F frequency, T frame, N sample.
"""

from typing import NamedTuple

import torch
from torch import nn

from mil_asc.instances import InstanceDetector, InstanceVectorGenerator

MODEL_SETTINGS = "model.yaml"
MODEL_WEIGHTS = "model.ckpt"
"""Files of a trained model in a run's folder: how to build it, and its weights."""


class Bags(NamedTuple):
    """A batch of bags as the model scores them.

    ``logits_BIC``: (B, I, C) float32 instance logits. ``mask_BI``: (B, I) bool, True where the instance
    belongs to the clip, False where it is padding; every bag has at least one True.
    """

    logits_BIC: torch.Tensor
    mask_BI: torch.Tensor


class MILClassifier(nn.Module):
    """Front end, feature-map extractor, instance vector generator and detector (paper, Fig. 2).

    Arguments
    ---------
    front_end : nn.Module
        (B, N) waveforms -> (B, F, T), as ``LogMel`` is.
    extractor : nn.Module
        (B, 1, F, T) -> (B, channels, F', T'); see ``mil_asc.extractors``.
    num_classes : int
        Number of classes C.
    instance_dim : int
        Instance dimension D.

    Example
    -------
    >>> from mil_asc.features import LogMel
    >>> from mil_asc.extractors.fuse import FUSE
    >>> model = MILClassifier(LogMel(), FUSE())
    >>> sum(p.numel() for p in model.parameters())
    139082
    >>> model.eval()(torch.randn(2, 160000)).logits_BIC.shape
    torch.Size([2, 39, 10])
    """

    def __init__(self, front_end, extractor, num_classes=10, instance_dim=256):
        super().__init__()
        self.front_end = front_end
        self.extractor = extractor
        height = extractor.out_height(front_end.n_mels)
        self.instances = InstanceVectorGenerator(extractor.out_channels, height, instance_dim)
        self.detector = InstanceDetector(instance_dim, num_classes)
        self.num_classes = num_classes
        self.to(memory_format=torch.channels_last)

    @property
    def instance_samples(self):
        """Step from one instance to the next (in samples)."""
        return self.front_end.hop_length * self.extractor.time_reduction

    @property
    def min_samples(self):
        """Shortest clip (in samples) that makes one instance."""
        return max(self.instance_samples - self.front_end.hop_length, self.front_end.min_samples)

    @property
    def context_instances(self):
        """How far an instance hears on either side, in instances, the front end's window included."""
        samples = self.extractor.context_frames * self.front_end.hop_length + self.front_end.n_fft // 2
        return -(-samples // self.instance_samples) + 1

    def num_instances(self, num_samples):
        """Instances of a clip of ``num_samples`` samples (int or integer tensor)."""
        return self.front_end.num_frames(num_samples) // self.extractor.time_reduction

    def instance_vectors(self, wav_BN):
        """(B, N) waveforms of one common length -> (B, I, D) instance vectors."""
        logmel_B1FT = self.front_end(wav_BN).unsqueeze(1)
        feature_BCFI = self.extractor(logmel_B1FT.contiguous(memory_format=torch.channels_last))
        return self.instances(feature_BCFI)

    def forward(self, wav_BN, length_B=None):
        """Instance logits of a batch of clips.

        Arguments
        ---------
        wav_BN : torch.Tensor
            (B, N) waveforms, linear amplitude.
        length_B : torch.Tensor, optional
            (B,) integer lengths of the clips (in samples), each at least ``min_samples``; what lies beyond
            is padding. All N samples when left out. In training the padding passes the network (fill it
            with more of the same clip, so that it does not disturb the batch statistics) and is masked; only the
            last instances of a shorter clip hear some of it.
            In evaluation clips of different length are computed apart, so a clip's scores never depend
            on its batch mates.

        Returns
        -------
        Bags
        """
        if wav_BN.shape[1] < self.min_samples:
            raise ValueError(f"clips of {wav_BN.shape[1]} samples are too short: one instance needs {self.min_samples}")
        if length_B is None:
            length_B = torch.full((len(wav_BN),), wav_BN.shape[1], device=wav_BN.device)
        if self.training:
            logits_BIC = self._logits(wav_BN)
        else:
            logits_BIC = self._logits_by_length(wav_BN, length_B)
        index_I = torch.arange(logits_BIC.shape[1], device=wav_BN.device)
        return Bags(logits_BIC, index_I < self.num_instances(length_B).unsqueeze(1))

    def _logits(self, wav_BN):
        """Logits in float32 even under autocast: bfloat16 would round different instances to a tie."""
        instance_BID = self.instance_vectors(wav_BN)
        with torch.autocast(wav_BN.device.type, enabled=False):
            return self.detector(instance_BID.float())

    def _logits_by_length(self, wav_BN, length_B):
        lengths = length_B.unique().tolist()
        if len(lengths) == 1:
            return self._logits(wav_BN[:, : lengths[0]])
        logits_BIC = None
        for length in reversed(lengths):
            rows = (length_B == length).nonzero().squeeze(1)
            part_BIC = self._logits(wav_BN[rows, :length])
            if logits_BIC is None:
                logits_BIC = part_BIC.new_zeros(len(wav_BN), *part_BIC.shape[1:])
            logits_BIC[rows, : part_BIC.shape[1]] = part_BIC
        return logits_BIC
