"""The WebSocket of the live view: the lines of ``mil-asc live --jsonl``, and one line for what is refused."""

import asyncio
import json
import socket

import numpy as np
import pytest
import soundfile
from served import MODEL, RATE, Served, noise, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mil_asc.cli.main import main
from mil_asc.errors import UserError
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.stream import StreamingClassifier
from mil_asc.web import live_socket


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("live") / "tmp", "--jobs", 1, "--streams", 2) as served:
        yield served


def opened(server, query=f"rate={RATE}", **options):
    return connect(f"ws{server.address.removeprefix('http')}/live?{query}", **options)


def follow(server, parts, query=f"rate={RATE}"):
    """All that comes back for parts of a waveform."""
    with opened(server, query) as line:
        for part_n in parts:
            line.send(np.asarray(part_n, "<f4").tobytes())
        line.send("finish")
        return [json.loads(text) for text in line]


def test_lines_are_those_of_the_command(server, tmp_path, capsys):
    wav_N = noise(12.4, 4).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav_N, RATE, subtype="FLOAT")
    options = ["--model", MODEL, "--window", "8", "--assumption", "cmi", "--jsonl"]
    assert main(["live", str(tmp_path / "a.wav"), *options]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    parts = [wav_N[first : first + RATE] for first in range(0, len(wav_N), RATE)]
    found = follow(server, parts, f"rate={RATE}&window=8&assumption=cmi")
    for line in (expected[0], found[0]):
        del line["source"]
    assert found == expected


@pytest.mark.parametrize("rate", (RATE, 48000))
def test_final_instances_are_those_of_the_recording(server, rate):
    wav_N = np.repeat(noise(9, 5), rate // RATE).astype(np.float32)
    rng = np.random.default_rng(1)
    cuts = np.sort(rng.integers(0, len(wav_N), 30))
    lines = follow(server, np.split(wav_N, cuts), f"rate={rate}")
    found = [one for line in lines if line["event"] == "second" for one in line["instances"] if one["final"]]
    scene = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_waveform(wav_N, sample_rate=rate)
    assert [one["position"] for one in found] == list(range(len(scene.instances)))
    for one, expected in zip(found, scene.instances):
        assert one["scores"] == pytest.approx(expected.scores, abs=2e-5)
    assert lines[-1]["event"] == "end"


@pytest.mark.parametrize(
    "query, sent, words",
    (
        ("", [], "rate must be a number"),
        ("rate=100", [], "rate must be a whole number of Hz, 8000 to 192000, got 100"),
        ("rate=nan", [], "rate must be a number, got nan"),
        ("rate=16000&window=0", [], "window must be above 0"),
        ("rate=16000&window=inf", [], "window must be a number, got inf"),
        ("rate=16000&assumption=all", [], "assumption must be one of smi, cmi, bag"),
        ("rate=16000", [b"abc"], "a message has 3 bytes"),
        ("rate=16000", ["hello"], "send binary messages"),
        ("rate=16000", [np.full(20000, np.nan, "<f4").tobytes()], "NaN"),
        ("rate=16000", [np.zeros(20000, "<f4").tobytes(), "finish"], "silent"),
        ("rate=16000", [b"", np.ones(100, "<f4").tobytes(), "finish"], "too short"),
    ),
)
def test_what_is_refused_gets_one_line(server, query, sent, words):
    with opened(server, query) as line:
        for message in sent:
            line.send(message)
        lines = []
        with pytest.raises(ConnectionClosed):
            while True:
                lines.append(json.loads(line.recv(timeout=30)))
    assert lines[-1]["event"] == "error"
    assert words in lines[-1]["error"]
    assert lines[-1]["error"].isprintable()


def test_number_of_streams_is_limited_and_a_client_that_leaves_frees_its_place(server):
    def count():
        return server.get("/healthz").json()["streams"]

    wait_until(lambda: count() == 0)
    with opened(server) as first, opened(server) as second:
        assert json.loads(first.recv())["event"] == json.loads(second.recv())["event"] == "begin"
        with opened(server) as third:
            assert "2 live streams are open" in json.loads(third.recv())["error"]
        second.socket.close()  # without a word
        wait_until(lambda: count() == 1)
    wait_until(lambda: count() == 0)


def test_pages_of_other_sites_and_other_names_are_refused(server):
    port = server.address.rpartition(":")[2]
    with pytest.raises(InvalidStatus) as refused, opened(server, origin="http://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403
    plain = socket.create_connection(("127.0.0.1", int(port)))
    address = f"ws://elsewhere.example:{port}/live?rate=16000"
    with pytest.raises(InvalidStatus) as refused, connect(address, sock=plain):
        pass
    assert refused.value.response.status_code == 403


def test_message_that_is_too_large_closes_the_connection(server):
    with opened(server) as line, pytest.raises(ConnectionClosed):
        line.send(bytes(1_100_000))
        while True:
            line.recv(timeout=30)
    assert server.get("/healthz").status_code == 200


def test_silence_at_the_beginning_is_no_scene_in_the_summary(server):
    wav_N = np.concatenate([np.zeros(6 * RATE), noise(3, 5)])
    *_, end = follow(server, np.array_split(wav_N, 9))
    assert end["event"] == "end" and end["silent_instances"] > 5
    assert 0 < sum(end["counts"].values()) < end["silent_instances"]


class Quiet:
    """A client that sends empty messages, and no sound."""

    def __init__(self):
        self.sent = 0

    async def receive(self):
        self.sent += 1
        assert self.sent < 200, "it may go on for ever"
        await asyncio.sleep(0.01)
        return {"type": "websocket.receive", "bytes": b""}


def test_empty_messages_are_no_sound(monkeypatch):
    monkeypatch.setattr(live_socket, "QUIET_SECONDS", 0.1)
    stream = StreamingClassifier(OnnxSceneClassifier.from_hparams(MODEL, threads=1))
    client = live_socket._Client(Quiet(), stream, None, None)
    with pytest.raises(UserError, match="^no sound came for 0.1 s$"):
        asyncio.run(client._next())
