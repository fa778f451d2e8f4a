"""The report of a run: ``report.json`` for programs, ``report.html`` for people."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mil_asc.metrics import bag_scores, instance_confidences
from mil_asc.training.checkpoints import write_atomically


@dataclass
class Example:
    """One evaluated clip for the report.

    ``confidence_IC``: (I, C) instance confidences; ``logmel_FT``: (F, T) natural-log mel power; ``times_I2``:
    (I, 2) start and end of the instances (in seconds); ``events``: the clip's events, if any are known.
    """

    path: str
    label: str
    decision: str
    confidence_IC: np.ndarray
    logmel_FT: np.ndarray
    times_I2: np.ndarray
    events: list


def choose_examples(clips, logits, labels, picture, count=3):
    """Up to ``count`` right and ``count`` wrong clips, each the most confident of a class not shown yet.

    ``picture(clip, instances)`` gives the log-mel, the instance times and the events of a clip.
    """
    scores_BC = bag_scores(logits, "smi")
    groups = {True: [], False: []}
    for i in np.argsort(-scores_BC.max(1), kind="stable"):
        chosen = groups[labels[scores_BC[i].argmax()] == clips[i].label]
        if len(chosen) < count and clips[i].label not in {clips[j].label for j in chosen}:
            chosen.append(i)
    return [
        Example(
            clips[i].path,
            clips[i].label,
            labels[scores_BC[i].argmax()],
            instance_confidences(logits[i]),
            *picture(clips[i], len(logits[i])),
        )
        for i in groups[True] + groups[False]
    ]


def write_report(folder, results, examples):
    """Write ``report.json`` and ``report.html`` into ``folder``; returns the page's path."""
    folder = Path(folder)
    write_atomically(folder / "report.json", json.dumps(results, indent=1))
    return folder / "report.html"
