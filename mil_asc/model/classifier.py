"""The complete model: waveform -> log-mel -> feature map -> instances -> instance logits.

Shape letters, used in names throughout the package: B bag (clip), I instance, C class (or channel in a
feature map), D instance dimension, F frequency, T frame, N sample.
"""

import itertools
from functools import partial

import numpy as np
import torch
from torch import nn

from mil_asc.checks import check_choice
from mil_asc.mil.bags import make_bags
from mil_asc.mil.pooling import POOLINGS
from mil_asc.model.features import LogMel
from mil_asc.model.heads import ATTENTIONS, GENERATORS, Head, InstanceDetector
from mil_asc.model.normalization import INPUT_NORMS, raise_batch_norm_eps


class MILClassifier(nn.Module):
    """Front end, feature-map extractor, instance vector generator, detector and pooling (paper, Fig. 2).

    Arguments
    ---------
    front_end : LogMel, LogMelDeltas, LogMelDurations or Waveform
        (B, N) waveforms -> (B, F, T), of the kind that the extractor takes, and the channels that it takes of it.
    extractor : Extractor
        (B, in_channels, F, T) -> (B, channels, F', T').
    head : Head, optional
        Number of classes, instance vector generator, detector and pooling; default: those of the paper.
    input_norm : str
        Normalization of the log-mel spectrogram: a key of ``mil_asc.model.normalization.INPUT_NORMS``.
    batch_norm : str or float
        ``stable`` raises the eps of every batch norm to 0.1, ``plain`` keeps the extractor's and the generator's own,
        a number is another least eps.

    Raises
    ------
    ValueError
        Front end and extractor do not match, or a value is not legal.

    Example
    -------
    >>> from mil_asc.model.features import LogMel
    >>> from mil_asc.model.extractors.fuse import FUSE
    >>> model = MILClassifier(LogMel(), FUSE())
    >>> sum(p.numel() for p in model.parameters())
    139082
    >>> model.eval()(torch.randn(2, 160000)).logits_BIC.shape
    torch.Size([2, 39, 10])
    """

    def __init__(self, front_end, extractor, head=None, input_norm="none", batch_norm="stable"):
        super().__init__()
        head = Head() if head is None else head
        check_choice("input_norm", input_norm, INPUT_NORMS)
        if front_end.output != extractor.input:
            raise ValueError(
                f"{type(extractor).__name__} takes {extractor.input} input, {type(front_end).__name__} gives "
                f"{front_end.output}: choose another features block"
            )
        if front_end.input_channels.channels != extractor.in_channels:
            raise ValueError(
                f"{type(extractor).__name__} takes {extractor.in_channels} input channel(s), "
                f"{type(front_end).__name__} gives {front_end.input_channels.channels}: choose another features block "
                "or in_channels"
            )
        height = extractor.out_height(front_end.n_mels)
        self.front_end = front_end
        self.input_norm = INPUT_NORMS[input_norm]()
        self.extractor = extractor
        self.instances = GENERATORS[head.instances](extractor.out_channels, height, head.instance_dim)
        self.detector = InstanceDetector(self.instances.dim, head.num_classes, head.detectors, head.confidence)
        self.attention = ATTENTIONS[head.pooling](self.instances.dim) if head.pooling in ATTENTIONS else None
        self.pooling_name = head.pooling
        self.pooling = partial(POOLINGS[head.pooling], **head.pooling_options)
        self.sharpness_C = nn.Parameter(torch.zeros(head.num_classes)) if head.pooling == "auto" else None
        self.decision = "smi" if head.pooling == "max" else "bag"
        self.num_classes = head.num_classes
        self.extractor_is_frozen = False
        self.min_frames = next(frames for frames in itertools.count(1) if extractor.out_frames(frames) > 0)
        raise_batch_norm_eps(self, batch_norm)
        self.to(memory_format=torch.channels_last)

    def freeze_extractor(self):
        """Keep the extractor as it is, in training too; returns the network.

        Its parameters get no gradients, and it stays in evaluation mode: batch norms use their running statistics and
        do not change them, and there is no dropout. Everything after the extractor is trained.
        """
        self.extractor.requires_grad_(False)
        self.extractor_is_frozen = True
        return self.train(self.training)

    def train(self, mode=True):
        """As ``torch.nn.Module.train``; a frozen extractor stays in evaluation mode."""
        super().train(mode)
        if self.extractor_is_frozen:
            self.extractor.eval()
        return self

    @property
    def instance_samples(self):
        """Step from one instance to the next (in samples)."""
        return self.front_end.hop_length * self.extractor.time_reduction

    @property
    def min_samples(self):
        """Shortest clip (in samples) with one instance."""
        return self.front_end.samples_of(self.min_frames)

    @property
    def context_instances(self):
        """Context of an instance on either side (in instances), with the front end's window; None: the whole clip."""
        if self.extractor.context_frames is None or not isinstance(self.input_norm, nn.Identity):
            return None
        frames = self.extractor.context_frames + self.front_end.input_channels.context_frames
        samples = frames * self.front_end.hop_length + self.front_end.n_fft // 2
        return -(-samples // self.instance_samples) + 1

    @property
    def spectrogram(self):
        """Front end for pictures: the model's log-mel spectrogram, or the paper's if the model takes the waveform."""
        return self.front_end if self.front_end.output == "logmel" else LogMel(self.front_end.sample_rate)

    def num_instances(self, num_samples):
        """Instances of a clip of ``num_samples`` samples (int or integer tensor)."""
        return self.extractor.out_frames(self.front_end.num_frames(num_samples))

    def instance_times(self, num_samples):
        """(I, 2) start and end of each instance of a clip of ``num_samples`` samples (int): float64 array, in seconds.

        Instance i covers the frames that the extractor merges into its column; frame t represents the samples from
        (t - 1/2) hop to (t + 1/2) hop. Each instance starts at the end of the previous one, the first at 0.

        Example
        -------
        >>> from mil_asc.model.features import LogMel
        >>> from mil_asc.model.extractors.fuse import FUSE
        >>> MILClassifier(LogMel(), FUSE()).instance_times(16000).tolist()
        [[0.0, 0.24], [0.24, 0.496], [0.496, 0.752], [0.752, 1.0]]
        """
        edges = np.arange(self.num_instances(num_samples) + 1) * self.instance_samples - self.front_end.hop_length / 2
        times_I2 = np.stack([edges[:-1], edges[1:]], axis=1).clip(0, num_samples)
        return times_I2 / self.front_end.sample_rate

    def instance_vectors(self, wav_BN):
        """(B, N) waveforms of one common length -> (B, I, D) instance vectors."""
        logmel_B1FT = self.input_norm(self.front_end(wav_BN).unsqueeze(1))
        input_BCFT = self.front_end.input_channels(logmel_B1FT)
        feature_BCFI = self.extractor(input_BCFT.contiguous(memory_format=torch.channels_last))
        return self.instances(feature_BCFI)

    def forward(self, wav_BN, length_B=None):
        """Instance logits of a batch of clips.

        Arguments
        ---------
        wav_BN : torch.Tensor
            (B, N) waveforms, linear amplitude.
        length_B : torch.Tensor, optional
            (B,) integer lengths of the clips (in samples), each at least ``min_samples``; everything beyond is padding.
            Default: all N samples. In training, the padding goes through the network and is masked. Fill it by
            repeating the clip, so that batch statistics are not distorted; the last instances of a shorter clip have
            some of it in their context. In evaluation, clips of different length are computed separately, so a clip's
            scores never depend on the other clips of the batch.

        Returns
        -------
        Bags
        """
        if wav_BN.shape[1] < self.min_samples:
            raise ValueError(f"clips of {wav_BN.shape[1]} samples are too short: one instance needs {self.min_samples}")
        if length_B is None:
            length_B = torch.full((len(wav_BN),), wav_BN.shape[1], device=wav_BN.device)
        if self.training:
            score_BIC = self._scores(wav_BN)
        else:
            score_BIC = self._scores_by_length(wav_BN, length_B)
        index_I = torch.arange(score_BIC.shape[1], device=wav_BN.device)
        return self.as_bags(score_BIC, index_I < self.num_instances(length_B).unsqueeze(1))

    def as_bags(self, score_BIC, mask_BI=None):
        """``Bags`` of instance scores as returned by ``instance_scores``, possibly joined from parts of a clip."""
        logits_BIC = score_BIC[..., : self.num_classes]
        attention_BI = None if self.attention is None else score_BIC[..., self.num_classes]
        learned = {} if self.sharpness_C is None else {"sharpness_C": self.sharpness_C}
        return make_bags(logits_BIC, mask_BI, partial(self.pooling, **learned), attention_BI)

    def instance_scores(self, bags):
        """(B, I, C) logits of ``bags``, or (B, I, C + 1) if attention scores follow them."""
        parts = [bags.logits_BIC] if self.attention is None else [bags.logits_BIC, bags.attention_BI.unsqueeze(2)]
        return torch.cat(parts, dim=2)

    def vectors_and_scores(self, wav_BN):
        """(B, N) waveforms of one length -> (B, I, D) instance vectors, (B, I, C) logits (C + 1 with attention).

        Both in float32 or better, even under autocast: bfloat16 would round instances to a tie.
        """
        instance_BID = self.instance_vectors(wav_BN)
        with torch.autocast(wav_BN.device.type, enabled=False):
            instance_BID = instance_BID.to(torch.promote_types(instance_BID.dtype, torch.float32))
            scores = [self.detector(instance_BID)]
            if self.attention is not None:
                scores.append(self.attention(instance_BID))
            return instance_BID, torch.cat(scores, dim=2)

    def _scores(self, wav_BN):
        return self.vectors_and_scores(wav_BN)[1]

    def _scores_by_length(self, wav_BN, length_B):
        lengths = length_B.unique().tolist()
        if len(lengths) == 1:
            return self._scores(wav_BN[:, : lengths[0]])
        score_BIC = None
        for length in reversed(lengths):
            rows = (length_B == length).nonzero().squeeze(1)
            part_BIC = self._scores(wav_BN[rows, :length])
            if score_BIC is None:
                score_BIC = part_BIC.new_zeros(len(wav_BN), *part_BIC.shape[1:])
            score_BIC[rows, : part_BIC.shape[1]] = part_BIC
        return score_BIC
