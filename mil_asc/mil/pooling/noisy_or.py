"""The pooling of independent causes."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mil_asc.mil.pooling.registry import own, pooling


@pooling("noisy_or")
def noisy_or(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = 1 - prod_i (1 - p_ic).

    O. Maron and T. Lozano-Perez, "A framework for multiple-instance learning", NIPS 1997.
    """
    log_not_BC = (logsigmoid(-logits_BIC) * mask_BI.unsqueeze(2)).sum(1)
    log_sum_BC = own(logsigmoid(logits_BIC), mask_BI).logsumexp(dim=1)
    tiny_BC = log_sum_BC < math.log(torch.finfo(log_sum_BC.dtype).eps)  # P_c is the sum of p_ic, to full precision
    log_p_BC = torch.log(-torch.expm1(log_not_BC.masked_fill(tiny_BC, -1.0)))  # the filled ones are not taken
    return torch.where(tiny_BC, log_sum_BC, log_p_BC) - log_not_BC
