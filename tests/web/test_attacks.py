"""What a stranger may try against the server, beyond single recordings: floods, bombs, a full disk, another model."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading

import numpy as np
import pytest
from served import MODEL, RATE, Served, has_ended, noise, wait_until, wav_bytes
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mil_asc.audio.ffmpeg import has_ffmpeg
from mil_asc.packaging.sources import resolve_source

MEGABYTES = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    options = ("--jobs", 1, "--megabytes", MEGABYTES, "--memory", 0.5)
    with Served(tmp_path_factory.mktemp("attacks") / "tmp", *options) as served:
        yield served


def error_of(answer):
    return answer.json()["error"]


def test_client_that_asks_first_need_not_send_what_is_too_large(server):
    with asked_first(server, 90_000_000) as line:
        assert line.recv(10_000).startswith(b"HTTP/1.1 413 ")


def test_client_that_asks_first_is_told_to_send_the_rest(server):
    data = wav_bytes(noise(2))
    with asked_first(server, len(data)) as line:
        assert line.recv(10_000).startswith(b"HTTP/1.1 100 ")
        line.sendall(data)
        assert line.recv(10_000).startswith(b"HTTP/1.1 200 ")


def asked_first(server, length):
    """A connection that has sent the headers of a recording, and asks whether it may go on."""
    port = int(server.address.rpartition(":")[2])
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n"
    line.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
    return line


@pytest.mark.parametrize("origin", ["http://[::1", "http://[", "null", "", "//"])
def test_origin_that_is_no_address_is_refused(server, origin):
    answer = server.get("/model", headers={"Origin": origin})
    assert (answer.status_code, error_of(answer)) == (403, "pages of other sites may not use this server")
    assert "Content-Security-Policy" in answer.headers


def test_flood_of_tiny_and_empty_messages_is_a_stream_like_another(server):
    wav_N = noise(1.5).astype("<f4")
    with connect(f"ws{server.address.removeprefix('http')}/live?rate={RATE}") as line:
        for sample in wav_N:
            line.send(sample.tobytes())
            line.send(b"")
        line.send("finish")
        lines = [json.loads(text) for text in line]
    assert [one["event"] for one in lines] == ["begin", "second", "second", "second", "end"]
    assert lines[-1]["time"] == 1.5


def test_messages_are_not_inflated(server):
    """A kilobyte could be a megabyte of zeros."""
    with connect(f"ws{server.address.removeprefix('http')}/live?rate={RATE}") as line:
        assert "Sec-WebSocket-Extensions" not in line.response.headers
        line.send(bytes([1, 2, 3]))
        with pytest.raises(ConnectionClosed):
            while True:
                line.recv(timeout=30)


@pytest.mark.slow
@pytest.mark.skipif(not has_ffmpeg(), reason="ffmpeg is not installed")
def test_hours_of_silence_in_a_few_kilobytes_are_refused(server, tmp_path):
    path = tmp_path / "a.webm"
    source = ("-f", "lavfi", "-i", "anullsrc=r=192000:cl=7.1", "-t", "150", "-c:a", "flac", "-f", "matroska", path)
    subprocess.run(["ffmpeg", "-v", "error", *source], check=True)
    answer = server.post(path.read_bytes(), "a.webm")
    assert answer.status_code == 413
    assert error_of(answer) == "a.webm: decoded, it takes more memory than is allowed: cut it into parts"


@pytest.mark.parametrize("is_form", (False, True))
def test_full_disk_is_said_and_small_recordings_go_on(server, is_form):
    """No file may be larger than 2 MB here, which a full disk does too."""
    data = os.urandom(4_000_000)
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    try:
        options = {"files": {"file": ("a.wav", data)}, "headers": {"Content-Type": None}} if is_form else {}
        answer = server.post(None if is_form else data, **options)
        assert (answer.status_code, error_of(answer)) == (503, "the server has no room for the recording at present")
        assert server.post(wav_bytes(noise(2))).status_code == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
    assert server.post(data).status_code == 415
    assert "warning: no room for a recording (File too large)" in server.said()
    assert "Traceback" not in server.said()


@pytest.mark.slow
def test_waiting_recordings_take_no_memory(server):
    """They lie in files without names until a process is free."""
    (worker,) = server.workers()
    data = wav_bytes(np.tile(noise(10), 15))
    before, answers = server.memory(), []
    os.kill(worker, signal.SIGSTOP)
    threads = [threading.Thread(target=lambda: answers.append(server.post(data))) for _ in range(20)]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: server.get("/healthz").json()["taken"] == 20)
        wait_until(lambda: _open_files(server.process.pid) >= 20)
        assert server.memory() - before < 60
    finally:
        os.kill(worker, signal.SIGCONT)
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert server.files() == []


def _open_files(pid):
    """Complete temporary files that a process holds."""
    folder = f"/proc/{pid}/fd"
    found = 0
    for name in os.listdir(folder):
        try:
            path = f"{folder}/{name}"
            found += "(deleted)" in os.readlink(path) and os.stat(path).st_size > 4_000_000
        except FileNotFoundError:
            pass
    return found


@pytest.mark.slow
def test_other_model_in_the_same_place_is_refused(tmp_path):
    """A process that is replaced would load it, with other classes."""
    folder = tmp_path / "model"
    shutil.copytree(resolve_source(MODEL), folder)
    with Served(tmp_path / "tmp", "--jobs", 1, model=folder) as server:
        assert server.post(wav_bytes(noise(2))).status_code == 200
        assert server.get("/healthz").status_code == 200
        shutil.rmtree(folder)
        shutil.copytree(resolve_source("esc10-fuse"), folder)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: has_ended(worker))
        answer = server.post(wav_bytes(noise(2)))
        assert (answer.status_code, error_of(answer)) == (503, "the server cannot classify at present")
        health = server.get("/healthz")
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        assert "the files of the model have changed since the server was started" in server.said()
        shutil.rmtree(folder)
        shutil.copytree(resolve_source(MODEL), folder)
        assert server.post(wav_bytes(noise(2))).status_code == 200
        assert server.get("/healthz").status_code == 200


@pytest.mark.slow
def test_end_while_a_process_is_replaced(tmp_path):
    with Served(tmp_path / "tmp", "--jobs", 1) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: has_ended(worker))
        thread = threading.Thread(target=lambda: server.post(wav_bytes(noise(2))))
        thread.start()
        wait_until(lambda: server.workers() not in ([], [worker]))
        (other,) = set(server.workers()) - {worker}
        assert server.stop() == 0
        thread.join(60)
        wait_until(lambda: has_ended(other))


@pytest.mark.slow
def test_upload_that_has_not_arrived_at_the_end_gets_one_line(tmp_path):
    with Served(tmp_path / "tmp", "--jobs", 1) as server:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.post(_endless())))
        thread.start()
        wait_until(lambda: server.get("/healthz").json()["taken"] == 1)
        assert server.stop() == 0
        thread.join(60)
        assert (answers[0].status_code, error_of(answers[0])) == (503, "the server is ending")
        assert "Traceback" not in server.said()
        assert server.files() == []


def _endless():
    for _ in range(600):
        threading.Event().wait(0.05)
        yield b"x" * 100
