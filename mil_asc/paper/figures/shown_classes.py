"""Which classes a figure shows."""

import numpy as np

from mil_asc.corpora.manifest import check_label
from mil_asc.errors import UserError

OF_THE_PAPER = ("park", "shopping_mall", "airport")
"""Classes of Figure 8: two that are easily confused, and one that is not."""


def choose_scenes(wanted, labels, truth_B, count=3):
    """The wanted classes, or the paper's as far as they have clips, filled up to ``count`` in the labels' order.

    Raises ``UserError`` for a wanted class that is unknown, named twice or without a clip.
    """
    present = [labels[c] for c in np.unique(truth_B)]
    if not wanted:
        chosen = [label for label in OF_THE_PAPER if label in present]
        return (chosen + [label for label in present if label not in chosen])[:count]
    for label in wanted:
        check_label(label, labels, "--scenes")
        if label not in present:
            raise UserError(f"--scenes: the evaluation set has no clip of {label}; legal: {', '.join(present)}")
    return list(dict.fromkeys(wanted))
