"""What a run's evaluation found, as plain data: the body of ``report.json``."""

import io
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from mil_asc.results import metrics
from mil_asc.results.tmi import threshold_auc
from mil_asc.runtime.files import write_atomically

PREDICTIONS = "predictions.npz"
RULES = ("smi", "cmi")
"""Decision rules every model is evaluated under; one whose pooling is not the maximum also by that (``bag``)."""


class Predictions(NamedTuple):
    """What a model says of evaluated clips.

    ``logits``: a list of (I, C) instance logits, a clip each. ``bag_logits_BC``: (clips, C) by the model's pooling.
    ``decision``: the rule the model is made for, ``smi`` or ``bag``.
    """

    logits: list
    bag_logits_BC: np.ndarray
    decision: str = "smi"

    @property
    def rules(self):
        """The decision rules to report."""
        return RULES if self.decision in RULES else (*RULES, self.decision)

    def scores(self, rule=None):
        """(clips, C) scores under a rule, by default the model's own; the greatest decides."""
        rule = rule or self.decision
        if rule == "bag":
            return expit(self.bag_logits_BC.astype(np.float64))
        return metrics.bag_scores(self.logits, rule)


def evaluate_predictions(predictions, clips, labels):
    """Figures over evaluated clips.

    Arguments
    ---------
    predictions : Predictions
        What the model says of the clips.
    clips : list of Clip
        The clips, in the same order.
    labels : list of str
        Classes, in the order of the logits.

    Returns
    -------
    dict
        ``clips``; ``classes_without_clips``; ``decision``, the model's own rule; ``log_loss`` (natural log, of the
        bag confidences under that rule divided by their sum); ``underestimation``; ``tmi``, areas under the ROC
        curves of the threshold assumption; per rule ``accuracy``, ``macro_accuracy``, ``per_class``, ``per_city``,
        ``per_device`` (accuracy and clips) and ``confusion`` (rows: true class).
    """
    truth = np.array([labels.index(clip.label) for clip in clips])
    counts = np.bincount(truth, minlength=len(labels))
    return {
        "clips": len(clips),
        "classes_without_clips": [label for label, count in zip(labels, counts) if not count],
        "decision": predictions.decision,
        "log_loss": metrics.log_loss(truth, predictions.scores()),
        "underestimation": metrics.underestimation(predictions.logits, truth),
        "tmi": threshold_auc(predictions.logits, truth, labels),
        **{rule: _under(predictions.scores(rule), truth, clips, labels) for rule in predictions.rules},
    }


def _under(scores, truth, clips, labels):
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


def decisions(predictions, clips, labels):
    """What was decided for each clip: path, true class, class and its score under each rule."""
    rows = [{"path": clip.path, "label": clip.label} for clip in clips]
    for rule in predictions.rules:
        for row, score_C in zip(rows, predictions.scores(rule)):
            row[rule] = {"label": labels[score_C.argmax()], "score": float(score_C.max())}
    return rows


def write_predictions(path, predictions, clips, labels):
    """Write what figures are drawn from: an ``.npz`` file that ``numpy.load`` reads.

    ``paths`` (clips,) and ``labels`` (C,) text; ``truth`` (clips,) class indices; ``counts`` (clips,) instances;
    ``logits`` (sum of counts, C) float32, clip after clip; ``bag_logits`` (clips, C) float32.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        paths=np.array([clip.path for clip in clips]),
        labels=np.array(labels),
        truth=np.array([labels.index(clip.label) for clip in clips]),
        counts=np.array([len(logits_IC) for logits_IC in predictions.logits]),
        logits=np.concatenate(predictions.logits).astype(np.float32),
        bag_logits=predictions.bag_logits_BC.astype(np.float32),
    )
    write_atomically(path, content.getvalue())
