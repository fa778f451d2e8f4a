"""Work in several processes, with results in the order of the work or as they come, in bounded memory.

A process that dies, such as for lack of memory, is replaced, and what it was working on is tried again, at most
``TRIES`` times in all; then that it died is its result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

from mil_asc.errors import UserError
from mil_asc.runtime.worker_process import Died, Refused, Setup, WorkerProcess

LEAD = 64
"""Results per process that are kept until an earlier one is there."""
TRIES = 3
STARTS = 3
"""Processes that may be killed one after the other before they could work."""


def map_in_order(items: Iterable[Any], setup: Setup, jobs: int) -> Generator[tuple[Any, Any], None, None]:
    """(item, result) for every item, in their order.

    Arguments
    ---------
    items : iterable
        Picklable; taken as they are needed.
    setup : callable
        Makes the function that turns an item into a result; both must be picklable.
    jobs : int
        Processes.

    Raises
    ------
    UserError
        ``setup`` raised it.
    """
    with contextlib.closing(_Pool(items, setup, jobs, LEAD * jobs)) as pool:
        yield from pool.results()


def map_as_done(items: Iterable[Any], setup: Setup, jobs: int) -> Generator[tuple[Any, Any], None, None]:
    """As ``map_in_order``, but each as soon as it is there: none waits for an earlier one."""
    with contextlib.closing(_Pool(items, setup, jobs, None)) as pool:
        yield from pool.results()


class _Worker(WorkerProcess):
    """``position`` is that of the item it works on."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self.position: int | None = None
        self.ready = False


class _Pool:
    """``lead``: how many results may wait for an earlier one; None where none waits."""

    def __init__(self, items: Iterable[Any], setup: Setup, jobs: int, lead: int | None):
        self._items, self._setup, self._lead = enumerate(items), setup, lead
        self._workers = [_Worker(setup) for _ in range(jobs)]
        self._given: dict[int, Any] = {}  # items that were not yielded yet
        self._done: dict[int, Any] = {}
        self._next = self._killed_starts = 0
        self._deaths: dict[int, int] = {}  # items whose process died, and how often
        self._again: list[int] = []

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def results(self) -> Iterator[tuple[Any, Any]]:
        while True:
            for worker in self._workers:
                self._give(worker)
            if not self._given:
                return
            lines = {worker.line: worker for worker in self._workers if worker.position is not None or not worker.ready}
            for line in wait(list(lines)):
                self._take(lines[line])  # type: ignore[index]
            for worker in self._workers:  # none is idle while a result is used
                self._give(worker)
            while (position := self._first_done()) is not None:
                self._deaths.pop(position, None)
                yield self._given.pop(position), self._done.pop(position)
                self._next += 1

    def _first_done(self) -> int | None:
        """The position of a result that may be yielded."""
        if self._lead is None:
            return next(iter(self._done), None)
        return self._next if self._next in self._done else None

    def _give(self, worker: _Worker) -> None:
        """Give a free process the next item, unless too many results wait for an earlier one."""
        if worker.position is not None:
            return
        if self._again:
            position = self._again.pop()
        elif self._lead is not None and len(self._given) >= self._lead:
            return
        else:
            try:
                position, item = next(self._items)
            except StopIteration:
                return
            self._given[position] = item
        worker.position = position
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.line.send(self._given[position])  # if it died, its line is at its end, which _take notices

    def _take(self, worker: _Worker) -> None:
        """What a process sent, or that it ended."""
        try:
            message = worker.line.recv()
        except (EOFError, OSError):  # OSError: killed in the middle of a message
            self._replace(worker)
            return
        if isinstance(message, Refused):
            raise UserError(message.message)
        if not worker.ready:
            worker.ready = True
            self._killed_starts = 0
            return
        assert worker.position is not None
        self._done[worker.position], worker.position = message, None

    def _replace(self, worker: _Worker) -> None:
        reason = worker.end_reason()
        if not worker.ready:
            self._killed_starts += 1
            if (worker.process.exitcode or 0) >= 0 or self._killed_starts >= STARTS:
                raise UserError(f"a process ended before it could work ({reason}); try fewer --jobs")
        worker.close()
        self._workers[self._workers.index(worker)] = _Worker(self._setup)
        if worker.position is None:
            return
        self._deaths[worker.position] = self._deaths.get(worker.position, 0) + worker.ready
        if self._deaths[worker.position] < TRIES:
            self._again.append(worker.position)
        else:
            self._done[worker.position] = Died(f"the process that read it ended ({reason})")
