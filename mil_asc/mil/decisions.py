"""MIL assumptions: how instances decide for the bag (paper, Eq. 1, 2 and 10). Nothing is trained here.

The threshold-based assumption (TMI) may find no class in a bag, or several; see ``mil_asc.results.tmi``. The others
decide: each takes ``Bags`` and returns (B, C) scores whose argmax is the decision; masked instances do not count.
"""

from collections.abc import Callable

import torch

from mil_asc.mil.bags import Bags

TIE_BREAK = 1e-6


def instance_confidences(logits: torch.Tensor) -> torch.Tensor:
    """Confidences p = sigmoid(z) of logits of any shape, in float64, between 0 and 1.

    In float32 every logit above 17 would round to the same confidence, and the decision to a tie.
    """
    return logits.double().sigmoid()


def confidences(bags: Bags) -> torch.Tensor:
    """Instance confidences p_ic, (B, I, C) float64, 0 for masked instances."""
    return instance_confidences(bags.logits_BIC) * bags.mask_BI.unsqueeze(2)


def standard(bags: Bags) -> torch.Tensor:
    """SMI (Eq. 2): bag confidence P_c = max_i p_ic, between 0 and 1."""
    return confidences(bags).amax(dim=1)


def count(bags: Bags) -> torch.Tensor:
    """CMI (Eq. 10): the share of instances whose most confident class is c; shares sum to 1.

    Ties are settled by the larger summed confidence, which the float64 scores carry as a part of at
    most ``TIE_BREAK``, too small to overturn a count.
    """
    winner_BI = bags.logits_BIC.argmax(dim=2)
    votes_BIC = torch.nn.functional.one_hot(winner_BI, bags.logits_BIC.shape[2]) * bags.mask_BI.unsqueeze(2)
    total_B1 = bags.mask_BI.sum(1, keepdim=True).double()
    return (votes_BIC.sum(1) + TIE_BREAK * (confidences(bags).sum(1) / total_B1)) / total_B1


def pooled(bags: Bags) -> torch.Tensor:
    """Bag confidences P_c by the model's own pooling, between 0 and 1; what a model without maximum is trained for."""
    return instance_confidences(bags.bag_logits_BC)


def threshold(bags: Bags, theta: int, tau: float = 0.5) -> torch.Tensor:
    """TMI: (B, C) bool, True where at least ``theta`` instances of the bag have p_ic >= ``tau`` (section 5.4).

    A bag may have several classes or none. ``theta`` is a number of instances from 1 up, ``tau`` lies between 0 and 1.

    Example
    -------
    >>> from mil_asc.mil.bags import make_bags
    >>> threshold(make_bags(torch.tensor([[[2.0, -2.0], [2.0, 2.0]]])), theta=2)
    tensor([[ True, False]])
    """
    if theta < 1:
        raise ValueError(f"theta must be at least 1, got {theta}")
    return confident_counts(bags, tau) >= theta


def confident_counts(bags: Bags, tau: float = 0.5) -> torch.Tensor:
    """(B, C) number of the bag's instances with p_ic >= ``tau``, which lies between 0 and 1."""
    if not 0 < tau < 1:
        raise ValueError(f"tau must be above 0 and below 1, got {tau}")
    return (confidences(bags) >= tau).sum(1)


ASSUMPTIONS: dict[str, Callable[[Bags], torch.Tensor]] = {"smi": standard, "cmi": count}
"""MIL assumptions that decide, by name: every model can be evaluated under them."""
RULES: dict[str, Callable[[Bags], torch.Tensor]] = ASSUMPTIONS | {"bag": pooled}
"""Decision rules by name; ``bag`` is the same as ``smi`` where the pooling is the maximum."""
