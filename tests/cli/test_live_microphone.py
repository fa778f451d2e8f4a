"""``mil-asc live`` with the package sounddevice and PortAudio: without a microphone, and with one that ALSA plays."""

import importlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from calls import start

from mil_asc.inference.onnx import OnnxSceneClassifier

MODEL = "synthscenes-fuse-pnl"
RATE = 44100
SYSTEM = Path("/usr/share/alsa/alsa.conf")
PLAYED = """
pcm.desk {{ type file slave.pcm "null" file "/dev/null" infile "{infile}" format "raw" }}
pcm.!default {{ type plug slave.pcm "desk" }}
"""


def reason():
    try:
        importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        return f"sounddevice or PortAudio is not installed ({error})"
    return "" if SYSTEM.is_file() else "ALSA is not installed"


pytestmark = pytest.mark.skipif(bool(reason()), reason=reason())


def said(*words, config=SYSTEM):
    """Status, output and errors of a call with a configuration of ALSA."""
    process = start("live", *words, settings={"ALSA_CONFIG_PATH": str(config)})
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this computer has sound")
@pytest.mark.parametrize(
    "words, expected",
    [
        (["--microphones"], "there is no microphone: name a recording, or - for standard input"),
        (["--model", MODEL], "no microphone can be opened (Error querying device -1): see mil-asc live --microphones"),
        (["--model", MODEL, "--microphone", "desk"], "no microphone can be opened (No input device matching 'desk'): "),
        (["--model", MODEL, "--microphone", "7"], "no microphone can be opened (Error querying device 7): see mil-asc"),
    ],
)
def test_computer_without_a_microphone_is_one_line(words, expected):
    status, out, err = said(*words)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {expected}") and err.count("\n") == 1


@pytest.mark.slow
def test_microphone_is_followed_until_ctrl_c(tmp_path):
    """ALSA gives the sound as fast as it is taken."""
    wav_N = (0.05 * np.random.default_rng(0).normal(size=30 * RATE)).astype("<f4")
    wav_N.tofile(tmp_path / "sound.raw")
    (tmp_path / "asound.conf").write_text(PLAYED.format(infile=tmp_path / "sound.raw"))
    config = f"{SYSTEM}:{tmp_path}/asound.conf"
    status, out, err = said("--microphones", config=config)
    assert (status, err) == (0, "")
    assert [line.split()[-5:] for line in out.splitlines()] == [
        [name, "(128", "in,", "44100", "Hz)"] for name in ("desk", "default")
    ]
    assert out.splitlines()[1].startswith("*")
    words = ("live", "--model", MODEL, "--jsonl", "--microphone", "desk")
    process = start(*words, settings={"ALSA_CONFIG_PATH": config})
    lines = [json.loads(process.stdout.readline()) for _ in range(13)]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1])["event"] == "end"
    assert lines[0]["source"] == "microphone desk"
    assert [line["time"] for line in lines[1:]] == list(range(1, 13))
    found = [one for line in lines[1:] for one in line["instances"] if one["final"]]
    expected = OnnxSceneClassifier.from_hparams(MODEL, threads=1).explain_waveform(wav_N, sample_rate=RATE)
    assert len(found) == 16
    confidences_IC = [list(one["scores"].values()) for one in found]
    np.testing.assert_allclose(confidences_IC, expected.instances.confidences_IC[:16], atol=2e-5)
