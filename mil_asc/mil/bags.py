"""A batch of bags, as the model scores them and losses and decision rules read them."""

from collections.abc import Callable
from typing import NamedTuple

import torch

from mil_asc.mil.pooling.extremes import max_pooling


class Bags(NamedTuple):
    """Scores of B clips with up to I instances and C classes, in float32.

    ``logits_BIC``: (B, I, C) instance logits z_ic; their sigmoid is the confidence p_ic, whatever the detector.
    ``mask_BI``: (B, I) bool, True where the instance belongs to the clip, False where it is padding; every bag
    has at least one True. ``bag_logits_BC``: (B, C) bag logits by the model's pooling. ``attention_BI``: (B, I)
    attention scores before their softmax over the bag; None without attention.
    """

    logits_BIC: torch.Tensor
    mask_BI: torch.Tensor
    bag_logits_BC: torch.Tensor
    attention_BI: torch.Tensor | None = None


def make_bags(
    logits_BIC: torch.Tensor,
    mask_BI: torch.Tensor | None = None,
    pooling: Callable[..., torch.Tensor] = max_pooling,
    attention_BI: torch.Tensor | None = None,
) -> Bags:
    """``Bags`` of instance logits; no instance is padding where ``mask_BI`` is left out.

    Example
    -------
    >>> make_bags(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])).bag_logits_BC
    tensor([[1., 2.]])
    """
    if mask_BI is None:
        mask_BI = torch.ones(logits_BIC.shape[:2], dtype=torch.bool, device=logits_BIC.device)
    scores = () if attention_BI is None else (attention_BI,)
    return Bags(logits_BIC, mask_BI, pooling(logits_BIC, mask_BI, *scores), attention_BI)
