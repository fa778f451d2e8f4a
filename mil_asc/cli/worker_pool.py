"""Work in several processes, with results in the order of the work, in bounded memory.

A process that dies, such as for lack of memory, is replaced, and what it was working on is reported.
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
    with contextlib.closing(_Pool(items, setup, jobs)) as pool:
        yield from pool.results()


class _Worker(WorkerProcess):
    """``position`` is that of the item it works on."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self.position: int | None = None
        self.ready = False


class _Pool:
    def __init__(self, items: Iterable[Any], setup: Setup, jobs: int):
        self._items, self._setup, self._lead = enumerate(items), setup, LEAD * jobs
        self._workers = [_Worker(setup) for _ in range(jobs)]
        self._given: dict[int, Any] = {}  # items that were not yielded yet
        self._done: dict[int, Any] = {}
        self._next = 0

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
            while self._next in self._done:
                yield self._given.pop(self._next), self._done.pop(self._next)
                self._next += 1

    def _give(self, worker: _Worker) -> None:
        """Give a free process the next item, unless too many results wait for an earlier one."""
        if worker.position is not None or len(self._given) >= self._lead:
            return
        for position, item in self._items:
            self._given[position] = item
            worker.position = position
            try:
                worker.line.send(item)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it died: its line is at its end, which _take notices
            return

    def _take(self, worker: _Worker) -> None:
        """What a process sent, or that it ended."""
        try:
            message = worker.line.recv()
        except (EOFError, ConnectionResetError):
            self._replace(worker)
            return
        if isinstance(message, Refused):
            raise UserError(message.message)
        if not worker.ready:
            worker.ready = True
            return
        assert worker.position is not None
        self._done[worker.position], worker.position = message, None

    def _replace(self, worker: _Worker) -> None:
        reason = worker.end_reason()
        if not worker.ready:
            raise UserError(f"a process ended before it could work ({reason}); try fewer --jobs")
        worker.close()
        self._workers[self._workers.index(worker)] = _Worker(self._setup)
        if worker.position is not None:
            self._done[worker.position] = Died(f"the process that read it ended ({reason})")
