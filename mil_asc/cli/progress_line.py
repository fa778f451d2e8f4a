"""How far a long job is: one line on standard error on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

EVERY = 0.1
"""Seconds between two updates of the line."""
EVERY_LINE = 60.0
"""Seconds between two lines."""


class ProgressLine:
    """Counts what is done of ``total``, and the audio in it.

    Arguments
    ---------
    total : int or None
        None: no line that changes is shown.
    lines : bool
        Print a line of its own now and then; for standard error that is no terminal.
    """

    def __init__(self, total: int | None, lines: bool = False):
        self._total, self._lines, self._done, self._bad, self._seconds = total, lines, 0, 0, 0.0
        self._every = EVERY_LINE if lines else EVERY
        self._begun = self._shown = time.monotonic()

    def step(self, seconds: float = 0.0, bad: bool = False) -> None:
        """One more is done, of so many seconds of audio."""
        self._done += 1
        self._bad += bad
        self._seconds += seconds
        now = time.monotonic()
        if (self._total is not None or self._lines) and now - self._shown >= self._every:
            self._shown = now
            self._show(now)

    def clear(self) -> None:
        """Remove the line, so that other text can be written."""
        if self._total is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def pace(self) -> str:
        """Hours of audio that are done, and per minute."""
        hours, minutes = self._seconds / 3600, (time.monotonic() - self._begun) / 60
        return f"{hours:.3g} hours of audio, {hours / max(minutes, 1e-6):.3g} a minute"

    def _show(self, now: float) -> None:
        speed = self._done / max(now - self._begun, 1e-6)
        bad = f", {self._bad} bad" if self._bad else ""
        if self._total is None:
            sys.stderr.write(f"{self._done} done{bad}, {speed:.1f}/s, {self.pace()}\n")
        else:
            minutes, seconds = divmod(round((self._total - self._done) / max(speed, 1e-6)), 60)
            hour_text = f", {self._seconds / 60 / max(now - self._begun, 1e-6):.3g} h of audio/min"
            text = f"{self._done} of {self._total}{bad}, {speed:.1f}/s{hour_text}, {minutes}:{seconds:02} left"
            sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
