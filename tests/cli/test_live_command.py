"""``mil-asc live``: a recording, a pipe, a microphone; a line a second, and an end in one line."""

import json
import signal
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from calls import start, write_noise

from mil_asc.cli import live_sources
from mil_asc.inference.onnx import OnnxSceneClassifier

MODEL = "synthscenes-fuse-pnl"
WITHOUT = """
import sys
sys.modules["torch"] = None
sys.modules["sounddevice"] = None
from mil_asc.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_noise(tmp_path_factory.mktemp("live") / "street.wav", 12.3)


@pytest.fixture(scope="module")
def whole(recording):
    return OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_file(recording)


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def finals(lines):
    return [one for line in lines if line["event"] == "second" for one in line["instances"] if one["final"]]


def piped(content, *words):
    """The command with bytes on its standard input."""
    process = start("live", "-", "--model", MODEL, *words, stdin=subprocess.PIPE, text=False)
    out, err = process.communicate(content)
    return process.returncode, out.decode(), err.decode()


def assert_same(found, whole, atol=2e-5):
    assert [one["position"] for one in found] == list(range(len(whole.instances)))
    confidences_IC = [list(one["scores"].values()) for one in found]
    np.testing.assert_allclose(confidences_IC, whole.instances.confidences_IC, atol=atol)


# -- a recording


def test_recording_has_a_line_a_second_and_a_summary(mil_asc, recording, whole):
    status, out, err = mil_asc("live", recording, "--model", MODEL)
    lines = out.splitlines()
    assert status == 0 and err == ""
    assert lines[0] == f"{recording}; scenes of 10 s by SMI; final after 3.62 s, before that provisional (?)"
    assert lines[1].split() == ["time", "scene", "SMI", "CMI", "P(correct)", "newest"]
    seconds = lines[2:-1]
    assert [line.split()[0] for line in seconds[:3]] == ["0:01.00", "0:02.00", "0:03.00"] and len(seconds) == 14
    assert all(line.split()[1] == "-" and "? " in line for line in seconds[:4])  # nothing is final yet
    assert seconds[5].split()[1] in whole.instances.labels and "? " in seconds[5]
    assert "? " not in seconds[-1]
    assert lines[-1].startswith(f"0:12.30: {len(whole.instances)} instances: ")


def test_jsonl_has_the_instances_of_the_whole_and_tells_provisional_ones(mil_asc, recording, whole):
    status, out, _ = mil_asc("live", recording, "--model", MODEL, "--jsonl", "--window", 60, "--assumption", "cmi")
    first, *lines, last = objects(out)
    assert status == 0 and (first["event"], last["event"]) == ("begin", "end")
    assert first["delay"] == 3.616 and first["window"] == 60 and first["assumption"] == "cmi"
    assert_same(finals(lines), whole)
    assert any(not one["final"] for one in lines[0]["instances"]) and lines[0]["final"] is None
    assert lines[0]["running"]["label"] in first["labels"]
    assert sum(last["counts"].values()) == len(whole.instances) and last["time"] == 12.3
    assert lines[-1]["final"]["scores"]["cmi"] == pytest.approx(whole.scores["cmi"], abs=1e-5)
    assert lines[-1]["final"]["familiar"] == whole.familiar is not None


def test_pytorch_computes_the_same(mil_asc, recording, whole):
    status, out, _ = mil_asc("live", recording, "--model", MODEL, "--backend", "torch", "--jsonl")
    assert status == 0
    assert_same(finals(objects(out)), whole)


@pytest.mark.parametrize("seconds, level, words", [(0.2, 0.1, "too short"), (5.0, 0.0, "silent"), (None, 0, "no such")])
def test_bad_recording_is_refused_in_one_line(mil_asc, tmp_path, seconds, level, words):
    if seconds is not None:
        soundfile.write(tmp_path / "a.wav", np.full(round(seconds * 16000), level), 16000)
    status, _, err = mil_asc("live", tmp_path / "a.wav", "--model", MODEL)
    assert status == 1 and err.startswith(f"error: {tmp_path}/a.wav: {words}") and err.count("\n") == 1


def test_closed_pipe_ends_it_without_a_word(recording):
    process = start("live", recording, "--model", MODEL)
    assert process.stdout.readline().startswith(f"{recording}; scenes of ")
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == ""
    assert process.wait() == 141


def test_full_disk_is_not_blamed_on_the_recording(recording):
    with open("/dev/full", "w") as full:
        process = start("live", recording, "--model", MODEL, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1 and err == "error: the output: No space left on device\n"


def test_silence_at_the_beginning_is_no_scene_in_the_summary(mil_asc, tmp_path):
    wav_N = 0.05 * np.random.default_rng(0).normal(size=18 * 16000)
    wav_N[: 12 * 16000] = 0
    soundfile.write(tmp_path / "a.wav", wav_N, 16000)
    whole = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_file(tmp_path / "a.wav")
    silent = int((whole.instances.times_I2[:, 1] <= 12).sum())
    words = ["live", tmp_path / "a.wav", "--model", MODEL]
    *_, last = mil_asc(*words)[1].splitlines()
    front, _, counts = last.rpartition(": ")
    assert front == f"0:18.00: {len(whole.instances)} instances" and counts.endswith(f", silent {silent}"), last
    end = json.loads(mil_asc(*words, "--jsonl")[1].splitlines()[-1])
    assert end["silent_instances"] == silent > 10
    assert sum(end["counts"].values()) == len(whole.instances) - silent > 5


# -- standard input


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_wav_by_pipe(recording, tmp_path, subtype):
    wav_N, rate = soundfile.read(recording)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([wav_N, wav_N], 1), rate, subtype=subtype)
    expected = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_file(path)
    status, out, err = piped(path.read_bytes(), "--jsonl")
    assert status == 0 and err == ""
    assert_same(finals(objects(out)), expected)


def test_wav_of_unknown_length_by_pipe(recording, whole):
    """As ffmpeg writes it: other chunks first, and a length that means nothing."""
    pcm = (soundfile.read(recording)[0] * 32768).round().astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    head = b"RIFF\xff\xff\xff\xffWAVE" + form + b"LIST\x03\0\0\0abc\0" + b"data\xff\xff\xff\xff"
    status, out, _ = piped(head + pcm + b"\x01", "--jsonl")  # and half a sample at the end
    assert status == 0
    assert_same(finals(objects(out)), whole, atol=1e-3)


@pytest.mark.parametrize(
    "raw, dtype, factor", [("s16le", "<i2", 2**15), ("s32le", "<i4", 2**31), ("f32le", "<f4", 1), ("f64le", "<f8", 1)]
)
def test_raw_samples_by_pipe(tmp_path, raw, dtype, factor):
    wav_N = 0.05 * np.random.default_rng(0).normal(size=5 * 44100)
    soundfile.write(tmp_path / "a.wav", np.stack([wav_N, wav_N], 1), 44100, subtype="PCM_24")
    expected = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_file(tmp_path / "a.wav")
    content = np.repeat(wav_N * factor, 2).astype(dtype).tobytes()
    status, out, _ = piped(content, "--raw", raw, "--rate", 44100, "--channels", 2, "--jsonl")
    assert status == 0
    assert_same(finals(objects(out)), expected, atol=2e-3)


@pytest.mark.parametrize(
    "content, words, expected",
    [
        (b"", [], "standard input: empty"),
        (b"OggS" * 9, [], "standard input: no WAV header: say what raw samples are, such as --raw s16le"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", [], "standard input: truncated"),
        (b"\0" * 64000, ["--raw", "s16le", "--rate", 16000], "the stream: silent (every sample is zero)"),
        (b"\1\1" * 100, ["--raw", "s16le", "--rate", 16000], "the stream: too short: 0.006 s"),
        (b"\0\0\xc0\x7f" * 9, ["--raw", "f32le", "--rate", 16000], "the stream: holds NaN or infinite samples"),
    ],
    ids=["empty", "not wav", "truncated", "silent", "short", "nan"],
)
def test_bad_pipe_is_refused_in_one_line(content, words, expected):
    status, _, err = piped(content, *words)
    assert status == 1 and err.startswith(f"error: {expected}") and err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--jsonl"]], ids=["text", "jsonl"])
def test_ctrl_c_ends_with_a_summary(words):
    raw = ["--raw", "s16le", "--rate", 16000]
    process = start("live", "-", "--model", MODEL, *raw, *words, stdin=subprocess.PIPE, text=False)
    pcm = (3000 * np.random.default_rng(0).normal(size=6 * 16000)).astype("<i2").tobytes()
    process.stdin.write(pcm)
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(7 if words else 8)]  # the sixth second is said
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and err.decode().strip() == "stopped" and all(lines)
    if words:
        assert json.loads(out)["event"] == "end" and json.loads(out)["counts"]
    else:
        assert out.decode().startswith("0:06.00: 4 instances: ") and "are not final" in out.decode()


@pytest.mark.parametrize(
    "words, reason",
    [
        (["-", "--raw", "s16le"], "--raw needs --rate"),
        (["a.wav", "--raw", "s16le", "--rate", "8000"], "--raw is for standard input"),
        (["-", "--channels", "2"], "--channels is for --raw"),
        (["a.wav", "--rate", "8000"], "--rate is for --raw"),
        (["a.wav", "--microphone", "1"], "not both"),
    ],
)
def test_wrong_usage_is_status_2(mil_asc, words, reason):
    status, out, err = mil_asc("live", *words, "--model", MODEL)
    assert status == 2 and out == "" and reason in err


# -- a microphone


@pytest.mark.parametrize("words", [["--microphones"], ["--model", MODEL]], ids=["list", "listen"])
def test_microphone_without_sounddevice_is_one_line_and_pytorch_is_not_needed(words):
    done = subprocess.run([sys.executable, "-c", WITHOUT, "live", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith('error: a microphone needs the package sounddevice: pip install -e ".[live]"')


def test_recording_needs_neither_sounddevice_nor_pytorch(recording):
    words = ["live", recording, "--model", MODEL]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 17


def test_microphone_without_portaudio_is_one_line(mil_asc, monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    for words in (["--microphones"], ["--model", MODEL]):
        status, out, err = mil_asc("live", *words)
        assert status == 1 and out == "" and err.count("\n") == 1
        assert err.startswith("error: a microphone needs the library PortAudio (Debian: apt install libportaudio2)")


class Device(types.ModuleType):
    """A sounddevice with one input, which hears ``wav_N`` and then nothing more; or ``fault`` where it starts."""

    class PortAudioError(Exception):
        pass

    def __init__(self, wav_N, rate=48000, inputs=1, fault=None):
        super().__init__("sounddevice")
        self.wav_N, self.rate, self.fault = wav_N, rate, fault
        speaker = {"name": "speaker", "index": 0, "max_input_channels": 0, "default_samplerate": 44100.0}
        microphone = {"name": "desk", "index": 1, "max_input_channels": 2, "default_samplerate": float(rate)}
        self.found = [speaker, microphone][: 1 + inputs]

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.found
        names = [one for one in self.found if one["max_input_channels"] and device in (None, one["index"], one["name"])]
        if not names:
            raise self.PortAudioError("Error querying device -1")
        return names[0]

    def InputStream(self, device, callback, samplerate, channels, dtype, blocksize):
        assert (samplerate, channels, dtype) == (self.rate, 1, "float32")
        if self.fault is not None:
            raise self.PortAudioError(self.fault)
        return Heard(self.wav_N, callback, blocksize)


class Heard:
    def __init__(self, wav_N, callback, size):
        self.wav_N, self.callback, self.size = wav_N, callback, size

    def __enter__(self):
        buffer = np.empty((self.size, 1), np.float32)  # the library uses its memory again
        for first in range(0, len(self.wav_N) - self.size + 1, self.size):
            buffer[:, 0] = self.wav_N[first : first + self.size]
            self.callback(buffer, self.size, None, None)
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("words", [[], ["--microphone", "desk"], ["--microphone", 1]])
def test_microphone_is_followed_until_it_ends(mil_asc, monkeypatch, words):
    wav_N = (0.05 * np.random.default_rng(0).normal(size=6 * 48000)).astype(np.float32)
    monkeypatch.setitem(sys.modules, "sounddevice", Device(wav_N))
    monkeypatch.setattr(live_sources, "QUIET_SECONDS", 0.2)
    status, out, err = mil_asc("live", "--model", MODEL, "--jsonl", *words)
    first, *lines, last = objects(out)
    assert status == 1 and first["source"] == "microphone desk"
    assert err == "error: the microphone gives no more sound: was it unplugged?\n"
    assert [line["time"] for line in lines] == [1, 2, 3, 4, 5, 6] and last["time"] == 6
    expected = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_waveform(wav_N, sample_rate=48000)
    found = finals(lines)
    assert len(found) == 4
    confidences_IC = [list(one["scores"].values()) for one in found]
    np.testing.assert_allclose(confidences_IC, expected.instances.confidences_IC[:4], atol=2e-5)


def test_list_of_microphones(mil_asc, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Device(np.zeros(0)))
    assert mil_asc("live", "--microphones") == (0, "*  1  desk  (2 in, 48000 Hz)\n", "")


def test_no_microphone_is_one_line(mil_asc, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Device(np.zeros(0), inputs=0))
    status, out, err = mil_asc("live", "--microphones")
    assert status == 1 and err.startswith("error: there is no microphone") and err.count("\n") == 1
    status, out, err = mil_asc("live", "--model", MODEL)
    assert status == 1 and out == "" and err.count("\n") == 1
    assert err.startswith("error: no microphone can be opened (Error querying device -1): see mil-asc live")


def test_microphone_that_cannot_be_opened_is_one_line(mil_asc, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Device(np.zeros(0), fault="Device\nunavailable"))
    status, out, err = mil_asc("live", "--model", MODEL)
    assert status == 1 and out == "" and err.startswith("error: no microphone can be opened (Device unavailable): ")
