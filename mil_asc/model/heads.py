"""From feature map to instances, and from instances to their scores (paper, section 2.1, Table 1)."""

from dataclasses import dataclass, field

import torch
from torch import nn

from mil_asc.checks import check_choice, check_count
from mil_asc.mil.pooling import POOLINGS, check_pooling_options


def _check_height(height):
    if height < 1:
        raise ValueError(f"the feature map has no frequency rows left (height {height}): use more mel bins")


class InstanceVectorGenerator(nn.Module):
    """One instance vector for every time column of a feature map (Table 1).

    Full-height depthwise conv over frequency, pointwise conv, BN, ReLU, squeeze, transpose:
    (B, channels, height, I) -> (B, I, dim).

    Arguments
    ---------
    channels : int
        Channels of the feature map.
    height : int
        Frequency rows of the feature map; an instance covers all of them.
    dim : int
        Instance dimension D; the paper's 256.

    Example
    -------
    >>> InstanceVectorGenerator(256, 32)(torch.randn(2, 256, 32, 39)).shape
    torch.Size([2, 39, 256])
    """

    def __init__(self, channels, height, dim=256):
        super().__init__()
        _check_height(height)
        self.full_height = nn.Conv2d(channels, channels, (height, 1), groups=channels)
        self.pointwise = nn.Sequential(nn.Conv2d(channels, dim, 1), nn.BatchNorm2d(dim), nn.ReLU(inplace=True))
        self.dim = dim

    def forward(self, feature_BCFI):
        """(B, channels, height, I) feature map -> (B, I, D) instance vectors."""
        instance_BD1I = self.pointwise(self.full_height(feature_BCFI))
        return instance_BD1I.squeeze(2).transpose(1, 2)


class DenseVectorGenerator(nn.Module):
    """Like ``InstanceVectorGenerator``, with one dense full-height conv - BN - ReLU.

    H. Song et al., "Acoustic scene classification by implicitly identifying distinct sound events",
    Interspeech 2019: the generator of the VGG-like extractor.
    """

    def __init__(self, channels, height, dim=256):
        super().__init__()
        _check_height(height)
        self.full_height = nn.Sequential(
            nn.Conv2d(channels, dim, (height, 1)), nn.BatchNorm2d(dim), nn.ReLU(inplace=True)
        )
        self.dim = dim

    def forward(self, feature_BCFI):
        """(B, channels, height, I) feature map -> (B, I, D) instance vectors."""
        return self.full_height(feature_BCFI).squeeze(2).transpose(1, 2)


class FrequencyMean(nn.Module):
    """Mean over frequency: an instance is a column of the feature map, D = channels (``dim`` is not used).

    With a linear detector and the mean over instances this is global average pooling ("SupL w/ GAP"). Both are linear,
    so every instance also has class scores.
    """

    def __init__(self, channels, height, dim=None):
        super().__init__()
        _check_height(height)
        self.dim = channels

    def forward(self, feature_BCFI):
        """(B, channels, height, I) feature map -> (B, I, channels) instance vectors."""
        return feature_BCFI.mean(2).transpose(1, 2)


GENERATORS = {
    "separable": InstanceVectorGenerator,
    "dense": DenseVectorGenerator,
    "frequency_mean": FrequencyMean,
}
"""Instance vector generators by their names in YAML files."""


class InstanceDetector(nn.Linear):
    """Instance logits z_ic: (B, I, D) -> (B, I, C). Their sigmoid is the instance confidence p_ic.

    Arguments
    ---------
    dim, num_classes : int
        D and C.
    detectors : int
        Linear detectors per class; the strongest counts (multi-detector of H. Song et al., Interspeech 2019).
    confidence : str
        ``sigmoid``: each class separately. ``softmax``: over classes; the logits are then the log-odds of the softmax,
        so that their sigmoid is the confidence in this case too.

    Example
    -------
    >>> detector = InstanceDetector(8, 3, confidence="softmax")
    >>> bool(torch.isclose(detector(torch.randn(8)).sigmoid().sum(), torch.tensor(1.0)))
    True
    """

    def __init__(self, dim=256, num_classes=10, detectors=1, confidence="sigmoid"):
        check_count("detectors", detectors)
        check_choice("confidence", confidence, CONFIDENCES)
        super().__init__(dim, num_classes * detectors)
        self.detectors = detectors
        self.confidence = confidence

    def forward(self, instance_BID):
        """(..., D) instance vectors -> (..., C) logits."""
        score = super().forward(instance_BID)
        if self.detectors > 1:
            score = score.unflatten(-1, (-1, self.detectors)).amax(-1)
        return score if self.confidence == "sigmoid" else log_odds(score)


CONFIDENCES = ("sigmoid", "softmax")


def log_odds(score):
    """ln(s / (1 - s)) of s = softmax over the last axis (two classes or more): score minus logsumexp of the others."""
    if score.shape[-1] < 2:
        raise ValueError("a softmax needs at least two classes")
    own = torch.eye(score.shape[-1], dtype=torch.bool, device=score.device)
    others = score.unsqueeze(-2).expand(*score.shape, score.shape[-1]).masked_fill(own, float("-inf"))
    return score - others.logsumexp(-1)


class Attention(nn.Sequential):
    """Attention scores w^T tanh(V h_i) of instances: (B, I, D) -> (B, I, 1) (Ilse et al., ICML 2018, Eq. 8)."""

    def __init__(self, dim, hidden=128):
        super().__init__(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1))


class GatedAttention(nn.Module):
    """Attention scores w^T (tanh(V h_i) * sigmoid(U h_i)): (B, I, D) -> (B, I, 1) (Ilse et al., ICML 2018, Eq. 9)."""

    def __init__(self, dim, hidden=128):
        super().__init__()
        self.value = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, instance_BID):
        """(B, I, D) instance vectors -> (B, I, 1) scores."""
        return self.score(self.value(instance_BID).tanh() * self.gate(instance_BID).sigmoid())


ATTENTIONS = {"attention": Attention, "gated_attention": GatedAttention}
"""Attention modules by the name of the pooling that needs them."""


@dataclass(frozen=True)
class Head:
    """Settings of everything after the extractor: from feature map to instances, their scores, and the bag.

    Arguments
    ---------
    num_classes : int
        Number of classes C.
    instance_dim : int
        Instance dimension D.
    instances : str
        Instance vector generator: a key of ``GENERATORS``.
    detectors, confidence
        Arguments of ``InstanceDetector``.
    pooling : str
        From instances to bag: a key of ``mil_asc.mil.pooling.POOLINGS``.
    pooling_options : dict
        Other arguments of the pooling, such as ``{"k": 3}`` for ``top_k_mean``.

    Raises
    ------
    ValueError
        A value that is not legal.

    Example
    -------
    >>> Head(num_classes=3, pooling="attention").instance_dim
    256
    """

    num_classes: int = 10
    instance_dim: int = 256
    instances: str = "separable"
    detectors: int = 1
    confidence: str = "sigmoid"
    pooling: str = "max"
    pooling_options: dict = field(default_factory=dict)

    def __post_init__(self):
        check_count("num_classes", self.num_classes)
        check_count("instance_dim", self.instance_dim)
        check_count("detectors", self.detectors)
        check_choice("instances", self.instances, GENERATORS)
        check_choice("confidence", self.confidence, CONFIDENCES)
        check_choice("pooling", self.pooling, POOLINGS)
        check_pooling_options(self.pooling, self.pooling_options)
