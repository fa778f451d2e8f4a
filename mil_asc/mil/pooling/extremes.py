"""Poolings in which the strongest instances decide."""

import torch
from torch import Tensor

from mil_asc.checks import check_count, check_number
from mil_asc.mil.pooling.means import mean
from mil_asc.mil.pooling.registry import own, pooling


@pooling("max")
def max_pooling(logits_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """P_c = max_i p_ic (paper, Eq. 2). The gradient of a class reaches the instances that hold its maximum alone.

    Example
    -------
    >>> max_pooling(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).item()
    3.0
    """
    return own(logits_BIC, mask_BI).amax(dim=1)


@pooling("log_sum_exp")
def log_sum_exp(logits_BIC: Tensor, mask_BI: Tensor, sharpness: float = 5.0) -> Tensor:
    """b_c = (1/r) ln(mean_i exp(r z_ic)), r = ``sharpness`` > 0: the maximum for large r, the mean for small.

    P. O. Pinheiro and R. Collobert, "From image-level to pixel-level labeling with convolutional networks",
    CVPR 2015, Eq. 6.
    """
    check_number("sharpness", sharpness, above=0)
    total_BC = own(sharpness * logits_BIC, mask_BI).logsumexp(dim=1)
    return (total_BC - mask_BI.sum(1, keepdim=True, dtype=total_BC.dtype).log()) / sharpness


@pooling("top_k_mean")
def top_k_mean(logits_BIC: Tensor, mask_BI: Tensor, k: int = 5) -> Tensor:
    """P_c = mean of the ``k`` >= 1 greatest p_ic, of all where the bag has fewer.

    W. Li and N. Vasconcelos, "Multiple instance learning for soft bags via top instances", CVPR 2015.
    """
    check_count("k", k)
    top_BKC = own(logits_BIC, mask_BI).topk(min(k, logits_BIC.shape[1]), dim=1).values
    own_BK = torch.arange(top_BKC.shape[1], device=mask_BI.device) < mask_BI.sum(1, keepdim=True)
    return mean(top_BKC.masked_fill(~own_BK.unsqueeze(2), 0.0), own_BK)
