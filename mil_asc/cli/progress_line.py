"""How far a long job is, in one line on standard error, on a terminal only."""

from __future__ import annotations

import sys
import time

EVERY = 0.1
"""Seconds between two updates."""


class ProgressLine:
    """Counts what is done of ``total``.

    Arguments
    ---------
    total : int or None
        None: nothing is shown.
    """

    def __init__(self, total: int | None):
        self._total, self._done, self._bad = total, 0, 0
        self._begun = self._shown = time.monotonic()

    def step(self, bad: bool = False) -> None:
        """One more is done."""
        self._done += 1
        self._bad += bad
        now = time.monotonic()
        if self._total is not None and now - self._shown >= EVERY:
            self._shown = now
            self._show(now)

    def clear(self) -> None:
        """Remove the line, so that other text can be written."""
        if self._total is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _show(self, now: float) -> None:
        speed = self._done / max(now - self._begun, 1e-6)
        left = (self._total or 0) - self._done
        minutes, seconds = divmod(round(left / max(speed, 1e-6)), 60)
        bad = f", {self._bad} bad" if self._bad else ""
        sys.stderr.write(f"\r\x1b[K{self._done} of {self._total}{bad}, {speed:.1f}/s, {minutes}:{seconds:02} left")
        sys.stderr.flush()
