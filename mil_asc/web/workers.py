"""The processes of the server, a bounded number of recordings in work and waiting."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import BinaryIO

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
        self.is_able = True
        """Whether its latest process could load the model."""

    def open(self) -> None:
        """Start the process and wait until it has loaded the model; a ``UserError`` if it cannot."""
        if self._worker is not None or self._is_closed:
            return
        try:
            worker = self._worker = WorkerProcess(self._setup)
        except OSError as error:
            self.is_able = False
            raise UserError(f"a process of the server cannot be started ({error.strerror})") from error
        try:
            self._wait_for(worker)
        except UserError:
            self.is_able = False
            self._drop(worker)
            raise
        self.is_able = True

    def _wait_for(self, worker: WorkerProcess) -> None:
        try:
            if self._is_closed or not worker.line.poll(START_SECONDS):
                raise UserError(f"a process of the server did not load the model within {START_SECONDS:g} s")
            said = worker.line.recv()
        except (EOFError, OSError) as error:
            raise UserError(f"a process of the server ended before it could work ({worker.end_reason()})") from error
        if isinstance(said, Refused):
            raise UserError(said.message)

    def judge(self, upload: Upload) -> Answer:
        """The answer to an upload, within the time there is for it; the process is ready for another one then."""
        answer = self._ask(upload)
        if self._worker is None:
            self._try_to_open()  # or else the next recording does
        return answer

    def _try_to_open(self) -> None:
        try:
            self.open()
        except UserError as error:
            if not self._is_closed:
                print(f"warning: {error}", file=sys.stderr)

    def _ask(self, upload: Upload) -> Answer:
        if self._worker is not None and not self._worker.process.is_alive():  # it did no work: no recording's fault
            self._drop(self._worker)
        self._try_to_open()
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

    @property
    def is_able(self) -> bool:
        """Whether recordings can be classified, as far as is known."""
        return any(slot.is_able for slot in self._slots)

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

    async def judge(self, file: BinaryIO, name: str, rule: str | None) -> Answer:
        """The answer to a recording, which is read when a process is free for it.

        Cancelling it frees its place; a process that works on it goes on to the end.
        """
        slot = await self._free.get()
        try:
            upload = Upload(await asyncio.to_thread(file.read), name, rule)
        except BaseException:
            self._free.put_nowait(slot)
            raise
        future = asyncio.get_running_loop().run_in_executor(self._threads, slot.judge, upload)
        future.add_done_callback(lambda _: self._free.put_nowait(slot))
        return await asyncio.shield(future)
