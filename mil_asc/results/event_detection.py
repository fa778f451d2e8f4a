"""How well instance confidences find sound events, by the measures of sound event detection.

Every class is an event class, an instance's confidence is its score, and the distinct events of a clip are those of the
clip's class. The measures are computed by ``sed_scores_eval`` (J. Ebbers, R. Serizel and R. Haeb-Umbach,
"Threshold-independent evaluation of sound event detection scores", ICASSP 2022), which the extra ``[eval]`` installs.
"""

import warnings
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from mil_asc.corpora.manifest import Event
from mil_asc.errors import UserError

THRESHOLD = 0.5
"""Confidence from which an instance is part of an event, for the F1 score; not tuned."""
COLLAR = 0.5
"""Tolerance of onsets and offsets (in seconds): about the length of an instance of SynthScenes."""
PSDS = {
    "psds1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "alpha_st": 1.0, "max_efpr": 100.0},
    "psds2": {
        **{"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3},
        **{"alpha_ct": 0.5, "alpha_st": 1.0, "max_efpr": 100.0},
    },
}
"""Settings of the two polyphonic sound detection scores of DCASE 2021-2023, task 4."""


def joined(events: Sequence[Event], gap: float) -> list[tuple[float, float]]:
    """(onset, offset) of events in order; those less than ``gap`` seconds apart are one, as no instance is between.

    Example
    -------
    >>> joined([Event(2.0, 3.0, "horn", "distinct"), Event(0.0, 1.8, "bell", "distinct")], 0.5)
    [(0.0, 3.0)]
    """
    spans: list[tuple[float, float]] = []
    for event in sorted(events, key=lambda event: event.onset):
        if spans and event.onset - spans[-1][1] < gap:
            spans[-1] = spans[-1][0], max(spans[-1][1], event.offset)
        else:
            spans.append((event.onset, event.offset))
    return spans


def detection_scores(
    confidence: Sequence[np.ndarray],
    times: Sequence[np.ndarray],
    events: Sequence[Sequence[Event]],
    clip_labels: Sequence[str],
    labels: Sequence[str],
    seconds: Sequence[float],
) -> dict[str, float]:
    """Event-based F1 score and polyphonic sound detection scores of instance confidences over an evaluation set.

    Arguments
    ---------
    confidence : sequence of np.ndarray
        (I, C) confidences of each clip, 0 to 1.
    times : sequence of np.ndarray
        (I, 2) start and end of the instances of each clip (in seconds), each beginning where the one before ends.
    events : sequence of sequence of Event
        The distinct events of each clip.
    clip_labels : sequence of str
        Class of each clip, and so of its events.
    labels : sequence of str
        All classes, in the order of the confidences.
    seconds : sequence of float
        Length of each clip (in seconds).

    Returns
    -------
    dict
        ``event_f1``: mean over classes of the F1 score at a confidence of ``THRESHOLD``, with a collar of ``COLLAR``
        seconds on onsets, and on offsets that or half the event. ``psds1``, ``psds2``: areas under the curve of
        true-positive ratio against effective false positives per hour, normalised; all are 0 to 1.

    Raises
    ------
    UserError
        The extra ``[eval]`` is not installed.
    """
    collar_based, intersection_based, create_score_dataframe = load_library()
    names = [f"clip-{b}" for b in range(len(clip_labels))]
    scores, truth = {}, {}
    for name, p_IC, t_I2, own, label in zip(names, confidence, times, events, clip_labels, strict=True):
        edges = np.append(t_I2[:, 0], t_I2[-1, 1])
        scores[name] = create_score_dataframe(p_IC, edges, list(labels))
        truth[name] = [(on, off, label) for on, off in joined(own, float(np.diff(edges).max()))]
    durations = dict(zip(names, map(float, seconds), strict=True))
    f_scores, *_ = collar_based.fscore(
        scores, truth, THRESHOLD, onset_collar=COLLAR, offset_collar=COLLAR, offset_collar_rate=0.5
    )
    psds = {name: intersection_based.psds(scores, truth, durations, **given) for name, given in PSDS.items()}
    return {"event_f1": float(f_scores["macro_average"]), **{name: float(found[0]) for name, found in psds.items()}}


def load_library() -> tuple[ModuleType, ModuleType, Callable]:
    """What is needed of ``sed_scores_eval``; a ``UserError`` if the extra ``[eval]`` is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # in dcase_util
            from sed_scores_eval import collar_based, intersection_based
            from sed_scores_eval.base_modules.scores import create_score_dataframe
    except ImportError as error:
        raise UserError(
            f'event scores require sed_scores_eval ({error}): pip install -c constraints.txt -e ".[eval]"'
        ) from error
    return collar_based, intersection_based, create_score_dataframe
