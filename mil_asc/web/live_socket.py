"""Sound of a microphone through a WebSocket: the lines of ``mil-asc live --jsonl`` as they come."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from mil_asc.errors import ArgumentError, UserError
from mil_asc.inference.explainer import Explainer
from mil_asc.inference.stream import MOST_WINDOW_SECONDS, StreamedInstance, StreamingClassifier
from mil_asc.presentation.live_lines import FinalCounts, JsonLines

LOWEST_RATE, HIGHEST_RATE = 8000, 192000
QUIET_SECONDS = 30.0
"""A client that sends nothing for so long is gone."""
FINISH = "finish"
SAMPLE_BYTES = 4
RULES = ("smi", "cmi", "bag")
WINDOW = 10.0
CLOSE_NORMAL, CLOSE_BAD_DATA, CLOSE_TRY_LATER = 1000, 1007, 1013


class LiveStreams:
    """Streams of any number of clients, at most ``most`` at once; all computed by one model in a few threads.

    Arguments
    ---------
    explainer : Explainer
        The model.
    most : int
        Streams at once.
    """

    def __init__(self, explainer: Explainer, most: int):
        self._explainer, self._most, self.count = explainer, most, 0
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="live")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def state(self) -> dict[str, Any]:
        """Whether the model can judge a stream, with which delay, or why not."""
        try:
            stream = StreamingClassifier(self._explainer, WINDOW)
        except UserError as error:
            return {"available": False, "delay_seconds": None, "window_seconds": WINDOW, "reason": str(error)}
        delay = round(stream.delay_seconds, 3)
        return {"available": True, "delay_seconds": delay, "window_seconds": WINDOW, "reason": None}

    async def serve(self, socket: WebSocket) -> None:
        """One client: binary messages of float32 samples (little-endian, mono) until ``finish`` or its end."""
        await socket.accept()
        try:
            stream, rule = self._opened(socket.query_params)
        except (UserError, ArgumentError) as error:
            await _end(socket, CLOSE_BAD_DATA, str(error))
            return
        if self.count >= self._most:
            await _end(
                socket, CLOSE_TRY_LATER, f"{self._most} live streams are open, as many as may be: try again later"
            )
            return
        self.count += 1
        try:
            await _Client(socket, stream, rule, self._threads).run()
        except WebSocketDisconnect:
            pass  # the client left
        except (UserError, ArgumentError) as error:
            await _end(socket, CLOSE_BAD_DATA, str(error))
        finally:
            self.count -= 1

    def _opened(self, query: Any) -> tuple[StreamingClassifier, str | None]:
        rate, window = _number(query, "rate"), _number(query, "window", WINDOW)
        if rate != int(rate) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ArgumentError(f"rate must be a whole number of Hz, {LOWEST_RATE} to {HIGHEST_RATE}, got {rate:g}")
        if not 0 < window <= MOST_WINDOW_SECONDS:
            raise ArgumentError(f"window must be above 0, at most {MOST_WINDOW_SECONDS:g} s, got {window:g}")
        rule = query.get("assumption")
        if rule is not None and rule not in RULES:
            raise ArgumentError(f"assumption must be one of {', '.join(RULES)}, got {rule!r:.40}")
        return StreamingClassifier(self._explainer, window, int(rate)), rule


def _number(query: Any, name: str, default: float | None = None) -> float:
    text = query.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be a number, got {text!r:.40}") from error
    if not math.isfinite(value):
        raise ArgumentError(f"{name} must be a number, got {value}")
    return value


class _Client:
    def __init__(self, socket: WebSocket, stream: StreamingClassifier, rule: str | None, threads: ThreadPoolExecutor):
        self._socket, self._stream, self._rule, self._threads = socket, stream, rule, threads
        self._lines = JsonLines(stream, rule or stream.interface.rule)
        self._counts = FinalCounts(stream)
        self._waiting = bytearray()

    async def run(self) -> None:
        await self._socket.send_text(self._lines.begin("live"))
        while (data := await self._next()) is not None:
            self._waiting += data
            if len(self._waiting) >= SAMPLE_BYTES * self._stream.sample_rate:
                await self._step(self._push)
        if self._waiting:
            await self._step(self._push)
        await self._step(self._stream.finish)
        await self._socket.send_text(self._lines.summary(self._counts))
        await self._socket.close(CLOSE_NORMAL)

    async def _next(self) -> bytes | None:
        """The bytes of the next samples; None at the end that the client asks for."""
        try:
            with anyio.fail_after(QUIET_SECONDS):
                while (data := await self._received()) == b"":  # which would keep a place for ever
                    pass
        except TimeoutError as error:
            raise UserError(f"no sound came for {QUIET_SECONDS:g} s") from error
        return data

    async def _received(self) -> bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", CLOSE_NORMAL))
        data = message.get("bytes")
        if data is None:
            if message.get("text") == FINISH:
                return None
            raise UserError(f"send binary messages of float32 samples, or the text {FINISH!r} to end")
        if len(data) % SAMPLE_BYTES:
            raise UserError(f"a message has {len(data)} bytes: float32 samples have {SAMPLE_BYTES} each")
        return data

    def _push(self) -> list[StreamedInstance]:
        data, self._waiting = self._waiting, bytearray()
        return self._stream.push(np.frombuffer(data, "<f4"))

    async def _step(self, work: Callable[[], list[StreamedInstance]]) -> None:
        text = await asyncio.get_running_loop().run_in_executor(self._threads, self._line, work)
        await self._socket.send_text(text)

    def _line(self, work: Callable[[], list[StreamedInstance]]) -> str:
        found = work()
        self._counts.add(found)
        final = self._stream.scene(self._rule, provisional=False)
        return self._lines.line(found, final, self._stream.scene(self._rule))


async def _end(socket: WebSocket, code: int, reason: str) -> None:
    await socket.send_text(json.dumps({"event": "error", "error": reason}, ensure_ascii=False))
    await socket.close(code)
