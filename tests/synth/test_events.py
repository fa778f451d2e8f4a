"""Sound events of the synthetic scenes, and the tones they are made of."""

import numpy as np
import pytest

from mil_asc.synth.events import AMBIGUOUS_EVENTS, DISTINCT_EVENTS, render_event
from mil_asc.synth.sounds import tone


@pytest.mark.parametrize("table", [DISTINCT_EVENTS, AMBIGUOUS_EVENTS])
def test_every_event_can_be_rendered_at_every_length(table):
    kinds = {kind.name: kind for scene_kinds in table.values() for kind in scene_kinds}
    for kind in kinds.values():
        for seconds in (kind.shortest, kind.longest):
            sound = render_event(kind, np.random.default_rng(0), seconds, 16000)
            assert len(sound) == round(seconds * 16000), kind.name
            assert np.sqrt(np.mean(sound**2)) == pytest.approx(1.0), kind.name


def test_a_distinct_event_belongs_to_one_class_and_an_ambiguous_one_to_several():
    distinct = [kind.name for kinds in DISTINCT_EVENTS.values() for kind in kinds]
    ambiguous = [kind.name for kinds in AMBIGUOUS_EVENTS.values() for kind in kinds]
    assert len(distinct) == len(set(distinct)) == 20
    assert all(ambiguous.count(name) >= 3 for name in ambiguous)
    assert not set(distinct) & set(ambiguous)


def test_tone_leaves_out_partials_near_half_the_sample_rate():
    spectrum = np.abs(np.fft.rfft(tone(np.full(16000, 3000.0), 16000, (1.0, 1.0, 1.0, 1.0))))
    assert set(np.flatnonzero(spectrum > 100.0)) == {3000, 6000}
