"""Poolings that are means over the instances, of logits or of confidences."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mil_asc.mil.pooling.registry import own, pooling


@pooling("mean_logits")
def mean_logits(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """b_c = mean_i z_ic: global average pooling before a linear layer, for that layer commutes with the mean."""
    return _mean(logits_BIC, mask_BI)


@pooling("geometric_mean")
def geometric_mean(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = exp(mean_i ln p_ic).

    With softmax confidences, P divided by its sum is the softmax of the mean of the instances' linear outputs: global
    average pooling under cross entropy.
    """
    log_p_BC = _mean(logsigmoid(logits_BIC), mask_BI)
    return log_p_BC - torch.log(-torch.expm1(log_p_BC.clamp(max=-torch.finfo(log_p_BC.dtype).tiny)))


@pooling("mean")
def mean(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = mean_i p_ic."""
    return _weighted_mean(logits_BIC, torch.zeros_like(logits_BIC), mask_BI)


@pooling("linear_softmax")
def linear_softmax(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = sum_i p_ic^2 / sum_i p_ic."""
    return _weighted_mean(logits_BIC, logsigmoid(logits_BIC), mask_BI)


@pooling("exponential_softmax")
def exponential_softmax(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = sum_i p_ic exp(p_ic) / sum_i exp(p_ic)."""
    return _weighted_mean(logits_BIC, logits_BIC.sigmoid(), mask_BI)


@pooling("auto")
def auto_pool(logits_BIC: Tensor, mask_BI: Tensor, sharpness_C: Tensor) -> Tensor:
    """P_c = sum_i p_ic exp(r_c p_ic) / sum_i exp(r_c p_ic), with a learned r_c = ``sharpness_C`` (C,) of any sign.

    0 is the mean (where training starts, as in the authors' code), 1 the exponential softmax, large values are the
    maximum. B. McFee, J. Salamon and J. P. Bello, "Adaptive pooling operators for weakly labeled sound event
    detection", IEEE/ACM TASLP 26(11), 2018 (arXiv 1804.10070), without constraint on r; weight decay acts as the
    regularizer.

    Example
    -------
    >>> logits_BIC, mask_BI = torch.tensor([[[0.0], [4.0]]]), torch.ones(1, 2, dtype=torch.bool)
    >>> [round(auto_pool(logits_BIC, mask_BI, torch.tensor([r])).sigmoid().item(), 3) for r in (0.0, 1.0, 100.0)]
    [0.741, 0.798, 0.982]
    """
    return _weighted_mean(logits_BIC, sharpness_C * logits_BIC.sigmoid(), mask_BI)


def _mean(values_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    return (values_BIC * mask_BI.unsqueeze(2)).sum(1) / mask_BI.sum(1, keepdim=True)


def _weighted_mean(logits_BIC: Tensor, log_weight_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """Logit of sum_i w_ic p_ic / sum_i w_ic."""
    own_BIC = own(log_weight_BIC, mask_BI)
    positive_BC = (own_BIC + logsigmoid(logits_BIC)).logsumexp(dim=1)
    negative_BC = (own_BIC + logsigmoid(-logits_BIC)).logsumexp(dim=1)
    return positive_BC - negative_BC
