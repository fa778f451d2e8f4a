"""Metrics of an evaluation set: NumPy arrays over all clips in, plain numbers out. B clip, I instance, C class."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from mil_asc.corpora.manifest import Event
from mil_asc.results.predictions import Predictions


def accuracy(truth_B: np.ndarray, decision_B: np.ndarray) -> float | None:
    """Share of clips classified correctly, 0 to 1; None without clips."""
    return float(np.mean(truth_B == decision_B)) if len(truth_B) else None


def class_accuracies(truth_B: np.ndarray, decision_B: np.ndarray, num_classes: int) -> list[float | None]:
    """Recall of each class; None where a class has no clip."""
    total_C = np.bincount(truth_B, minlength=num_classes)
    correct_C = np.bincount(truth_B[truth_B == decision_B], minlength=num_classes)
    return [float(correct / total) if total else None for correct, total in zip(correct_C, total_C)]


def macro_accuracy(truth_B: np.ndarray, decision_B: np.ndarray, num_classes: int) -> float:
    """Class-wise accuracy averaged over the classes that have clips."""
    recalls = class_accuracies(truth_B, decision_B, num_classes)
    return float(np.mean([recall for recall in recalls if recall is not None]))


def grouped_accuracies(correct_B: np.ndarray, groups: Sequence[str]) -> dict[str, dict]:
    """Accuracy and number of clips by group, in the groups' order; ``groups`` names the group of each clip."""
    names, group_B = np.unique(np.array(groups, dtype=object), return_inverse=True)
    totals = np.bincount(group_B)
    correct = np.bincount(group_B[correct_B], minlength=len(names))
    return {
        name: {"accuracy": float(hits / total), "clips": int(total)}
        for name, hits, total in zip(names, correct, totals)
    }


def log_losses(truth_B: np.ndarray, scores_BC: np.ndarray, eps: float = 1e-12) -> np.ndarray:
    """(B,) -ln of the true class's share of each clip's scores (natural log, >= 0); shares are floored at ``eps``."""
    shares_BC = scores_BC / np.maximum(scores_BC.sum(1, keepdims=True), eps)
    return -np.log(np.maximum(shares_BC[np.arange(len(truth_B)), truth_B], eps))


def log_loss(truth_B: np.ndarray, scores_BC: np.ndarray, eps: float = 1e-12) -> float:
    """Mean of ``log_losses`` over one or more clips."""
    return float(log_losses(truth_B, scores_BC, eps).mean())


def grouped_means(values_B: np.ndarray, groups: Sequence[str]) -> dict[str, float]:
    """Mean of the values of each group, in the groups' order; ``groups`` names the group of each clip."""
    names, group_B = np.unique(np.array(groups, dtype=object), return_inverse=True)
    means = np.bincount(group_B, weights=values_B) / np.bincount(group_B)
    return dict(zip(names.tolist(), means.tolist()))


def confusion(truth_B: np.ndarray, decision_B: np.ndarray, num_classes: int) -> list[list[int]]:
    """(C, C) counts, true class by row, decision by column."""
    counts = np.bincount(truth_B * num_classes + decision_B, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).tolist()


def underestimation(predictions: Predictions, truth_B: np.ndarray) -> dict[str, float]:
    """The paper's measures of underestimation (section 5.1.1, Fig. 6), averaged over all instances.

    ``positive_share``: instances whose most confident class is the clip's; ``mean_confidence``: confidence
    of the clip's class. Both 0 to 1.
    """
    return {
        "positive_share": float(predictions.positive_instances(truth_B).mean()),
        "mean_confidence": float(predictions.of_true_class(predictions.confidence_IC, truth_B).mean()),
    }


def event_average_precision(
    confidence: list[np.ndarray], times: list[np.ndarray], events: list[list[Event]], hop_seconds: float
) -> dict[str, float] | None:
    """How well instance confidence finds events, frame by frame: average precision over the frames of many clips.

    Every frame has the confidence of the instance it belongs to, and is positive when it lies in an event.

    Arguments
    ---------
    confidence : list of np.ndarray
        (I,) confidence of the true class, one array per clip.
    times : list of np.ndarray
        (I, 2) start and end of the instances (in seconds), each beginning where the one before ends.
    events : list of list of Event
        The clips' distinct events.
    hop_seconds : float
        Step between frames (in seconds).

    Returns
    -------
    dict or None
        ``average_precision``, and ``chance``, the share of frames in an event, which is what random
        confidences reach; None where no frame is in an event.
    """
    frames = [np.arange(0, t_I2[-1, 1], hop_seconds) for t_I2 in times]
    target = np.concatenate([_in_event(frame_T, found) for frame_T, found in zip(frames, events)])
    if not target.any():
        return None
    owners = [np.searchsorted(t_I2[:, 1], frame_T, side="right") for frame_T, t_I2 in zip(frames, times)]
    score = average_precision_score(target, np.concatenate([p_I[i_T] for p_I, i_T in zip(confidence, owners)]))
    return {"average_precision": float(score), "chance": float(target.mean())}


def _in_event(frame_T: np.ndarray, events: list[Event]) -> np.ndarray:
    """(T,) True where a frame's centre lies in one of the events."""
    inside_T = np.zeros(len(frame_T), dtype=bool)
    for event in events:
        inside_T |= (event.onset <= frame_T) & (frame_T < event.offset)
    return inside_T
