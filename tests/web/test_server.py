"""``mil-asc serve``: scenes as those of the command line, one line for what cannot be judged, nothing left behind."""

import signal
import subprocess
import sys
import threading

import jsonschema
import numpy as np
import pytest
import requests
from served import MODEL, Served, has_ended, noise, wait_until, wav_bytes

from mil_asc.audio.ffmpeg import has_ffmpeg
from mil_asc.cli import serve_command
from mil_asc.cli.main import main
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.web.openapi import describe
from mil_asc.web.safeguards import HEADERS
from mil_asc.web.uploads import clean_name


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("server") / "tmp", "--jobs", 1, "--megabytes", 2, "--minutes", 0.5) as served:
        yield served


@pytest.fixture(scope="module")
def classifier():
    return OnnxSceneClassifier.from_hparams(MODEL, threads=1)


def error_of(answer):
    """The message of an answer without a scene: one printable line."""
    assert answer.headers["content-type"] == "application/json"
    message = answer.json()["error"]
    assert answer.json() == {"error": message}
    assert message.isprintable()
    return message


# -- scenes


@pytest.mark.parametrize("rule", (None, "smi", "cmi", "bag"))
def test_scene_is_that_of_the_file(server, classifier, tmp_path, rule):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(noise(7.3, 1)))
    found = server.post(path.read_bytes(), params={} if rule is None else {"assumption": rule}).json()
    scene = classifier.explain_file(path, rule)
    assert (found["label"], found["assumption"]) == (scene.label, scene.assumption)
    assert (found["probability"], found["unfamiliarity"]) == pytest.approx((scene.probability, scene.unfamiliarity))
    assert found["familiar"] is scene.familiar
    assert found["scores"] == {each: pytest.approx(scores, abs=1e-6) for each, scores in scene.scores.items()}
    assert len(found["instances"]) == len(scene.instances)
    for one, expected in zip(found["instances"], scene.instances):
        assert (one["label"], one["positive"]) == (expected.label, expected.positive)
        assert (one["start"], one["end"]) == pytest.approx((expected.start, expected.end), abs=1e-4)
        assert one["scores"] == pytest.approx(expected.scores, abs=1e-4)
    assert found["duration"] == pytest.approx(7.3)


def test_form_and_body_give_the_same_answer(server):
    data = wav_bytes(noise(3, 2))
    form = requests.post(f"{server.address}/classify", files={"file": ("a.wav", data)}, timeout=60)
    assert form.status_code == 200
    assert form.json() == server.post(data).json()


def test_answers_are_as_the_description_says(server):
    described = server.get("/openapi.json").json()
    schemas = described["components"]
    answers = {
        "Scene": server.post(wav_bytes(noise(2))),
        "Error": server.post(b"no sound"),
        "Model": server.get("/model"),
        "Examples": server.get("/examples"),
        "Health": server.get("/healthz"),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": schemas}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
    labels = server.get("/model").json()["labels"]
    assert described == describe(labels, 0.5, 2)


def test_peaks_moments_and_labels_agree_with_the_recording(server):
    wav_N = noise(4, 3)
    found = server.post(wav_bytes(wav_N, subtype="FLOAT")).json()
    low, high = np.array(found["peaks"]).reshape(-1, 2).T
    assert len(low) == 1000
    assert (low.min(), high.max()) == pytest.approx((wav_N.min(), wav_N.max()), abs=1e-4)
    rows = [line.split("\t") for line in found["audacity"].splitlines()]
    assert [[float(row[0]), float(row[1])] for row in rows] == [
        pytest.approx([one["start"], one["end"]], abs=1e-3) for one in found["moments"]
    ]


def test_examples_can_be_classified(server):
    for one in server.get("/examples").json()["examples"]:
        sound = server.get(one["url"])
        assert sound.headers["content-type"] == "audio/wav"
        found = server.post(sound.content, one["name"])
        assert found.status_code == 200
        assert found.json()["familiar"] is ("noise" not in one["name"])


@pytest.mark.parametrize("name", ("99", "-1", "x", "9" * 5000, "\u0663"))
def test_example_that_is_not_listed_is_not_found(server, name):
    answer = server.get(f"/examples/{name}")
    assert answer.status_code == 404 and error_of(answer) == "there is no such example"


def test_example_whose_file_was_removed_is_gone(tmp_path):
    (tmp_path / "sounds").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "sounds" / name).write_bytes(wav_bytes(noise(1, 0)))
    with Served(tmp_path / "tmp", "--jobs", 1, "--examples", tmp_path / "sounds") as served:
        (tmp_path / "sounds/a.wav").unlink()
        answer = served.get("/examples/0")
        assert answer.status_code == 410 and error_of(answer) == "the example a.wav is not there any more"
        assert served.get("/examples/1").status_code == 200


@pytest.mark.skipif(not has_ffmpeg(), reason="ffmpeg is not installed")
@pytest.mark.parametrize("name, kind", (("a.m4a", "application/octet-stream"), ("a", "audio/mp4")))
def test_formats_of_phones_are_decoded(server, tmp_path, name, kind):
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(3)))
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / "a.m4a"], check=True)
    answer = server.post((tmp_path / "a.m4a").read_bytes(), name, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "a.m4a"


# -- what cannot be judged


@pytest.mark.parametrize(
    "data, status, words",
    (
        (b"no sound at all", 415, "not audio"),
        (b"", 400, "the body is empty"),
        (wav_bytes(np.zeros(32000)), 422, "silent"),
        (wav_bytes(noise(0.2)), 422, "too short"),
        (wav_bytes(np.full(32000, np.nan), subtype="FLOAT"), 422, "NaN"),
        (wav_bytes(noise(5))[:50_000], 415, "truncated"),
        (wav_bytes(noise(31), "FLAC"), 413, "states 31.0 s, at most 30 are allowed"),
        (bytes(2_000_001), 413, "at most 2 MB"),
        (bytes(9_000_000), 413, "at most 2 MB"),
    ),
)
def test_what_cannot_be_judged_gets_one_line(server, data, status, words):
    for answer in (server.post(data), server.post(iter([data[:1000], data[1000:]]))):  # with its length, and without
        assert answer.status_code == status, answer.text
        assert words in error_of(answer)
        assert str(server.temporary) not in answer.text
        assert "/proc" not in answer.text


@pytest.mark.parametrize(
    "options, status, words",
    (
        ({"files": {"sound": ("a.wav", b"x")}}, 400, "name the part 'file'"),
        ({"files": {"file": ("a.wav", b"")}}, 400, "empty"),
        ({"files": {"file": ("a.wav", bytes(2_010_000))}}, 413, "at most 2 MB"),
        ({"files": {"file": ("a.wav", bytes(4_000_000))}}, 413, "at most 2 MB"),
        ({"files": [("file", ("a.wav", b"x")), ("file", ("b.wav", b"y"))]}, 400, ""),
        ({"data": {"file": "text"}}, 415, "web form"),
        ({"data": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, ""),
        ({"data": wav_bytes(noise(2)), "params": {"assumption": "all"}}, 400, "smi, cmi, bag"),
        ({"data": b"x", "headers": {"Host": "elsewhere.example"}}, 403, "--allow-host"),
        ({"data": b"x", "headers": {"Origin": "http://elsewhere.example"}}, 403, "other sites"),
    ),
)
def test_requests_that_are_not_legal_get_one_line(server, options, status, words):
    answer = requests.post(f"{server.address}/classify", timeout=60, **options)
    assert answer.status_code == status, answer.text
    assert words in error_of(answer)


def test_name_of_the_recording_is_one_line_without_folders(server):
    found = server.post(wav_bytes(noise(2)), "../../tmp/<img src=x>\n\x1b[2J.wav").json()
    assert found["name"] == "<img src=x>\\n\\x1b[2J.wav"
    assert len(clean_name("x" * 1000 + ".flac")) == 120


def test_every_answer_has_the_headers(server):
    answers = [server.get(path) for path in ("/", "/model", "/static/nothing", "/nothing", "/examples/0")]
    answers += [server.get("/classify"), server.post(b"x"), server.get("/", headers={"Host": "elsewhere.example"})]
    assert [one.status_code for one in answers] == [200, 200, 404, 404, 200, 405, 415, 403]
    for one in answers:
        assert {name: one.headers.get(name) for name in HEADERS} == HEADERS
        assert "server" not in one.headers
        assert "cache-control" in one.headers


@pytest.mark.parametrize("path", ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fa.py", "//etc"))
def test_no_file_outside_the_page_is_served(server, path):
    session = requests.Session()
    request = requests.Request("GET", server.address).prepare()
    request.url = server.address + path  # as it stands: requests would shorten it
    assert session.send(request, timeout=60).status_code == 404


# -- work in processes


def test_dead_process_is_replaced(server):
    (worker,) = server.workers()
    subprocess.run(["kill", "-9", str(worker)], check=True)
    wait_until(lambda: has_ended(worker))
    assert server.post(wav_bytes(noise(2))).status_code == 200
    assert server.workers() != [worker]


@pytest.mark.slow
def test_recording_that_ends_its_process_gets_one_line_and_the_next_one_a_scene(tmp_path):
    with Served(tmp_path / "tmp", "--jobs", 1, "--minutes", 60) as server:
        long = wav_bytes(np.tile(noise(60), 20), "FLAC")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.post(long)))
        thread.start()
        (worker,) = server.workers()
        wait_until(lambda: server.get("/healthz").json()["taken"] == 1)
        wait_until(lambda: _has_memory_file(worker))
        subprocess.run(["kill", "-9", str(worker)], check=True)
        thread.join(60)
        assert answers[0].status_code == 500
        assert error_of(answers[0]) == "a.wav: could not be processed: the process that read it ended"
        assert server.post(wav_bytes(noise(2))).status_code == 200
        assert "Traceback" not in server.said()


def _has_memory_file(pid):
    found = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True, check=False)
    return "memfd:recording" in found.stdout


@pytest.mark.slow
def test_limits_of_time_memory_and_number(tmp_path):
    options = ("--jobs", 1, "--queue", 0, "--seconds", 0.7, "--minutes", 60)
    with Served(tmp_path / "tmp", *options) as server:
        answer = server.post(wav_bytes(np.tile(noise(60), 25), "FLAC"))
        assert (answer.status_code, error_of(answer)) == (
            503,
            "a.wav: takes longer than 0.7 s, which is the limit here",
        )
        answers = []
        thread = threading.Thread(target=lambda: answers.append(_slowly(server)))
        thread.start()
        wait_until(lambda: server.get("/healthz").json()["taken"] == 1)
        busy = server.post(wav_bytes(noise(2)))
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
        assert "try again" in error_of(busy)
        thread.join(60)
        assert answers[0].status_code == 408
        assert "did not arrive within 0.7 s" in error_of(answers[0])
        wait_until(lambda: server.get("/healthz").json()["taken"] == 0)
        assert server.post(wav_bytes(noise(2))).status_code == 200


def _slowly(server):
    def parts():
        yield b"RIFF"
        for _ in range(40):
            threading.Event().wait(0.1)
            yield b"x"

    return server.post(parts())


@pytest.mark.slow
def test_recording_that_takes_too_much_memory_is_refused(tmp_path):
    with Served(tmp_path / "tmp", "--jobs", 1, "--memory", 0.1, "--minutes", 120, "--megabytes", 25) as server:
        for minutes in (5, 15):  # too much for the network; too much for the samples
            answer = server.post(wav_bytes(np.tile(0.003 * noise(60), minutes), "FLAC"))
            assert answer.status_code in (413, 422)
            assert "memory" in error_of(answer)
        assert server.post(wav_bytes(noise(2))).status_code == 200


# -- beginning and end


@pytest.mark.slow
@pytest.mark.parametrize("kind", (signal.SIGTERM, signal.SIGINT))
def test_recordings_in_work_are_answered_before_the_end(tmp_path, kind):
    with Served(tmp_path / "tmp", "--jobs", 1, "--minutes", 60) as server:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.post(wav_bytes(np.tile(noise(60), 5), "FLAC"))))
        thread.start()
        wait_until(lambda: server.get("/healthz").json()["taken"] == 1)
        workers = server.workers()
        assert server.stop(kind) == 0
        thread.join(60)
        assert answers[0].status_code == 200
        assert server.said() == "stopped\n"
        assert not any(_is_alive(pid) for pid in workers)
        assert server.files() == []


def _is_alive(pid):
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True, check=False).returncode == 0


def test_address_that_is_taken_is_one_line(server, capsys):
    port = server.address.rpartition(":")[2]
    assert main(["serve", "--model", MODEL, "--port", port]) == 1
    assert capsys.readouterr().err == f"error: cannot listen on 127.0.0.1, port {port}: address already in use\n"


@pytest.mark.parametrize(
    "options, status, words",
    (
        (["--examples", "nowhere"], 1, "error: nowhere is no folder of examples"),
        (["--host", "no.such.host.invalid"], 1, "error: cannot listen on no.such.host.invalid"),
        (["--certificate", __file__, "--key", __file__, "--port", "0"], 1, "error: the certificate"),
        (["--certificate", __file__], 2, "--certificate and --key belong together"),
        (["--memory", "0.1"], 2, "--memory must be at least 0.2 GB, for files of 50 MB"),
        (["--jobs", "0"], 2, "0 is not in the range"),
    ),
)
def test_wrong_options_are_one_line(capsys, options, status, words):
    assert main(["serve", "--model", MODEL, *options]) == status
    assert words in capsys.readouterr().err


def test_missing_packages_are_named(capsys, monkeypatch):
    monkeypatch.setitem(serve_command.PACKAGES, "no_such_module", "no-such-package")
    assert main(["serve", "--model", MODEL]) == 1
    assert capsys.readouterr().err == 'error: the server needs no-such-package: pip install -e ".[serve]"\n'


@pytest.mark.slow
def test_server_for_others_warns_and_takes_any_name(tmp_path):
    with Served(tmp_path / "tmp", "--host", "0.0.0.0", "--jobs", 1) as server:
        port = server.address.rpartition(":")[2]
        answer = requests.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": "any.example"}, timeout=60)
        assert answer.status_code == 200
        assert server.said() == "warning: everyone who reaches 0.0.0.0 can use this server\n"


def test_page_needs_the_command(server):
    assert server.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert sys.executable not in server.get("/").text
