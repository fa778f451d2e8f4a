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


def _mean(values_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    return (values_BIC * mask_BI.unsqueeze(2)).sum(1) / mask_BI.sum(1, keepdim=True)


def _weighted_mean(logits_BIC: Tensor, log_weight_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """Logit of sum_i w_ic p_ic / sum_i w_ic."""
    own_BIC = own(log_weight_BIC, mask_BI)
    positive_BC = (own_BIC + logsigmoid(logits_BIC)).logsumexp(dim=1)
    negative_BC = (own_BIC + logsigmoid(-logits_BIC)).logsumexp(dim=1)
    return positive_BC - negative_BC
