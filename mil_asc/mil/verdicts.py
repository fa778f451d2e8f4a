"""Decisions for one recording in NumPy: what ``mil_asc.mil.decisions`` decides for batches, without PyTorch.

The rules are the same: SMI by the greatest logit (paper, Eq. 1 and 2), CMI by the number of instances (Eq. 10), ``bag``
by the model's own pooling. A test compares both on random bags.
"""

from typing import NamedTuple

import numpy as np

from mil_asc.mil.bag_logits import Array, sigmoid


class RecordingVerdict(NamedTuple):
    """The class decided (an index), and the scores of all classes, (C,) float64 between 0 and 1."""

    winner: int
    scores_C: Array


def judge(logits_IC: Array, bag_logits_C: Array) -> dict[str, RecordingVerdict]:
    """The verdict of every rule by its name: ``smi``, ``cmi`` and ``bag``.

    Arguments
    ---------
    logits_IC : numpy.ndarray
        (I, C) instance logits, at least one instance.
    bag_logits_C : numpy.ndarray
        (C,) bag logits by the model's pooling.

    Example
    -------
    >>> verdicts = judge(np.array([[0.0, 2.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1.0, 2.0]))
    >>> {rule: verdict.winner for rule, verdict in verdicts.items()}
    {'smi': 1, 'cmi': 0, 'bag': 1}
    """
    logits_IC = np.asarray(logits_IC, np.float64)
    greatest_C, bag_logits_C = logits_IC.max(0), np.asarray(bag_logits_C, np.float64)
    return {
        "smi": RecordingVerdict(int(greatest_C.argmax()), sigmoid(greatest_C)),
        "cmi": _count(logits_IC),
        "bag": RecordingVerdict(int(bag_logits_C.argmax()), sigmoid(bag_logits_C)),
    }


def _count(logits_IC: Array) -> RecordingVerdict:
    """CMI: most instances; a tie goes to the larger summed confidence, then to the larger summed logit."""
    votes_C = np.bincount(logits_IC.argmax(1), minlength=logits_IC.shape[1])
    best_C = np.ones(len(votes_C), bool)
    for values_C in (votes_C.astype(np.float64), sigmoid(logits_IC).sum(0), logits_IC.sum(0)):
        candidates_C = np.where(best_C, values_C, -np.inf)
        best_C = candidates_C == candidates_C.max()
    return RecordingVerdict(int(best_C.argmax()), votes_C / len(logits_IC))
