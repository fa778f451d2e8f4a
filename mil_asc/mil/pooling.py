"""MIL poolings: a bag's logits from its instances' in training ("prediction aggregator", paper, Fig. 2).

Every pooling takes ``logits_BIC`` (B, I, C), whose sigmoid is the instance confidence p_ic, and ``mask_BI`` (B, I)
bool, True for instances that belong to the clip (at least one per bag), and returns (B, C) bag logits b_c: the bag
confidence is P_c = sigmoid(b_c). Means over confidences are computed through the logarithms of p and of 1 - p, so that
confident instances neither saturate nor lose their gradient. The rule that decides at evaluation
(``mil_asc.mil.decisions``) is independent of the pooling.

References, unless a function names its own: Y. Wang, J. Li and F. Metze, "A comparison of five multiple instance
learning pooling functions for sound event detection with weak labeling", ICASSP 2019.
"""

import inspect
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

SMALL = 1e-4
"""Below this bag confidence noisy-or is, to float32 precision, the sum of the confidences."""


def max_pooling(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = max_i p_ic (paper, Eq. 2). The gradient of a class reaches the instances that hold its maximum alone.

    Example
    -------
    >>> max_pooling(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).item()
    3.0
    """
    return _own(logits_BIC, mask_BI).amax(dim=1)


def mean_logits(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """b_c = mean_i z_ic: global average pooling before a linear layer, for that layer commutes with the mean."""
    return _mean(logits_BIC, mask_BI)


def geometric_mean(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = exp(mean_i ln p_ic).

    With softmax confidences, P divided by its sum is the softmax of the mean of the instances' linear outputs: global
    average pooling under cross entropy.
    """
    log_p_BC = _mean(logsigmoid(logits_BIC), mask_BI)
    return log_p_BC - torch.log(-torch.expm1(log_p_BC.clamp(max=-torch.finfo(log_p_BC.dtype).tiny)))


def mean(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = mean_i p_ic."""
    return _weighted_mean(logits_BIC, torch.zeros_like(logits_BIC), mask_BI)


def linear_softmax(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = sum_i p_ic^2 / sum_i p_ic."""
    return _weighted_mean(logits_BIC, logsigmoid(logits_BIC), mask_BI)


def exponential_softmax(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = sum_i p_ic exp(p_ic) / sum_i exp(p_ic)."""
    return _weighted_mean(logits_BIC, logits_BIC.sigmoid(), mask_BI)


def log_sum_exp(logits_BIC: Tensor, mask_BI: Tensor, sharpness: float = 5.0) -> Tensor:
    """b_c = (1/r) ln(mean_i exp(r z_ic)), r = ``sharpness`` > 0: the maximum for large r, the mean for small.

    P. O. Pinheiro and R. Collobert, "From image-level to pixel-level labeling with convolutional networks",
    CVPR 2015, Eq. 6.
    """
    if sharpness <= 0:
        raise ValueError(f"sharpness must be greater than 0, got {sharpness}")
    total_BC = _own(sharpness * logits_BIC, mask_BI).logsumexp(dim=1)
    return (total_BC - mask_BI.sum(1, keepdim=True).log()) / sharpness


def noisy_or(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = 1 - prod_i (1 - p_ic).

    O. Maron and T. Lozano-Perez, "A framework for multiple-instance learning", NIPS 1997.
    """
    log_not_BC = (logsigmoid(-logits_BIC) * mask_BI.unsqueeze(2)).sum(1)
    log_sum_BC = _own(logsigmoid(logits_BIC), mask_BI).logsumexp(dim=1)
    tiny_BC = log_sum_BC < math.log(SMALL)
    log_p_BC = torch.log(-torch.expm1(log_not_BC.masked_fill(tiny_BC, -1.0)))  # the filled ones are not taken
    return torch.where(tiny_BC, log_sum_BC, log_p_BC) - log_not_BC


def top_k_mean(logits_BIC: Tensor, mask_BI: Tensor, k: int = 5) -> Tensor:
    """P_c = mean of the ``k`` >= 1 greatest p_ic, of all where the bag has fewer.

    W. Li and N. Vasconcelos, "Multiple instance learning for soft bags via top instances", CVPR 2015.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    top_BKC = _own(logits_BIC, mask_BI).topk(min(k, logits_BIC.shape[1]), dim=1).values
    own_BK = torch.arange(top_BKC.shape[1], device=mask_BI.device) < mask_BI.sum(1, keepdim=True)
    return mean(top_BKC.masked_fill(~own_BK.unsqueeze(2), 0.0), own_BK)


def attention_mean(logits_BIC: Tensor, mask_BI: Tensor, score_BI: Tensor) -> Tensor:
    """b_c = sum_i a_i z_ic, a = softmax over the bag's instances of ``score_BI`` (B, I).

    With a linear detector this is the detector's output for the attention-weighted mean of the instance vectors.
    M. Ilse, J. Tomczak and M. Welling, "Attention-based deep multiple instance learning", ICML 2018, Eq. 7; the
    scores come from ``mil_asc.model.heads.Attention`` (Eq. 8) or ``GatedAttention`` (Eq. 9).
    """
    weight_BI = score_BI.masked_fill(~mask_BI, float("-inf")).softmax(dim=1)
    return (weight_BI.unsqueeze(2) * logits_BIC).sum(1)


POOLINGS: dict[str, Callable[..., Tensor]] = {
    "max": max_pooling,
    "mean_logits": mean_logits,
    "geometric_mean": geometric_mean,
    "mean": mean,
    "linear_softmax": linear_softmax,
    "exponential_softmax": exponential_softmax,
    "log_sum_exp": log_sum_exp,
    "noisy_or": noisy_or,
    "top_k_mean": top_k_mean,
    "attention": attention_mean,
    "gated_attention": attention_mean,
}
"""Poolings by the name a YAML file calls them."""


def check_pooling_options(name, options):
    """Refuse options that the pooling called ``name`` does not have, or values that it cannot use (``ValueError``)."""
    pooling = POOLINGS[name]
    legal = [p.name for p in inspect.signature(pooling).parameters.values() if p.default is not p.empty]
    if not isinstance(options, dict):
        raise ValueError(f"pooling_options must be a mapping such as {{k: 3}}, got {options!r}")
    for option in options:
        if option not in legal:
            raise ValueError(f"pooling_options of {name}: unknown {option!r}; legal: {', '.join(legal) or 'none'}")
    scores = [torch.zeros(1, 1)] if "score_BI" in inspect.signature(pooling).parameters else []
    pooling(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), *scores, **options)


def _own(values_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """The values with minus infinity in place of masked instances."""
    return values_BIC.masked_fill(~mask_BI.unsqueeze(2), float("-inf"))


def _mean(values_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    return (values_BIC * mask_BI.unsqueeze(2)).sum(1) / mask_BI.sum(1, keepdim=True)


def _weighted_mean(logits_BIC: Tensor, log_weight_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """Logit of sum_i w_ic p_ic / sum_i w_ic."""
    own_BIC = _own(log_weight_BIC, mask_BI)
    positive_BC = (own_BIC + logsigmoid(logits_BIC)).logsumexp(dim=1)
    negative_BC = (own_BIC + logsigmoid(-logits_BIC)).logsumexp(dim=1)
    return positive_BC - negative_BC
