"""The recording of a request, received within limits of size and time, and kept outside memory and folders."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import unicodedata
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import BinaryIO, cast

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from mil_asc.errors import printable

IN_MEMORY = 1_000_000
"""Bytes of an upload that are kept in memory until it is judged; more lie in a file without a name."""
MULTIPART_EXTRA = 20_000
"""What a form may hold besides the recording (in bytes)."""
DRAINED = 4
"""So many times the limit are received and thrown away, since most clients read an answer only after they have sent."""
NAME_LENGTH = 120
DEFAULT_NAME = "recording"
SUFFIXES = {
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "video/mp4": ".mp4",
    "audio/aac": ".aac",
    "audio/webm": ".webm",
    "video/webm": ".webm",
}
"""Media type -> ending of the name, for formats that are recognised by it."""


class Body:
    """The body of a request that carries a recording: the part ``file`` of a form, or else the body itself.

    Arguments
    ---------
    request : Request
        Its body must not have been read.
    limit : int
        Largest recording (in bytes).
    """

    def __init__(self, request: Request, limit: int):
        self._request, self._limit = request, limit
        self._most = limit + MULTIPART_EXTRA
        self._count, self._is_complete = 0, False

    @contextlib.asynccontextmanager
    async def recording(self, seconds: float) -> AsyncIterator[tuple[BinaryIO, str]]:
        """The recording as a file, at its start and only as long as the block lasts, and its name.

        Arguments
        ---------
        seconds : float
            Longest time to receive it.

        Raises
        ------
        HTTPException
            408 if it takes too long, 413 if it is too large, 415 of a form without files, 400 if there is none, 503 if
            the disk is full; ``detail`` is one line.
        """
        stated = self._request.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > self._most:
            raise too_large(self._limit)
        async with contextlib.AsyncExitStack() as opened:
            try:
                with anyio.fail_after(seconds):
                    found = await self._recording(opened)
            except TimeoutError as error:
                reason = f"the recording did not arrive within {seconds:g} s"
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, reason) from error
            except OSError as error:
                print(f"warning: no room for a recording ({error.strerror})", file=sys.stderr)
                reason = "the server has no room for the recording at present"
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason) from error
            yield found

    async def drain(self, seconds: float) -> None:
        """Receive and throw away what is left of a body of bearable size: most clients read an answer only then.

        A client that asked whether to send its body (``Expect: 100-continue``) and has not been told to is not.
        """
        if self._count == 0 and self._request.headers.get("expect", "").lower() == "100-continue":
            return
        try:
            with anyio.fail_after(seconds):
                while not self._is_complete and self._count <= DRAINED * self._limit:
                    await self._next()
        except (TimeoutError, ClientDisconnect):
            return

    async def _next(self) -> Message:
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            self._is_complete = True
            raise ClientDisconnect
        self._count += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        return message

    async def _limited(self) -> Message:
        message = await self._next()
        if self._count > self._most:
            raise too_large(self._limit)
        return message

    async def _recording(self, opened: contextlib.AsyncExitStack) -> tuple[BinaryIO, str]:
        kind = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._of_form(opened)
        if kind == "application/x-www-form-urlencoded":
            raise HTTPException(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "a web form without files: send a form with the part 'file' (curl -F file=@FILE), or the file itself "
                "(curl --data-binary @FILE -H 'Content-Type: application/octet-stream')",
            )
        file = cast(BinaryIO, opened.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY)))
        while not self._is_complete:
            message = await self._limited()
            await asyncio.to_thread(file.write, message.get("body", b""))
        return self._checked(file), clean_name(self._request.query_params.get("name", DEFAULT_NAME), kind)

    async def _of_form(self, opened: contextlib.AsyncExitStack) -> tuple[BinaryIO, str]:
        limited = Request(self._request.scope, self._limited)
        form = await opened.enter_async_context(limited.form(max_files=1, max_fields=8, max_part_size=2000))
        part = form.get("file")
        if part is None or isinstance(part, str):
            reason = "the form has no recording: name the part 'file' (curl -F file=@FILE)"
            raise HTTPException(HTTPStatus.BAD_REQUEST, reason)
        return self._checked(part.file), clean_name(part.filename or DEFAULT_NAME, part.content_type or "")

    def _checked(self, file: BinaryIO) -> BinaryIO:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size == 0:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "there is no recording: the body is empty")
        if size > self._limit:
            raise too_large(self._limit)
        return file


def too_large(limit: int) -> HTTPException:
    """The answer to a recording of too many bytes."""
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the recording is too large: at most {limit / 1e6:g} MB are allowed here"
    )


def clean_name(name: str, kind: str = "") -> str:
    r"""What a recording is called: the last part of its path, in one printable line of at most 120 characters.

    Without an ending it gets that of its media type ``kind``, if the format is recognised by it.

    Example
    -------
    >>> clean_name("C:\\sounds\\street.wav"), clean_name("../../etc/passwd"), clean_name("", "audio/mp4")
    ('street.wav', 'passwd', 'recording.m4a')
    """
    path = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/").replace("\0", ""))
    last = printable(path.name) or DEFAULT_NAME
    suffix = path.suffix if len(path.suffix) <= 10 else ""
    if not suffix:
        return last[:NAME_LENGTH] + SUFFIXES.get(kind, "")
    return last if len(last) <= NAME_LENGTH else last[: NAME_LENGTH - len(suffix)] + printable(suffix)
