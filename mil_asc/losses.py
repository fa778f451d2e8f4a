"""Bag and instance losses (paper, Eq. 3 to 5), computed from logits, averaged over the clips of a batch."""

from torch.nn.functional import binary_cross_entropy_with_logits, one_hot


def weighted_bce(logits, target, alpha=None):
    """Mean over classes of the weighted binary cross entropy (Eq. 3): (..., C) -> (...).

    ``-(1/C) sum_c [alpha y_c ln p_c + (1 - y_c) ln(1 - p_c)]`` with p = sigmoid(logits), computed without
    ever taking the log of a sigmoid. ``alpha`` defaults to C - 1; 1 gives the plain cross entropy.

    Example
    -------
    >>> import torch
    >>> weighted_bce(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item() == torch.log(torch.tensor(2.0)).item()
    True
    """
    alpha = logits.shape[-1] - 1 if alpha is None else alpha
    weight = logits.new_full((), float(alpha))
    return binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none").mean(-1)


def max_logits(bags):
    """Bag logits under the standard assumption (Eq. 2): (B, C), every class's greatest instance logit."""
    return bags.logits_BIC.masked_fill(~bags.mask_BI.unsqueeze(2), float("-inf")).amax(dim=1)


class BagBCE:
    """Bag loss of Eq. 3 on the greatest instance logit of every class.

    The gradient of a class reaches only the instances that hold its maximum. ``alpha`` (> 0) weighs the
    positive class, C - 1 when left out.
    """

    def __init__(self, alpha=None):
        self.alpha = alpha

    def __call__(self, bags, label_B):
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        bag_logits_BC = max_logits(bags)
        return weighted_bce(bag_logits_BC, one_hot(label_B, bag_logits_BC.shape[1]).float(), self.alpha)


class InstanceBCE:
    """Instance loss of Eq. 4 on labels an assigner makes at every step.

    ``assigner`` is a function of ``mil_asc.assigners``; ``alpha`` as in ``BagBCE``.
    """

    def __init__(self, assigner, alpha=None):
        self.assigner = assigner
        self.alpha = alpha

    def __call__(self, bags, label_B):
        """``Bags`` and (B,) class indices -> (B,) losses: means over the clip's own instances and classes, in nats."""
        target_BIC = self.assigner(bags.logits_BIC, label_B)
        loss_BI = weighted_bce(bags.logits_BIC, target_BIC, self.alpha)
        return (loss_BI * bags.mask_BI).sum(1) / bags.mask_BI.sum(1)


class MILLoss:
    """Sum of named loss terms (Eq. 5: L = L_bag + L_ins), each the mean over the clips of the batch.

    Arguments
    ---------
    **terms : callable
        ``(bags, label_B) -> (B,)`` each; the keyword is the name it is logged under.

    Example
    -------
    >>> import torch
    >>> from mil_asc.model import Bags
    >>> bags = Bags(torch.zeros(2, 3, 10), torch.ones(2, 3, dtype=torch.bool))
    >>> sorted(MILLoss(bag=BagBCE())(bags, torch.tensor([0, 1])))
    ['bag', 'loss']
    """

    def __init__(self, **terms):
        if not terms:
            raise ValueError("MILLoss needs at least one loss term")
        self.terms = terms

    def __call__(self, bags, label_B):
        """A dictionary of scalar tensors: ``loss``, the sum, and every term by its name."""
        values = {name: term(bags, label_B).mean() for name, term in self.terms.items()}
        return {"loss": sum(values.values()), **values}
