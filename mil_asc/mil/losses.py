"""Bag and instance losses (paper, Eq. 3 to 5), computed from logits, averaged over the clips of a batch.

A loss names the ``confidence`` it is made for: ``sigmoid``, ``softmax`` (see ``mil_asc.model.heads``) or ``any``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot

from mil_asc.checks import check_number
from mil_asc.mil.bags import Bags

LOSS_CONFIDENCES = ("sigmoid", "softmax", "any")
Assigner = Callable[[Tensor, Tensor], Tensor]
"""(B, I, C) instance logits and (B,) class indices -> (B, I, C) labels: a function of ``mil_asc.mil.assigners``."""


def weighted_bce(logits: Tensor, target: Tensor, alpha: float | None = None) -> Tensor:
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


class Loss(ABC):
    """Abstract base of loss terms, which know nothing of models, YAML files or epochs.

    A subclass names the confidence it is made for, and is a term of ``MILLoss``. The tests of
    ``tests/mil/test_loss_registry.py`` run on every subclass in ``mil_asc.mil``.

    Attributes
    ----------
    confidence : str
        ``sigmoid``, ``softmax`` (see ``mil_asc.model.heads``) or ``any``.
    """

    registry: ClassVar[dict[str, type["Loss"]]] = {}
    confidence: ClassVar[str]

    def __init_subclass__(cls, **kwargs: object):
        """Check the class's confidence, and register it by its name."""
        super().__init_subclass__(**kwargs)
        if getattr(cls, "confidence", None) not in LOSS_CONFIDENCES:
            raise TypeError(f"{cls.__name__}.confidence must be one of {', '.join(LOSS_CONFIDENCES)}")
        if Loss.registry.get(cls.__name__, cls).__module__ != cls.__module__:  # else its module was loaded again
            raise TypeError(f"there is a loss called {cls.__name__} already")
        Loss.registry[cls.__name__] = cls

    @abstractmethod
    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, finite and at least 0."""


class BagBCE(Loss):
    """Bag loss of Eq. 3 on the bag logits that the model's pooling makes.

    ``alpha`` (> 0) weighs the positive class, C - 1 when left out.
    """

    confidence = "sigmoid"

    def __init__(self, alpha: float | None = None):
        self.alpha = alpha

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        bag_logits_BC = bags.bag_logits_BC
        return weighted_bce(bag_logits_BC, one_hot(label_B, bag_logits_BC.shape[1]).to(bag_logits_BC.dtype), self.alpha)


class BagCE(Loss):
    """Cross entropy of the bag: -ln of the true class's share of the bag confidences, P_t / sum_c P_c.

    Meant for softmax confidences. Under the geometric mean it is the cross entropy of global average pooling.
    """

    confidence = "softmax"

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        log_p_BC = logsigmoid(bags.bag_logits_BC)
        return log_p_BC.logsumexp(1) - log_p_BC.gather(1, label_B.unsqueeze(1)).squeeze(1)


class BagFocal(Loss):
    """Focal loss of the bag, which weighs down classes that are decided well already, with sigmoid confidences.

    ``-sum_c alpha_c (1 - q_c)^gamma ln q_c``, where q_c is P_c for the true class and 1 - P_c for the others, and
    alpha_c is ``alpha`` for the true class and 1 - ``alpha`` for the others. Lin et al., "Focal loss for dense object
    detection", ICCV 2017, whose sum over classes is divided by the number of true ones too, of which a clip has one.

    Arguments
    ---------
    alpha : float
        Weight of the true class, above 0 and below 1.
    gamma : float
        From 0 up; 0 gives the weighted binary cross entropy.
    """

    confidence = "sigmoid"

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0):
        check_number("alpha", alpha, above=0, below=1)
        check_number("gamma", gamma, least=0)
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        true_BC = one_hot(label_B, bags.bag_logits_BC.shape[1]).bool()
        logits_BC = bags.bag_logits_BC.where(true_BC, -bags.bag_logits_BC)  # of the correct answer
        weight_BC = self.alpha * true_BC + (1 - self.alpha) * ~true_BC
        return -(weight_BC * (self.gamma * logsigmoid(-logits_BC)).exp() * logsigmoid(logits_BC)).sum(1)


class BagFocalCE(Loss):
    """Focal loss of the bag over classes that exclude each other: ``-alpha (1 - q)^gamma ln q``.

    q is the true class's share of the bag confidences, P_t / sum_c P_c, as in ``BagCE``; meant for softmax confidences.
    The form for several classes of Lin et al. (``BagFocal``), as the public implementations of Trident ResNet use it;
    there is no class to balance, so ``alpha`` is a factor of the whole loss.

    Arguments
    ---------
    alpha : float
        Factor, above 0; 1: none.
    gamma : float
        From 0 up; 0 gives ``alpha`` times ``BagCE``.
    """

    confidence = "softmax"

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0):
        check_number("alpha", alpha, above=0)
        check_number("gamma", gamma, least=0)
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        log_p_BC = logsigmoid(bags.bag_logits_BC)
        true_BC = one_hot(label_B, log_p_BC.shape[1]).bool()
        total_B = log_p_BC.logsumexp(1)
        log_rest_B = log_p_BC.masked_fill(true_BC, float("-inf")).logsumexp(1) - total_B  # ln(1 - q)
        log_true_B = log_p_BC.gather(1, label_B.unsqueeze(1)).squeeze(1) - total_B
        return -self.alpha * (self.gamma * log_rest_B).exp() * log_true_B


class InstanceBCE(Loss):
    """Instance loss of Eq. 4 on labels an assigner makes at every step.

    ``assigner`` is a function of ``mil_asc.mil.assigners``; ``alpha`` as in ``BagBCE``.
    """

    confidence = "sigmoid"

    def __init__(self, assigner: Assigner, alpha: float | None = None):
        self.assigner = assigner
        self.alpha = alpha

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses: means over the clip's own instances and classes, in nats."""
        target_BIC = self.assigner(bags.logits_BIC, label_B)
        return _instance_mean(weighted_bce(bags.logits_BIC, target_BIC, self.alpha), bags.mask_BI)


class InstanceCE(Loss):
    """Cross entropy of the instances whose label is positive, averaged over all N instances of the clip.

    -(1/N) sum_i sum_c y'_ic ln p_ic; meant for softmax confidences. ``assigner`` is a function of
    ``mil_asc.mil.assigners``.
    """

    confidence = "softmax"

    def __init__(self, assigner: Assigner):
        self.assigner = assigner

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses, at least 0, in nats."""
        target_BIC = self.assigner(bags.logits_BIC, label_B)
        return _instance_mean(-(target_BIC * logsigmoid(bags.logits_BIC)).sum(2), bags.mask_BI)


class FrameLoss(Loss):
    """Frame loss: keeps absent classes near zero and the true class smooth over time (section 5.1, Table 4).

    (1/(N (C-1))) sum_i sum_{c != t} p_ic^2 + (1/(N-1)) sum_i (p_{i+1,t} - p_{i,t})^2; the second term is 0 for a
    single instance. The formula is ours, after the paper's description (section 1).
    """

    confidence = "any"

    def __call__(self, bags: Bags, label_B: Tensor) -> Tensor:
        """``Bags`` and (B,) class indices -> (B,) losses between 0 and 2, without unit."""
        p_BIC = bags.logits_BIC.sigmoid()
        true_BI = p_BIC.gather(2, label_B.view(-1, 1, 1).expand(-1, p_BIC.shape[1], 1)).squeeze(2)
        absent_BI = ((p_BIC**2).sum(2) - true_BI**2) / (p_BIC.shape[2] - 1)
        pairs_BI = bags.mask_BI[:, 1:] & bags.mask_BI[:, :-1]
        steps_B = (true_BI.diff(dim=1) ** 2 * pairs_BI).sum(1) / pairs_BI.sum(1).clamp(min=1)
        return _instance_mean(absent_BI, bags.mask_BI) + steps_B


def _instance_mean(loss_BI: Tensor, mask_BI: Tensor) -> Tensor:
    """(B,) means over the clips' own instances."""
    return (loss_BI * mask_BI).sum(1) / mask_BI.sum(1)


class MILLoss:
    """Sum of named loss terms (Eq. 5: L = L_bag + L_ins), each the mean over the clips of the batch.

    Arguments
    ---------
    **terms : callable
        Each ``(bags, label_B) -> (B,)``; the keyword is the name it is logged under.

    Example
    -------
    >>> import torch
    >>> from mil_asc.mil.bags import make_bags
    >>> bags = make_bags(torch.zeros(2, 3, 10))
    >>> sorted(MILLoss(bag=BagBCE())(bags, torch.tensor([0, 1])))
    ['bag', 'loss']
    """

    def __init__(self, **terms: Callable[[Bags, Tensor], Tensor]):
        if not terms:
            raise ValueError("MILLoss needs at least one loss term")
        self.terms = terms

    def __call__(self, bags: Bags, label_B: Tensor) -> dict[str, Tensor]:
        """A dictionary of scalar tensors: ``loss``, the sum, and every term by its name."""
        values = {name: term(bags, label_B).mean() for name, term in self.terms.items()}
        first, *others = values.values()
        return {"loss": sum(others, first), **values}
