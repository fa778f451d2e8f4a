"""A recording in windows through a network: the scores of the whole, in memory that does not grow with its length.

An instance depends on a limited stretch of the recording around it (``context_instances`` of the interface), so a
window with that much more on either side gives its own instances the scores that they have in the whole. A network in
which every instance sees the whole recording (ResNorm) gets it in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from mil_asc.model.interface import NetworkInterface

WINDOW_INSTANCES = 48
"""Instances that are computed at once, without their context; more are no faster, and need more memory."""


class WindowScores(NamedTuple):
    """Scores of consecutive instances: (I, C) logits, and where a network has or needs them (I,) and (I, K)."""

    logits_IC: np.ndarray
    attention_I: np.ndarray | None = None
    traits_IK: np.ndarray | None = None

    def part(self, first: int, last: int | None) -> WindowScores:
        """Instances ``first`` to before ``last``."""
        return WindowScores(
            self.logits_IC[first:last], _cut(self.attention_I, first, last), _cut(self.traits_IK, first, last)
        )


def _cut(values: np.ndarray | None, first: int, last: int | None) -> np.ndarray | None:
    return None if values is None else values[first:last]


def joined(parts: list[WindowScores]) -> WindowScores:
    """The scores of consecutive parts of a recording as one."""

    def together(values: list[np.ndarray | None]) -> np.ndarray | None:
        found = [each for each in values if each is not None]
        return np.concatenate(found) if found else None

    logits_IC = np.concatenate([part.logits_IC for part in parts])
    return WindowScores(logits_IC, together([p.attention_I for p in parts]), together([p.traits_IK for p in parts]))


Compute = Callable[[np.ndarray], WindowScores]
"""A network: (N,) float32 samples -> the scores of their instances."""


def compute_in_windows(
    blocks: Iterable[np.ndarray], num_samples: int, interface: NetworkInterface, compute: Compute
) -> WindowScores:
    """Scores of all instances of a recording.

    Arguments
    ---------
    blocks : iterable of numpy.ndarray
        The recording's samples, (n,) float32 each, taken as they are needed.
    num_samples : int
        Samples of all blocks together, at least ``interface.min_samples``.
    interface : NetworkInterface
        That of the network.
    compute : callable
        The network.

    Returns
    -------
    WindowScores
    """
    context = interface.context_instances
    if context is None:
        return compute(np.concatenate(list(blocks)))
    collected, buffer = _Collected(), _Buffer(blocks)
    for window in _windows(num_samples, interface.step_samples, context):
        scores = compute(buffer.take(window.begin, window.end))
        collected.add(scores.part(window.skip, window.skip + WINDOW_INSTANCES if window.end < num_samples else None))
    buffer.finish()
    return collected.scores()


class _Window(NamedTuple):
    """Samples ``begin`` to before ``end``, of whose instances the first ``skip`` are context."""

    begin: int
    end: int
    skip: int


def _windows(num_samples: int, step: int, context: int) -> Iterator[_Window]:
    """Windows of ``WINDOW_INSTANCES`` instances with their context; the last one reaches to the end.

    All end alike, ``num_samples % step`` samples behind an instance: some extractors pad by the number of frames.
    """
    rest, first = num_samples % step, 0
    while True:
        begin = max(first - context, 0)
        end = (first + WINDOW_INSTANCES + context) * step + rest
        if end >= num_samples:
            yield _Window(begin * step, num_samples, first - begin)
            return
        yield _Window(begin * step, end, first - begin)
        first += WINDOW_INSTANCES


class _Collected:
    """The scores of consecutive windows, copied into arrays that double.

    An array kept from each window would lie between the freed ones of the network, whose memory could then neither be
    used again nor returned: over hours that adds up to many times the scores.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._kept: WindowScores | None = None

    def add(self, scores: WindowScores) -> None:
        """The next instances."""
        first, self._rows = self._rows, self._rows + len(scores.logits_IC)
        kept = scores.part(0, 0) if self._kept is None else self._kept
        self._kept = WindowScores(
            self._longer(kept.logits_IC, scores.logits_IC, first),
            None if scores.attention_I is None else self._longer(kept.attention_I, scores.attention_I, first),
            None if scores.traits_IK is None else self._longer(kept.traits_IK, scores.traits_IK, first),
        )

    def _longer(self, kept: np.ndarray | None, values: np.ndarray, first: int) -> np.ndarray:
        if kept is None or len(kept) < self._rows:
            larger = np.empty((max(2 * first, self._rows), *values.shape[1:]), values.dtype)
            if kept is not None:
                larger[:first] = kept[:first]
            kept = larger
        kept[first : self._rows] = values
        return kept

    def scores(self) -> WindowScores:
        """All of them."""
        if self._kept is None:
            raise ValueError("no window was computed")
        return self._kept.part(0, self._rows)


class _Buffer:
    """The samples of blocks from the beginning of the current window on."""

    def __init__(self, blocks: Iterable[np.ndarray]):
        self._blocks, self._start, self._kept = iter(blocks), 0, np.zeros(0, np.float32)

    def take(self, begin: int, end: int) -> np.ndarray:
        """Samples ``begin`` to before ``end``; ``begin`` never decreases. The blocks are taken to the end with them."""
        parts, length = [self._kept[begin - self._start :]], self._start + len(self._kept) - begin
        while length < end - begin:
            block = next(self._blocks)
            parts.append(block)
            length += len(block)
        self._start, self._kept = begin, np.concatenate(parts)
        return self._kept[: end - begin]

    def finish(self) -> None:
        """Take what is left of the blocks: their last check, such as that of silence, comes behind the last one."""
        for _ in self._blocks:
            raise ValueError("there are more samples than num_samples")
