"""The programs in ``examples/``, as a user calls them."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.packaging.folder import load_model_folder
from mil_asc.packaging.network_only import export_network_only
from mil_asc.packaging.sources import resolve_source

EXAMPLES = tiny.ROOT / "examples"


def call(name, *words):
    words = [sys.executable, EXAMPLES / name, *words]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("examples") / "noise.wav"
    soundfile.write(path, np.random.default_rng(3).normal(scale=0.1, size=36000), 16000, subtype="FLOAT")
    return path


@pytest.mark.parametrize("name", ["onnx_only.py", "network_only.py"])
def test_example_without_arguments_says_how_to_call_it(name):
    done = call(name)
    assert done.returncode == 1 and f"python examples/{name}" in done.stderr and "Traceback" not in done.stderr


def test_onnx_only_prints_a_scene(recording):
    done = call("onnx_only.py", "esc10-fuse", recording)
    assert done.returncode == 0 and "instances positive" in done.stdout


@torch.no_grad()
def test_spectrogram_of_network_only_is_the_front_end_s_and_it_decides_as_the_network(recording, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from network_only import FACTS, log_mel

    model = load_model_folder(resolve_source("synthscenes-fuse-pnl"))
    network, labels = model.network, list(model.config.labels)
    (tmp_path / "network.onnx").write_bytes(export_network_only(network, labels, 1.0).data)
    done = call("network_only.py", tmp_path / "network.onnx", recording)
    front_end = network.front_end
    wav_N = soundfile.read(recording, dtype="float32")[0]
    window = (front_end.num_frames(16000) - 1) * front_end.hop_length
    parts = [torch.from_numpy(wav_N[start : start + window])[None] for start in (0, window)]
    facts = {name: getattr(front_end, name) for name in FACTS if name not in ("labels", "frames")}
    np.testing.assert_allclose(log_mel(parts[0][0].numpy(), facts), front_end(parts[0])[0], atol=2e-3)
    logits_IC = torch.cat([network(part).logits_BIC[0] for part in parts])
    smi, cmi = labels[logits_IC.amax(0).argmax()], labels[logits_IC.argmax(1).bincount().argmax()]
    assert done.stdout == f"{smi} under SMI, {cmi} under CMI; {len(logits_IC)} instances\n"


def test_network_only_refuses_another_rate(tmp_path, recording):
    network = load_model_folder(resolve_source("esc10-fuse"))
    (tmp_path / "network.onnx").write_bytes(export_network_only(network.network, list(network.config.labels), 1.0).data)
    soundfile.write(tmp_path / "a.wav", np.zeros(44100), 44100)
    done = call("network_only.py", tmp_path / "network.onnx", tmp_path / "a.wav")
    assert done.returncode == 1 and "needs 16000 Hz" in done.stderr
