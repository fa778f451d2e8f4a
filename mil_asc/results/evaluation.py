"""The results of a run on its evaluation set, as plain data: the body of ``report.json``."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mil_asc.corpora.manifest import ANYWHERE, Clip, Event
from mil_asc.results import metrics
from mil_asc.results.predictions import Predictions
from mil_asc.results.tmi import threshold_auc


def evaluate_predictions(
    predictions: Predictions, clips: list[Clip], labels: list[str], train: Sequence[Clip] = ()
) -> dict:
    """Results over an evaluation set.

    Arguments
    ---------
    predictions : Predictions
        The model's scores of the clips.
    clips : list of Clip
        The clips, in the same order.
    labels : list of str
        Classes, in the order of the logits.
    train : sequence of Clip
        The clips that the model was trained on; without them no city or device counts as unseen.

    Returns
    -------
    dict
        ``clips``; ``classes_without_clips``; ``decision``, the model's own rule; ``log_loss`` (natural log, of the
        bag confidences under that rule divided by their sum); ``log_losses``, the same by class (None where it has no
        clip), city, device or group, with the keys of a rule's accuracies; ``seen_unseen``, see below;
        ``underestimation``; ``tmi``, areas under the ROC curves of the threshold assumption; per rule ``accuracy``,
        ``macro_accuracy``, ``per_class``, ``per_city``, ``per_device`` (accuracy and clips) and ``confusion`` (rows:
        true class). Where neither cities nor devices are known, there is ``per_group`` instead of these two, unless
        most groups have one clip.

        ``seen_unseen`` has ``per_city`` and ``per_device`` where a city (device) is in the evaluation set only: for
        the clips of the ``unseen`` ones and, if there are any, of the ``seen`` ones their ``names``, ``clips``,
        ``accuracy`` by rule, and ``log_loss``.
    """
    truth_B = class_indices(clips, labels)
    counts = np.bincount(truth_B, minlength=len(labels))
    loss_B = metrics.log_losses(truth_B, predictions.scores())
    return {
        "clips": len(clips),
        "classes_without_clips": [label for label, count in zip(labels, counts) if not count],
        "decision": predictions.decision,
        "log_loss": float(loss_B.mean()),
        "log_losses": _losses_by_origin(loss_B, clips, labels),
        "seen_unseen": _seen_unseen(predictions, truth_B, loss_B, clips, train),
        "underestimation": metrics.underestimation(predictions, truth_B),
        "tmi": threshold_auc(predictions, truth_B, labels),
        **{rule: _under(predictions.decided(rule), truth_B, clips, labels) for rule in predictions.rules},
    }


def class_indices(clips: list[Clip], labels: list[str]) -> np.ndarray:
    """(B,) index of the class of each clip."""
    index = {label: c for c, label in enumerate(labels)}
    return np.array([index[clip.label] for clip in clips])


def _under(decision_B: np.ndarray, truth_B: np.ndarray, clips: list[Clip], labels: list[str]) -> dict:
    """Results under one decision rule."""
    correct_B = truth_B == decision_B
    recalls = metrics.class_accuracies(truth_B, decision_B, len(labels))
    counts = np.bincount(truth_B, minlength=len(labels)).tolist()
    return {
        "accuracy": metrics.accuracy(truth_B, decision_B),
        "macro_accuracy": metrics.macro_accuracy(truth_B, decision_B, len(labels)),
        "per_class": {label: {"accuracy": r, "clips": n} for label, r, n in zip(labels, recalls, counts)},
        **{part: metrics.grouped_accuracies(correct_B, names) for part, names in _origins(clips).items()},
        "confusion": metrics.confusion(truth_B, decision_B, len(labels)),
    }


def _losses_by_origin(loss_B: np.ndarray, clips: list[Clip], labels: list[str]) -> dict[str, dict]:
    """Mean log loss by class, and by the city, device or group of the clips."""
    of_class = metrics.grouped_means(loss_B, [clip.label for clip in clips])
    origins = {part: metrics.grouped_means(loss_B, names) for part, names in _origins(clips).items()}
    return {"per_class": {label: of_class.get(label) for label in labels}, **origins}


def _seen_unseen(
    predictions: Predictions, truth_B: np.ndarray, loss_B: np.ndarray, clips: list[Clip], train: Sequence[Clip]
) -> dict[str, dict]:
    """Results over the clips of cities (devices) that were trained on, and over those of the others."""
    fields = {"per_city": "city", "per_device": "source_device"}
    found = {}
    for part, field in fields.items():
        own = [getattr(clip, field) for clip in clips]
        known = {getattr(clip, field) for clip in train} - {ANYWHERE}
        unseen = set(own) - known - {ANYWHERE}
        if known and unseen:
            sides = {"seen": known.intersection(own), "unseen": unseen}
            found[part] = {
                side: _results_of(np.isin(own, list(names)), names, predictions, truth_B, loss_B)
                for side, names in sides.items()
                if names
            }
    return found


def _results_of(
    chosen_B: np.ndarray, names: set[str], predictions: Predictions, truth_B: np.ndarray, loss_B: np.ndarray
) -> dict:
    """Results over the chosen clips, one or more, which come from the places or devices ``names``."""
    return {
        "names": sorted(names),
        "clips": int(chosen_B.sum()),
        "accuracy": {
            rule: metrics.accuracy(truth_B[chosen_B], predictions.decided(rule)[chosen_B]) for rule in predictions.rules
        },
        "log_loss": float(loss_B[chosen_B].mean()),
    }


def _origins(clips: list[Clip]) -> dict[str, list[str]]:
    """Parts of the results that are about where clips come from -> the city, device or group of each clip."""
    if any(clip.city != ANYWHERE or clip.source_device != ANYWHERE for clip in clips):
        return {"per_city": [clip.city for clip in clips], "per_device": [clip.source_device for clip in clips]}
    sizes = Counter(clip.location for clip in clips)
    if 2 * sum(size == 1 for size in sizes.values()) > len(sizes):
        return {}
    return {"per_group": [clip.location for clip in clips]}


def evaluate_events(
    predictions: Predictions,
    clips: list[Clip],
    labels: list[str],
    times: list[np.ndarray],
    events: dict[str, list[Event]],
    hop_seconds: float,
) -> dict[str, float] | None:
    """How well the true class's instance confidence finds the distinct events; None without events.

    ``times`` holds the (I, 2) instance times of each clip, ``hop_seconds`` is the step between frames (both in
    seconds); ``events`` maps paths to events.
    """
    if not events:
        return None
    confidence_I = predictions.of_true_class(predictions.confidence_IC, class_indices(clips, labels))
    distinct = [[event for event in events.get(clip.path, []) if event.role == "distinct"] for clip in clips]
    return metrics.event_average_precision(predictions.by_clip(confidence_I), times, distinct, hop_seconds)


def decisions(predictions: Predictions, clips: list[Clip], labels: list[str]) -> list[dict]:
    """The decision for each clip: path, true class, and under each rule the decided class and its score."""
    rows: list[dict] = [{"path": clip.path, "label": clip.label} for clip in clips]
    for rule in predictions.rules:
        score_BC = predictions.scores(rule)
        for b, c in enumerate(predictions.decided(rule).tolist()):
            rows[b][rule] = {"label": labels[c], "score": float(score_BC[b, c])}
    return rows
