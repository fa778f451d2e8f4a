"""MIL poolings: a bag's logits from its instances' in training ("prediction aggregator", paper, Fig. 2).

Every pooling takes ``logits_BIC`` (B, I, C), whose sigmoid is the instance confidence p_ic, and ``mask_BI`` (B, I)
bool, True for instances that belong to the clip (at least one per bag), and returns (B, C) bag logits b_c: the bag
confidence is P_c = sigmoid(b_c). Means over confidences are computed through the logarithms of p and of 1 - p, so that
confident instances neither saturate nor lose their gradient. The rule that decides at evaluation
(``mil_asc.mil.decisions``) is independent of the pooling.

References, unless a function names its own: Y. Wang, J. Li and F. Metze, "A comparison of five multiple instance
learning pooling functions for sound event detection with weak labeling", ICASSP 2019.

A new pooling is a file in this folder whose function is decorated by ``pooling``; it is found by itself.
"""

import importlib
import pkgutil

from mil_asc.mil.pooling.registry import POOLINGS, check_pooling_options, pooling

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["POOLINGS", "check_pooling_options", "pooling"]
