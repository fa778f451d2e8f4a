"""A process that works on what it is sent, and that may die without harm to the one that uses it.

It ends when its parent does, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from mil_asc.errors import ArgumentError, UserError

Work = Callable[[Any], Any]
Setup = Callable[[], Work]
"""Called once in each process; must be picklable."""


class Died(NamedTuple):
    """In place of a result: why the process that worked on it ended, in a few words."""

    reason: str


class Refused(NamedTuple):
    """What a process sends when its set-up is refused with a ``UserError``."""

    message: str


class WorkerProcess:
    """A process and the line to it.

    It first sends None when its set-up is done, or ``Refused``; then, through ``line``, a result for each item that it
    is sent. A line at its end means that the process has ended.

    Arguments
    ---------
    setup : callable
        Makes the function that turns an item into a result; picklable.
    """

    def __init__(self, setup: Setup):
        context = get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, setup), daemon=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: Ctrl-C is the parent's alone
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        other.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.line.close()

    def end_reason(self) -> str:
        """Why the process ended; waits for its end."""
        self.process.join()
        status = self.process.exitcode
        if status is not None and status < 0:
            return f"{signal.Signals(-status).name}: short of memory, or stopped"
        return f"exit status {status}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _serve(line: Connection, setup: Setup) -> None:
    """The process: results of the items that come in, until there are no more or the parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work = setup()
    except (UserError, ArgumentError) as error:
        line.send(Refused(str(error)))
        return
    line.send(None)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent ended
        while True:
            line.send(work(line.recv()))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
