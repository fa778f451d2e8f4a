"""Events cover the share of a clip that was requested, and each layer does so on its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.synth.events import AMBIGUOUS_EVENTS, DISTINCT_EVENTS, render_event
from mil_asc.synth.placement import draw_events, draw_share
from mil_asc.synth.scenes import SCENES


def covered(events, role):
    return sum(event.offset - event.onset for event in events if event.role == role)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8, 0.9])
def test_mean_share_over_many_clips_is_the_one_requested(share):
    rng = np.random.default_rng(0)
    clips = [draw_events(rng, SCENES[k % len(SCENES)], 10.0, share, 0.3) for k in range(2000)]
    spread = 0.5 * min(share, 1 - share)
    for role, mean, half in (("distinct", share, spread), ("ambiguous", 0.3, 0.15)):
        shares = np.array([covered(events, role) / 10.0 for events in clips])
        assert shares.mean() == pytest.approx(mean, abs=4 * half / np.sqrt(3 * len(clips)))
        assert mean - half - 0.001 <= shares.min() and shares.max() <= mean + half + 0.001


def test_share_of_a_clip_is_uniform_around_the_mean():
    rng = np.random.default_rng(0)
    shares = np.array([draw_share(rng, 0.8) for _ in range(4000)])
    assert np.quantile(shares, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([0.7, 0.75, 0.8, 0.85, 0.9], abs=0.005)


@given(
    seed=st.integers(0, 2**32 - 1),
    scene=st.sampled_from(SCENES),
    seconds=st.floats(2.0, 60.0),
    shares=st.tuples(st.floats(0.25, 0.9), st.one_of(st.just(0.0), st.floats(0.25, 0.9))),
)
def test_events_of_a_role_lie_inside_the_clip_one_after_the_other(seed, scene, seconds, shares):
    events = draw_events(np.random.default_rng(seed), scene, seconds, *shares)
    assert [event.onset for event in events] == sorted(event.onset for event in events)
    for role, share, kinds in zip(("distinct", "ambiguous"), shares, (DISTINCT_EVENTS, AMBIGUOUS_EVENTS)):
        own = [event for event in events if event.role == role]
        assert bool(own) == (share > 0)
        assert all(event.kind in kinds[scene] for event in own)
        edges = [edge for event in own for edge in (event.onset, event.offset)]
        assert edges == sorted(edges)
        assert not edges or (edges[0] >= 0 and edges[-1] <= seconds + 0.0005)
        assert all(event.offset - event.onset >= 0.1 for event in own)


def test_distinct_events_do_not_depend_on_the_ambiguous_share():
    def distinct(share):
        events = draw_events(np.random.default_rng(7), "park", 10.0, 0.4, share)
        return [event for event in events if event.role == "distinct"]

    assert distinct(0.0) == distinct(0.3) == distinct(0.8)


@pytest.mark.parametrize("seconds", [0.1, 0.25, 2.5])
def test_every_kind_sounds_at_any_length_that_can_be_drawn(seconds):
    for kinds in (*DISTINCT_EVENTS.values(), *AMBIGUOUS_EVENTS.values()):
        for kind in kinds:
            samples = render_event(kind, np.random.default_rng(0), seconds, 16000)
            assert samples.shape == (round(seconds * 16000),), kind.name
            assert np.sqrt(np.mean(samples**2)) == pytest.approx(1.0), kind.name
