"""Connections that end where a client sends no request, or takes nothing of what waits for it."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WATCH_SECONDS = 20.0
"""How often a connection is looked at; it ends if nothing has happened since the last time."""
MOST_UNREAD = 1_000_000
"""Bytes that may wait for the client of a WebSocket: its pings are answered whether it takes the answers or not."""
MOST_FRAMES = 1000
"""Frames of a message: the limit of its size does not count empty ones."""


class _State(NamedTuple):
    """Of a connection: its latest request, whether it waits for another one, and what waits for the client."""

    request: Any
    is_idle: bool
    resumed: int
    unread: int


class HttpConnection(H11Protocol):
    """HTTP with a limit of time for headers and for taking an answer; the time for a body is limited elsewhere."""

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        self._resumed = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch the connection."""
        super().connection_made(transport)
        self._watch(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no more."""
        self._unwatch()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave it to a WebSocket, which sends pings."""
        self._unwatch()
        super().handle_websocket_upgrade(event)

    def resume_writing(self) -> None:
        """The client has taken most of what waited for it."""
        self._resumed += 1
        super().resume_writing()

    def _watch(self, before: _State | None) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        now = _State(self.cycle, is_idle, self._resumed, self.transport.get_write_buffer_size())
        is_same = before is not None and before[:3] == now[:3] and now.unread >= before.unread
        if is_same and (is_idle or now.unread):
            self.transport.abort()
            return
        self._timer = self.loop.call_later(WATCH_SECONDS, self._watch, now)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class SocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket within ``MOST_UNREAD`` and ``MOST_FRAMES``."""

    def data_received(self, data: bytes) -> None:
        """Take what came; end where more than is allowed waits for the client, or for the end of its message."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MOST_UNREAD or len(self.frames) > MOST_FRAMES:
            self.transport.abort()
