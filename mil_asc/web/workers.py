"""The processes of the server, a bounded number of recordings in work and waiting."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus

from mil_asc.errors import UserError
from mil_asc.runtime.worker_process import Refused, WorkerProcess
from mil_asc.web.judging import Answer, JudgeSetup, Upload, refusal

START_SECONDS = 120.0
"""Longest time for a process to load the model."""


class Busy(Exception):
    """As many recordings are in work and waiting as may be."""


class Slot:
    """A process that judges one recording at a time, and is replaced when it dies or takes too long."""

    def __init__(self, setup: JudgeSetup, seconds: float):
        self._setup, self._seconds = setup, seconds
        self._worker: WorkerProcess | None = None
        self._is_closed = False

    def open(self) -> None:
        """Start the process and wait until it has loaded the model; a ``UserError`` if it cannot."""
        if self._worker is not None or self._is_closed:
            return
        worker = WorkerProcess(self._setup)
        try:
            if not worker.line.poll(START_SECONDS):
                raise UserError(f"a process of the server did not load the model within {START_SECONDS:g} s")
            said = worker.line.recv()
        except EOFError as error:
            raise UserError(f"a process of the server ended before it could work ({worker.end_reason()})") from error
        if isinstance(said, Refused):
            raise UserError(said.message)
        self._worker = worker

    def judge(self, upload: Upload) -> Answer:
        """The answer to an upload, within the time there is for it; the process is ready for another one then."""
        answer = self._ask(upload)
        if self._worker is None:
            try:
                self.open()
            except UserError as error:  # the next recording tries again
                print(f"warning: {error}", file=sys.stderr)
        return answer

    def _ask(self, upload: Upload) -> Answer:
        if self._worker is not None and not self._worker.process.is_alive():  # it did no work: no recording's fault
            self._drop(self._worker)
        try:
            self.open()
        except UserError as error:
            print(f"warning: {error}", file=sys.stderr)
        worker = self._worker
        if worker is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server cannot classify at present")
        try:
            worker.line.send(upload)
            if not worker.line.poll(self._seconds):
                self._drop(worker)
                reason = f"{upload.name}: takes longer than {self._seconds:g} s, which is the limit here"
                return refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason)
            return worker.line.recv()
        except (EOFError, OSError):
            reason = worker.end_reason()
            self._drop(worker)
            print(f"warning: a process ended over a recording ({reason}), and is replaced", file=sys.stderr)
            reason = f"{upload.name}: could not be processed: the process that read it ended"
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, reason)

    def _drop(self, worker: WorkerProcess) -> None:
        worker.close()
        self._worker = None

    def close(self) -> None:
        """End the process; recordings in work get an answer that says so."""
        self._is_closed = True
        if self._worker is not None:
            self._worker.process.kill()


class Workers:
    """All processes; their methods belong to one event loop.

    Arguments
    ---------
    setup : JudgeSetup
        What each process does.
    jobs, queue : int
        Processes, and recordings that may wait for one.
    seconds : float
        Longest time for one recording.
    """

    def __init__(self, setup: JudgeSetup, jobs: int, queue: int, seconds: float):
        self._slots = [Slot(setup, seconds) for _ in range(jobs)]
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="slot")
        self.jobs, self.places, self.taken = jobs, jobs + queue, 0

    async def open(self) -> None:
        """Start all processes; a ``UserError`` if one cannot load the model."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, slot.open) for slot in self._slots))
        for slot in self._slots:
            self._free.put_nowait(slot)

    def close(self) -> None:
        """End all processes."""
        for slot in self._slots:
            slot.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places for recordings that arrive, wait or are in work; ``Busy`` where all are taken."""
        if self.taken >= self.places:
            raise Busy
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def judge(self, upload: Upload) -> Answer:
        """The answer to an upload. Cancelling it frees its place; a process that works on it goes on to the end."""
        slot = await self._free.get()
        future = asyncio.get_running_loop().run_in_executor(self._threads, slot.judge, upload)
        future.add_done_callback(lambda _: self._free.put_nowait(slot))
        return await asyncio.shield(future)
