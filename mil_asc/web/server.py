"""The server of ``mil-asc serve``: a page, a JSON interface and live streams for one model."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from http import HTTPStatus
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

import mil_asc
from mil_asc.audio.ffmpeg import FFMPEG_SUFFIXES, has_ffmpeg
from mil_asc.errors import UserError
from mil_asc.web.connections import HttpConnection, SocketConnection
from mil_asc.web.example_sounds import Example, examples
from mil_asc.web.judging import Answer, JudgeSetup, refusal
from mil_asc.web.live_socket import RULES, LiveStreams
from mil_asc.web.openapi import describe
from mil_asc.web.safeguards import Safeguards
from mil_asc.web.server_settings import ServerSettings
from mil_asc.web.uploads import Body
from mil_asc.web.workers import Busy, Workers

STATIC = Path(__file__).parent / "static"
FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "w64", "caf")
DRAIN_SECONDS = 10.0
RETRY_SECONDS = 2
GRACE_SECONDS = 15
"""Recordings in work have so long to be answered when the server ends."""
BACKLOG, MOST_CONNECTIONS = 1024, 1000
GONE = 499
"""Nobody reads this status: the client left."""


class Server:
    """What answers the requests; ``app`` is the ASGI application.

    Arguments
    ---------
    settings : ServerSettings
        Model and limits.

    Raises
    ------
    UserError
        The model or the examples cannot be loaded.
    """

    def __init__(self, settings: ServerSettings):
        self._settings = settings
        explainer = settings.load()
        self._own, self._is_calibrated = explainer.interface, explainer.calibration is not None
        self._streams = LiveStreams(explainer, settings.streams)
        self._live = self._streams.state()
        self._examples: list[Example] = examples(settings.examples, self._own.labels, settings.bytes)
        setup = JudgeSetup(settings.load, settings.name, settings.minutes, settings.memory)
        self._workers = Workers(setup, settings.jobs, settings.queue, settings.seconds)
        routed = Starlette(
            routes=[
                Route("/", self._page),
                Route("/classify", self._classify, methods=["POST"]),
                Route("/model", self._model),
                Route("/examples", self._list_examples),
                Route("/examples/{id}", self._example),
                Route("/healthz", self._health),
                Route("/openapi.json", self._describe),
                WebSocketRoute("/live", self._streams.serve),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={HTTPException: _refused, Exception: _failed},
            lifespan=self._lifespan,
        )
        self.app = Safeguards(routed, settings.hosts)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        try:
            await self._workers.open()
            yield
        finally:
            self._workers.close()
            self._streams.close()

    # -- the page and what it asks for

    async def _page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def _model(self, request: Request) -> Response:
        own, told = self._own, self._settings
        suffixes = [suffix.lstrip(".") for suffix in FFMPEG_SUFFIXES] if has_ffmpeg() else []
        return JSONResponse(
            {
                "name": told.name,
                "version": mil_asc.__version__,
                "description": told.description,
                "labels": list(own.labels),
                "rule": own.rule,
                "sample_rate": own.sample_rate,
                "min_seconds": own.min_seconds,
                "calibrated": self._is_calibrated,
                "live": self._live,
                "limits": {"megabytes": told.megabytes, "minutes": told.minutes},
                "formats": [*FORMATS, *suffixes],
            }
        )

    async def _list_examples(self, request: Request) -> Response:
        found = [
            {"id": str(number), "name": one.name, "title": one.title, "url": f"/examples/{number}"}
            for number, one in enumerate(self._examples)
        ]
        return JSONResponse({"examples": found})

    async def _example(self, request: Request) -> Response:
        one = {str(number): one for number, one in enumerate(self._examples)}.get(request.path_params["id"])
        if one is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such example")
        try:
            return Response(await asyncio.to_thread(one.read), media_type=one.kind)
        except OSError as error:  # its file may have been removed since the start
            raise HTTPException(HTTPStatus.GONE, f"the example {one.name} is not there any more") from error

    async def _health(self, request: Request) -> Response:
        own = self._workers
        busy = {"jobs": own.jobs, "places": own.places, "taken": own.taken, "streams": self._streams.count}
        status, code = ("ok", HTTPStatus.OK) if own.is_able else ("failing", HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse(
            {"status": status, "model": self._settings.name, "version": mil_asc.__version__} | busy, code
        )

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(describe(self._own.labels, self._settings.minutes, self._settings.megabytes))

    # -- recordings

    async def _classify(self, request: Request) -> Response:
        body = Body(request, self._settings.bytes)
        try:
            async with self._workers.place():
                rule = request.query_params.get("assumption")
                if rule is not None and rule not in RULES:
                    reason = f"assumption must be one of {', '.join(RULES)}, got {rule!r:.40}"
                    raise HTTPException(HTTPStatus.BAD_REQUEST, reason)
                async with body.recording(self._settings.seconds) as (file, name):
                    answer = await _unless_gone(request, self._workers.judge(file, name, rule))
        except Busy:
            await body.drain(DRAIN_SECONDS)
            reason, retry = "too many recordings at once: try again in a moment", {"Retry-After": str(RETRY_SECONDS)}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, reason, retry) from None
        except HTTPException:
            await body.drain(DRAIN_SECONDS)
            raise
        except ClientDisconnect:
            answer = refusal(GONE, "the client left")
        except asyncio.CancelledError:  # GRACE_SECONDS are over
            answer = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server is ending")
        return Response(answer.body, answer.status, media_type="application/json")


async def _unless_gone(request: Request, work: Awaitable[Answer]) -> Answer:
    """The answer of ``work``, which is cancelled when the client leaves."""
    answer = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else refusal(GONE, "the client left")
    finally:
        answer.cancel()
        gone.cancel()


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed over this request"}, HTTPStatus.INTERNAL_SERVER_ERROR)


# -- the process


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; a ``UserError`` if the address is not there or taken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with contextlib.ExitStack() as opened:
            bound = opened.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
            opened.pop_all()
    except (OSError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError(f"cannot listen on {host}, port {port}: {reason}") from error
    return bound


def address_of(bound: socket.socket, is_secure: bool) -> str:
    """The address of the page, as a browser takes it."""
    host, port = bound.getsockname()[:2]
    return f"{'https' if is_secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def run_server(
    settings: ServerSettings, bound: socket.socket, certificate: Path | None = None, key: Path | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; recordings in work are answered before the end.

    The address is printed when requests are answered.

    Arguments
    ---------
    settings : ServerSettings
        Model and limits.
    bound : socket.socket
        That of ``listen``.
    certificate, key : Path, optional
        PEM files for HTTPS.

    Raises
    ------
    UserError
        The model, the examples or the certificate cannot be loaded.
    """
    server = Server(settings)
    config = uvicorn.Config(
        server.app,
        http=HttpConnection,
        ws=SocketConnection,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=20,
        ws_max_size=1_000_000,
        ws_per_message_deflate=False,  # a message of a kilobyte could be a megabyte of zeros
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:
        raise UserError(f"the certificate {certificate} or its key {key} cannot be used: {error.strerror}") from error
    running = _Uvicorn(config, address_of(bound, certificate is not None))
    running.run(sockets=[bound])
    if not running.started:
        raise UserError("the server could not start; the reason stands above")


class _Uvicorn(uvicorn.Server):
    """Says its address once it answers, and ends with status 0 when it is told to end."""

    def __init__(self, config: uvicorn.Config, address: str):
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and print the address."""
        await super().startup(sockets)
        if self.started:
            print(self._address)
            sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at SIGINT and SIGTERM, which are not raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
