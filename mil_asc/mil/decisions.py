"""MIL assumptions: how instances decide for the bag (paper, Eq. 1, 2 and 10). Nothing is trained here.

The threshold-based assumption (TMI) may find no class in a bag, or several; see ``mil_asc.results.tmi``. The others
are rules: each takes ``Bags`` and returns a ``Verdict``; masked instances do not count. The class is decided on logits
and counts, not on the scores: those are rounded, and sigmoids of logits above 37 are exactly 1 even in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from mil_asc.mil.bags import Bags


class Verdict(NamedTuple):
    """Decisions of a rule for B bags.

    ``class_B``: (B,) int64, the class decided; of classes that are equal in every respect, the first. ``score_BC``:
    (B, C) float64, between 0 and 1, never greater than the score of the class decided.
    """

    class_B: torch.Tensor
    score_BC: torch.Tensor


def instance_confidences(logits: torch.Tensor) -> torch.Tensor:
    """Confidences p = sigmoid(z) of logits of any shape, in float64, between 0 and 1.

    In float32 every logit above 17 would round to the same confidence.
    """
    return logits.double().sigmoid()


def confidences(bags: Bags) -> torch.Tensor:
    """Instance confidences p_ic, (B, I, C) float64, 0 for masked instances."""
    return instance_confidences(bags.logits_BIC) * bags.mask_BI.unsqueeze(2)


def standard(bags: Bags) -> Verdict:
    """SMI (Eq. 2): the class of the greatest instance logit; scores are bag confidences P_c = max_i p_ic.

    Example
    -------
    >>> from mil_asc.mil.bags import make_bags
    >>> standard(make_bags(torch.tensor([[[40.0, 50.0]]]))).class_B
    tensor([1])
    """
    greatest_BC = bags.logits_BIC.masked_fill(~bags.mask_BI.unsqueeze(2), float("-inf")).amax(dim=1)
    return Verdict(greatest_BC.argmax(1), instance_confidences(greatest_BC))


def count(bags: Bags) -> Verdict:
    """CMI (Eq. 10): the class that is the most confident one of most instances; scores are shares that sum to 1.

    A tie goes to the larger summed confidence, and if these are equal too, to the larger summed logit.
    """
    winner_BI = bags.logits_BIC.argmax(dim=2)
    own_BI1 = bags.mask_BI.unsqueeze(2)
    votes_BC = (torch.nn.functional.one_hot(winner_BI, bags.logits_BIC.shape[2]) * own_BI1).sum(1)
    logit_sum_BC = (bags.logits_BIC.double() * own_BI1).sum(1)
    best_BC = torch.ones_like(votes_BC, dtype=torch.bool)
    for values_BC in (votes_BC.double(), confidences(bags).sum(1), logit_sum_BC):
        candidates_BC = values_BC.masked_fill(~best_BC, float("-inf"))
        best_BC = candidates_BC == candidates_BC.amax(1, keepdim=True)
    return Verdict(best_BC.int().argmax(1), votes_BC.double() / bags.mask_BI.sum(1, keepdim=True))


def pooled(bags: Bags) -> Verdict:
    """The class of the greatest bag logit by the model's own pooling; scores are the bag confidences."""
    return Verdict(bags.bag_logits_BC.argmax(1), instance_confidences(bags.bag_logits_BC))


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


ASSUMPTIONS: dict[str, Callable[[Bags], Verdict]] = {"smi": standard, "cmi": count}
"""MIL assumptions that decide, by name: every model can be evaluated under them."""
RULES: dict[str, Callable[[Bags], Verdict]] = ASSUMPTIONS | {"bag": pooled}
"""Decision rules by name; ``bag`` is the same as ``smi`` where the pooling is the maximum."""
