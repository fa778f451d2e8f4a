"""The clips that a report shows in pictures: some that are classified correctly, some that are not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mil_asc.corpora.manifest import Clip, Event
from mil_asc.results.predictions import Predictions


@dataclass
class Example:
    """One clip of the evaluation set for the report.

    ``confidence_IC``: (I, C) instance confidences; ``logmel_FT``: (F, T) natural-log mel power; ``times_I2``:
    (I, 2) start and end of the instances (in seconds), each beginning where the one before ends; ``events``:
    the clip's events, if any are known; ``hop_seconds``: step between frames; ``top_hz``: upper edge of the
    mel filters (both default to the paper's front end).
    """

    path: str
    label: str
    decision: str
    confidence_IC: np.ndarray
    logmel_FT: np.ndarray
    times_I2: np.ndarray
    events: list[Event]
    hop_seconds: float = 0.032
    top_hz: float = 8000.0


def choose_examples(
    clips: list[Clip], predictions: Predictions, labels: list[str], picture: Callable[[Clip], tuple], count: int = 3
) -> list[Example]:
    """Up to ``count`` correct and ``count`` wrong clips by the model's own rule, each the most confident of its class.

    ``picture(clip)`` gives the log-mel, the instance times and the events of a clip, and where they
    differ from the paper's, the step between frames (in seconds) and the upper edge of the mel filters (in Hz).
    """
    scores_BC, decided_B = predictions.scores(), predictions.decided()
    confidences = predictions.by_clip(predictions.confidence_IC)
    groups: dict[bool, list[int]] = {True: [], False: []}
    for i in np.argsort(-scores_BC.max(1), kind="stable"):
        chosen = groups[labels[decided_B[i]] == clips[i].label]
        if len(chosen) < count and clips[i].label not in {clips[j].label for j in chosen}:
            chosen.append(i)
    return [
        Example(
            clips[i].path,
            clips[i].label,
            labels[decided_B[i]],
            confidences[i],
            *picture(clips[i]),
        )
        for i in groups[True] + groups[False]
    ]
