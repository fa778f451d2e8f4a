"""The server under load, hostile uploads, clients that leave, and a kill."""

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from damaged_files import write_damaged_files
from served import MODEL, Served, noise, wait_until, wav_bytes

from mil_asc.inference.onnx import OnnxSceneClassifier

pytestmark = pytest.mark.slow
MOST_MEGABYTES = 1200
"""Of the server and two processes, whose model and libraries take some 100 MB each."""


@pytest.fixture
def server(tmp_path):
    with Served(tmp_path / "tmp", "--jobs", 2) as served:
        yield served


@contextlib.contextmanager
def bounded_memory(server, seconds=0.2):
    """Watches the memory of a server, which stays below ``MOST_MEGABYTES``."""
    found, is_over = [server.memory()], threading.Event()

    def watch():
        while not is_over.wait(seconds):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a process was replaced
                found.append(server.memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert max(found) < MOST_MEGABYTES


def test_fifty_clients_get_their_own_answers(server, tmp_path):
    classifier = OnnxSceneClassifier.from_hparams(MODEL, threads=1)
    sounds = [noise(2 + 0.5 * number, number) for number in range(10)]
    expected = []
    for number, wav_N in enumerate(sounds):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(wav_bytes(wav_N))
        expected.append(classifier.explain_file(path))

    def client(number):
        wrong = 0
        for turn in range(4):
            which = (number + turn) % len(sounds)
            answer = server.post((tmp_path / f"{which}.wav").read_bytes(), f"{number}-{turn}.wav")
            assert answer.status_code == 200, answer.text
            found, scene = answer.json(), expected[which]
            same = found["name"] == f"{number}-{turn}.wav" and found["label"] == scene.label
            same &= found["scores"]["smi"] == pytest.approx(scene.scores["smi"], abs=1e-5)
            wrong += not same
        return wrong

    with bounded_memory(server), ThreadPoolExecutor(50) as clients:
        assert sum(clients.map(client, range(50))) == 0
    assert server.get("/healthz").json()["taken"] == 0
    assert server.files() == []


def test_hostile_uploads_get_one_line_and_the_server_stays(server, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    paths = write_damaged_files(folder, seed=11)
    uploads = [(path.read_bytes() or b"x", path.name) for path in paths]
    rng = np.random.default_rng(0)
    whole = wav_bytes(noise(3))
    uploads += [(rng.bytes(int(rng.integers(1, 100_000))), f"{i}.m4a") for i in range(20)]
    uploads += [(whole[:44] + bytes(3_000_000), "zeros.wav"), (b"RIFF" + b"\xff" * 2_000_000, "riff.wav")]
    names = (
        "../" * 50 + "a.wav",
        "a\x00.wav",
        "\U0001f600" * 500,
        "%00%0a",
        "<script>alert(1)</script>.wav",
        "-i.m4a",
    )
    uploads += [(whole, name) for name in names]
    assert len(uploads) >= 200

    def send(upload):
        answer = server.post(*upload)
        assert answer.status_code in (200, 413, 415, 422), (upload[1], answer.status_code, answer.text)
        assert str(tmp_path) not in answer.text
        assert "Traceback" not in answer.text
        assert "/proc" not in answer.text
        if answer.status_code != 200:
            assert answer.json()["error"].isprintable()
        return answer.status_code

    with bounded_memory(server), ThreadPoolExecutor(4) as clients:
        statuses = list(clients.map(send, uploads))
    assert statuses[-len(names) :] == [200, 200, 200, 200, 200, 415]
    assert "Traceback" not in server.said()
    assert server.files() == []
    assert server.post(whole).status_code == 200


def test_clients_that_leave_free_their_places(server):
    data = wav_bytes(np.tile(noise(60), 4))
    port = int(server.address.rpartition(":")[2])
    head = f"POST /classify?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(data)}\r\n\r\n"
    for sent in (0, 1000, len(data) // 2, len(data), len(data), len(data)):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(head.encode() + data[:sent])
            wait_until(lambda: server.get("/healthz").json()["taken"] >= 1)
    wait_until(lambda: server.get("/healthz").json()["taken"] == 0)
    assert server.post(wav_bytes(noise(2))).status_code == 200
    assert server.files() == []
    assert "Traceback" not in server.said()


def test_kill_under_load_leaves_nothing_behind(server):
    data, statuses, lost = wav_bytes(noise(30)), [], []

    def client(_):
        for _ in itertools.count():
            try:
                answer = server.post(data)
            except requests.RequestException as error:
                lost.append(error)
                return
            statuses.append(answer.status_code)

    with ThreadPoolExecutor(10) as clients:
        done = clients.map(client, range(10))
        wait_until(lambda: len(statuses) >= 10)
        workers = server.workers()
        assert len(workers) == 2
        os.kill(server.process.pid, signal.SIGKILL)
        list(done)
    assert set(statuses) == {200}
    assert len(lost) == 10
    wait_until(lambda: not any(_exists(pid) for pid in workers))
    time.sleep(0.2)
    assert server.files() == []


def _exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
