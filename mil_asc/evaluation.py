"""What a run's evaluation found, as plain data: the body of ``report.json``."""

from collections import defaultdict

import numpy as np

from mil_asc import metrics
from mil_asc.assumptions import ASSUMPTIONS


def evaluate_predictions(logits, clips, labels):
    """Figures over evaluated clips.

    Arguments
    ---------
    logits : list of np.ndarray
        (I, C) instance logits, a clip each.
    clips : list of Clip
        The clips, in the same order.
    labels : list of str
        Classes, in the order of the logits.

    Returns
    -------
    dict
        ``clips``; ``classes_without_clips``; ``log_loss`` (natural log, of the bag confidences under SMI
        divided by their sum); ``underestimation``; per assumption ``accuracy``, ``macro_accuracy``,
        ``per_class``, ``per_city``, ``per_device`` (accuracy and clips) and ``confusion`` (rows: true class).
    """
    truth = np.array([labels.index(clip.label) for clip in clips])
    counts = np.bincount(truth, minlength=len(labels))
    return {
        "clips": len(clips),
        "classes_without_clips": [label for label, count in zip(labels, counts) if not count],
        "log_loss": metrics.log_loss(truth, metrics.bag_scores(logits, "smi")),
        "underestimation": metrics.underestimation(logits, truth),
        **{name: _under(name, logits, truth, clips, labels) for name in ASSUMPTIONS},
    }


def _under(assumption, logits, truth, clips, labels):
    scores = metrics.bag_scores(logits, assumption)
    decisions = scores.argmax(1)
    right = truth == decisions
    recalls = metrics.class_accuracies(truth, decisions, len(labels))
    counts = np.bincount(truth, minlength=len(labels)).tolist()
    return {
        "accuracy": metrics.accuracy(truth, decisions),
        "macro_accuracy": metrics.macro_accuracy(truth, decisions, len(labels)),
        "per_class": {label: {"accuracy": r, "clips": n} for label, r, n in zip(labels, recalls, counts)},
        "per_city": _grouped(right, [clip.city for clip in clips]),
        "per_device": _grouped(right, [clip.source_device for clip in clips]),
        "confusion": metrics.confusion(truth, decisions, len(labels)),
    }


def _grouped(right, groups):
    members = defaultdict(list)
    for value, group in zip(right, groups):
        members[group].append(value)
    return {g: {"accuracy": float(np.mean(members[g])), "clips": len(members[g])} for g in sorted(members)}


def evaluate_events(logits, clips, labels, times, events, hop_seconds):
    """How well the true class's instance confidence finds the distinct events; None without events.

    ``times`` holds each clip's (I, 2) instance times, ``hop_seconds`` is the step between frames (both in
    seconds); ``events`` maps paths to events.
    """
    if not events:
        return None
    confidence = [metrics.instance_confidences(z)[:, labels.index(c.label)] for z, c in zip(logits, clips)]
    distinct = [[event for event in events.get(clip.path, []) if event.role == "distinct"] for clip in clips]
    return metrics.event_average_precision(confidence, times, distinct, hop_seconds)


def decisions(logits, clips, labels):
    """What was decided for each clip: path, true class, class and its score under each assumption."""
    rows = [{"path": clip.path, "label": clip.label} for clip in clips]
    for name in ASSUMPTIONS:
        for row, score_C in zip(rows, metrics.bag_scores(logits, name)):
            row[name] = {"label": labels[score_C.argmax()], "score": float(score_C.max())}
    return rows
