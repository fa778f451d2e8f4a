"""Connections of clients that send or take nothing, on a server of its own in a thread."""

import asyncio
import contextlib
import socket
import struct
import threading
import time

import pytest
import uvicorn

from mil_asc.web import connections
from mil_asc.web.connections import HttpConnection, SocketConnection

SECONDS = 0.3
SIZE = 30_000_000
"""Bytes of an answer: more than the system keeps for a client."""
UPGRADE = (
    "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def answer(scope, receive, send):
    """A large body, or after a second a small one; a WebSocket that only listens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    body = b"a" * SIZE
    if scope["path"] == "/slow":
        await asyncio.sleep(4 * SECONDS)
        body = b"a"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(connections, "WATCH_SECONDS", SECONDS)
    config = uvicorn.Config(
        answer,
        http=HttpConnection,
        ws=SocketConnection,
        ws_ping_interval=None,  # it would end a connection that does not answer
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join()


def opened(port, text=""):
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    line.sendall(text.encode())
    return line


def received(line):
    """All bytes until the server ends the connection."""
    found = 0
    try:
        while part := line.recv(1_000_000):
            found += len(part)
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("text", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: "])
def test_client_without_a_complete_request_is_ended(port, text):
    with opened(port, text) as line:
        assert received(line) == 0


def test_bytes_of_a_header_now_and_then_do_not_keep_a_connection(port):
    with opened(port, "GET / HTTP/1.1\r\n") as line, pytest.raises(OSError):
        for _ in range(100):
            time.sleep(SECONDS / 3)
            line.sendall(b"a: b\r\n")


def test_client_that_takes_nothing_of_its_answer_is_ended(port):
    with opened(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") as line:
        time.sleep(5 * SECONDS)
        assert received(line) < SIZE


def test_slow_client_gets_its_answer(port):
    with opened(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as line:
        found = 0
        while part := line.recv(SIZE // 20):
            found += len(part)
            time.sleep(SECONDS / 10)
        assert found > SIZE


def test_slow_answer_arrives_and_the_connection_stays_for_another(port):
    with opened(port) as line:
        for _ in range(2):
            line.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            found = b""
            while not found.endswith(b"\r\n\r\na"):
                part = line.recv(10_000)
                assert part
                found += part


def upgraded(port):
    line = opened(port, UPGRADE)
    assert line.recv(1000).startswith(b"HTTP/1.1 101 ")
    return line


def test_quiet_web_socket_stays(port):
    with upgraded(port) as line:
        time.sleep(4 * SECONDS)
        line.sendall(frame(0x8, struct.pack(">H", 1000)))
        assert received(line) == 4  # that it ends, too


def frame(kind, content=b"", is_last=True):
    """A frame of a client, with a mask of zeros."""
    return bytes([0x80 * is_last | kind, 0x80 | len(content), 0, 0, 0, 0]) + content


@pytest.mark.parametrize("content", [frame(0x9, b"x" * 125), frame(0x0, is_last=False)], ids=["pings", "frames"])
def test_web_socket_that_makes_memory_grow_is_ended(port, content):
    """Pings whose answers nobody takes; a message of empty frames, without an end."""
    with upgraded(port) as line:
        # seen while sending, or only afterwards: the system takes some megabytes before the server reads them
        with contextlib.suppress(ConnectionError):
            line.sendall(frame(0x2, is_last=False))
            for _ in range(1000):
                line.sendall(content * 500)
        received(line)  # a TimeoutError if it has not been ended
