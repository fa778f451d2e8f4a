"""Instance labels, assigned at every training step (paper, section 3.1, Eq. 4, and section 5.1.3).

An assigner takes (B, I, C) instance logits and (B,) class indices and returns (B, I, C) float labels y'_ic,
each instance's a one-hot vector (positive) or the zero vector (negative). No gradient flows through it.
"""

import torch
from torch.nn.functional import one_hot


@torch.no_grad()
def positive_negative_labels(logits_BIC: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
    """PNL (Eq. 4): the clip's class where it is the instance's most confident one, the zero vector elsewhere."""
    positive_BI1 = (logits_BIC.argmax(dim=2) == label_B.unsqueeze(1)).unsqueeze(2)
    return ground_truth_labels(logits_BIC, label_B) * positive_BI1


@torch.no_grad()
def ground_truth_labels(logits_BIC: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
    """GT (section 5.1.3): the clip's class for every instance."""
    label_BC = one_hot(label_B, logits_BIC.shape[2]).to(logits_BIC.dtype)
    return label_BC.unsqueeze(1).expand_as(logits_BIC)
