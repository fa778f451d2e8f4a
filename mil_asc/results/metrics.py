"""Figures of an evaluated run, from instance logits; NumPy in, plain numbers out."""

import numpy as np
import torch
from sklearn.metrics import average_precision_score, confusion_matrix

from mil_asc.mil.bags import make_bags
from mil_asc.mil.decisions import ASSUMPTIONS, confidences


def instance_confidences(logits_IC):
    """(I, C) confidences of one clip's instances."""
    return confidences(make_bags(torch.from_numpy(logits_IC).unsqueeze(0)))[0].numpy()


def bag_scores(logits, assumption):
    """(clips, C) scores of clips with (I, C) logits under ``smi`` or ``cmi``."""
    decide = ASSUMPTIONS[assumption]
    return np.stack([decide(make_bags(torch.from_numpy(logits_IC).unsqueeze(0)))[0].numpy() for logits_IC in logits])


def accuracy(labels, decisions):
    """Share of right decisions, 0 to 1; None for no clips."""
    return float(np.mean(labels == decisions)) if len(labels) else None


def class_accuracies(labels, decisions, num_classes):
    """Recall of each class; None where a class has no clip."""
    return [accuracy(labels[labels == c], decisions[labels == c]) for c in range(num_classes)]


def macro_accuracy(labels, decisions, num_classes):
    """Class-wise accuracy averaged over the classes that have clips."""
    return float(np.mean([value for value in class_accuracies(labels, decisions, num_classes) if value is not None]))


def log_loss(labels, scores, eps=1e-12):
    """Mean of -ln of the true class's share of the scores (natural log, >= 0); shares are floored at ``eps``."""
    shares = scores / np.maximum(scores.sum(1, keepdims=True), eps)
    return float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], eps)).mean())


def confusion(labels, decisions, num_classes):
    """(C, C) counts, true class by row, decision by column."""
    return confusion_matrix(labels, decisions, labels=np.arange(num_classes)).tolist()


def underestimation(logits, labels):
    """The paper's measures of underestimation (section 5.1.1, Fig. 6), averaged over all instances.

    ``positive_share``: instances whose most confident class is the clip's; ``mean_confidence``: confidence
    of the clip's class. Both 0 to 1.
    """
    positive = np.concatenate([z_IC.argmax(1) == label for z_IC, label in zip(logits, labels)])
    confidence = np.concatenate([instance_confidences(z_IC)[:, label] for z_IC, label in zip(logits, labels)])
    return {"positive_share": float(positive.mean()), "mean_confidence": float(confidence.mean())}


def instance_times(count, num_samples, step, hop, sample_rate):
    """(I, 2) start and end of each instance (in seconds).

    Instance i covers the frames that the extractor's pooling merges into its column: frame t stands for
    the samples from (t - 1/2) hop to (t + 1/2) hop. ``step`` and ``hop`` are in samples.
    """
    edges = np.arange(count + 1) * step - hop / 2
    return np.stack([edges[:-1], edges[1:]], axis=1).clip(0, num_samples) / sample_rate


def event_average_precision(confidence, times, events, hop_seconds):
    """How well instance confidence finds events, frame by frame: average precision over the frames of many clips.

    Every frame has the confidence of the instance it belongs to, and is to be found when it lies in an event.

    Arguments
    ---------
    confidence : list of np.ndarray
        (I,) confidence of the true class, a clip each.
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


def _in_event(frame_T, events):
    """(T,) True where a frame's centre lies in one of the events."""
    inside_T = np.zeros(len(frame_T), dtype=bool)
    for event in events:
        inside_T |= (event.onset <= frame_T) & (frame_T < event.offset)
    return inside_T
