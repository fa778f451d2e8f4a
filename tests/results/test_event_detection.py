"""Event scores with known answers: detections that are perfect, wrong, merged or missing."""

import numpy as np
import pytest

from mil_asc.corpora.manifest import Event
from mil_asc.results.event_detection import detection_scores, joined

pytest.importorskip("sed_scores_eval", reason='needs the extra [eval]: pip install -e ".[eval]"')
LABELS = ["bus", "park"]
TIMES_I2 = np.stack([np.arange(20) * 0.5, np.arange(1, 21) * 0.5], axis=1)


def event(onset, offset):
    return Event(onset, offset, "bell", "distinct")


def scores_of(active, clip_labels=("bus", "park", "bus"), events=None):
    """Scores of three clips whose instances ``active[b]`` (class -> slice) have a confidence of 0.9, others 0.1."""
    confidence = []
    for own in active:
        p_IC = np.full((20, 2), 0.1)
        for c, part in own.items():
            p_IC[part, c] = 0.9
        confidence.append(p_IC)
    events = events or [[event(2.0, 4.0)], [event(5.0, 6.0)], [event(0.0, 1.0), event(7.0, 9.0)]]
    return detection_scores(confidence, [TIMES_I2] * 3, events, clip_labels, LABELS, [10.0] * 3)


def test_perfect_detection_scores_one():
    found = scores_of([{0: slice(4, 8)}, {1: slice(10, 12)}, {0: np.r_[0:2, 14:18]}])
    assert found == pytest.approx({"event_f1": 1.0, "psds1": 1.0, "psds2": 1.0})


def test_events_of_another_class_score_nothing():
    found = scores_of([{1: slice(4, 8)}, {0: slice(10, 12)}, {1: np.r_[0:2, 14:18]}])
    assert found["event_f1"] == 0.0 and found["psds1"] < 0.1


def test_f1_is_the_mean_over_classes():
    """bus: two of three events found, nothing else (precision 1, recall 2/3); park: found."""
    found = scores_of([{0: slice(4, 8)}, {1: slice(10, 12)}, {0: slice(14, 18)}])
    assert found["event_f1"] == pytest.approx((2 * (2 / 3) / (1 + 2 / 3) + 1.0) / 2)


def test_onset_outside_the_collar_does_not_count():
    """The first bus event starts two instances (1 s) early: one false positive and one missed event of three."""
    found = scores_of([{0: slice(2, 8)}, {1: slice(10, 12)}, {0: np.r_[0:2, 14:18]}])
    assert found["event_f1"] == pytest.approx((2 / 3 + 1.0) / 2)


def test_events_closer_than_an_instance_are_one():
    assert joined([event(3.0, 4.0), event(0.0, 1.0), event(1.4, 2.0)], 0.5) == [(0.0, 2.0), (3.0, 4.0)]
    assert joined([event(0.0, 3.0), event(1.0, 2.0)], 0.5) == [(0.0, 3.0)]
    close = [[event(2.0, 2.9), event(3.1, 4.0)], [event(5.0, 6.0)], [event(0.0, 1.0), event(7.0, 9.0)]]
    assert scores_of([{0: slice(4, 8)}, {1: slice(10, 12)}, {0: np.r_[0:2, 14:18]}], events=close)["event_f1"] == 1.0


def test_false_detection_below_the_threshold_lowers_psds_alone():
    active = [{0: slice(4, 8)}, {1: slice(10, 12)}, {0: np.r_[0:2, 14:18]}]
    events = [[event(2.0, 4.0)], [event(5.0, 6.0)], [event(0.0, 1.0), event(7.0, 9.0)]]
    confidence = []
    for b, own in enumerate(active):
        p_IC = np.full((20, 2), 0.1)
        for c, part in own.items():
            p_IC[part, c] = 0.45 if b == 0 else 0.9  # missed at a threshold of 0.5
        confidence.append(p_IC)
    clean = detection_scores(confidence, [TIMES_I2] * 3, events, ("bus", "park", "bus"), LABELS, [10.0] * 3)
    confidence[1][:3, 0] = 0.48  # a false detection that comes before the event of the first clip is found
    disturbed = detection_scores(confidence, [TIMES_I2] * 3, events, ("bus", "park", "bus"), LABELS, [10.0] * 3)
    assert clean["event_f1"] == disturbed["event_f1"] < 1.0
    assert clean["psds1"] == pytest.approx(1.0) and disturbed["psds1"] < 0.9
