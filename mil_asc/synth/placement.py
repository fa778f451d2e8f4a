"""Which sound events a synthetic clip has, and when: drawn so that they cover a given share of the clip.

Distinct and ambiguous events are two independent layers. Within a layer no event is over another; an ambiguous event
may sound together with a distinct one, as in a real scene. The share of one layer can therefore be changed without a
change to the other. Lengths and onsets are in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mil_asc.synth.events import AMBIGUOUS_EVENTS, DISTINCT_EVENTS, EventKind


@dataclass(frozen=True)
class PlacedEvent:
    """An event that sounds in [onset, offset) seconds; role is ``distinct`` or ``ambiguous``."""

    onset: float
    offset: float
    kind: EventKind
    role: str


def draw_events(
    rng: np.random.Generator, scene: str, seconds: float, event_share: float, ambiguous_share: float
) -> list[PlacedEvent]:
    """The events of a clip in the order of their onsets; onsets and offsets are whole milliseconds.

    Arguments
    ---------
    rng : np.random.Generator
        The clip's random stream.
    scene : str
        Class of the clip.
    seconds : float
        Length of the clip (in seconds).
    event_share, ambiguous_share : float
        Mean share of a clip, 0 to 1, that its distinct events cover, and its ambiguous events. The share of a clip is
        drawn uniformly around the mean, see ``draw_share``.

    Returns
    -------
    list of PlacedEvent
    """
    layers = (
        ("distinct", DISTINCT_EVENTS[scene], event_share),
        ("ambiguous", AMBIGUOUS_EVENTS[scene], ambiguous_share),
    )
    total = round(1000 * seconds)
    events = [
        PlacedEvent(onset / 1000, (onset + length) / 1000, kind, role)
        for role, kinds, share in layers
        if share > 0
        for onset, length, kind in _draw_layer(rng, kinds, draw_share(rng, share), total)
    ]
    return sorted(events, key=lambda event: (event.onset, event.role))


def draw_share(rng: np.random.Generator, mean: float) -> float:
    """The share of one clip: uniform between ``mean`` -/+ half the distance to 0 or 1, whichever is nearer.

    A mean of 0.5 gives shares from 0.25 to 0.75, a mean of 0.8 shares from 0.7 to 0.9.
    """
    spread = 0.5 * min(mean, 1.0 - mean)
    return float(rng.uniform(mean - spread, mean + spread))


def _draw_layer(
    rng: np.random.Generator, kinds: Sequence[EventKind], share: float, total: int
) -> list[tuple[int, int, EventKind]]:
    """(onset, length, kind) of events that cover ``share`` of ``total`` milliseconds, one after the other."""
    target = round(share * total)
    drawn = _draw_kinds(rng, kinds, target)
    lengths = _fit([length for length, _ in drawn], target)
    gaps = np.floor(rng.dirichlet(np.ones(len(drawn) + 1)) * (total - target)).astype(int)
    placed, now = [], 0
    for gap, length, (_, kind) in zip(gaps.tolist(), lengths, drawn, strict=False):
        placed.append((now + gap, length, kind))
        now += gap + length
    return placed


def _draw_kinds(rng: np.random.Generator, kinds: Sequence[EventKind], target: int) -> list[tuple[float, EventKind]]:
    """(length in milliseconds, kind) of events whose lengths add up to about ``target``; at least one event."""
    drawn: list[tuple[float, EventKind]] = []
    covered = 0.0
    while covered < target:
        kind = kinds[rng.integers(len(kinds))]
        length = 1000 * rng.uniform(kind.shortest, kind.longest)
        if drawn and covered + length - target > target - covered:
            break  # without this event the sum is nearer to the target
        drawn.append((length, kind))
        covered += length
    return drawn


def _fit(lengths: Sequence[float], target: int) -> list[int]:
    """``lengths`` scaled to whole numbers whose sum is ``target``."""
    edges = np.round(np.cumsum([0.0, *lengths]) * target / sum(lengths)).astype(int)
    return np.diff(edges).tolist()
