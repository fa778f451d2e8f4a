"""``tools/runtimes.py``: every runtime in a row, what it measures, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys

import finished_run
import numpy as np
import pytest
import soundfile
import tiny
import torch

from mil_asc.audio.decode import decode
from mil_asc.errors import UserError
from mil_asc.model.extractors import registered_extractors
from mil_asc.packaging.folder import load_any, load_model_folder
from mil_asc.packaging.network_only import export_network_only
from mil_asc.packaging.sources import resolve_source

TOOL_FILE = tiny.ROOT / "tools/runtimes.py"
SPEC = importlib.util.spec_from_file_location("runtimes_tool", TOOL_FILE)
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)

MEASURES = ["cold start, s", "CPU ms a file", "wall ms a file", "memory, MiB"]
ONNX = ["onnx", "onnx fp16", "onnx int8"]


def run(*words, folder):
    """The program, with ``folder`` for its temporary files."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    words = [sys.executable, TOOL_FILE, *map(str, words)]
    return subprocess.run(words, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_every_runtime_has_a_row_and_the_same_scene(tmp_path):
    (tmp_path / "temporary").mkdir()
    numbers = tmp_path / "numbers.json"
    done = run("synthscenes-fuse-pnl", "--rounds=1", "--seconds=1", "--json", numbers, folder=tmp_path / "temporary")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["round 1 of 1"]
    title, _, header, _, *lines = done.stdout.rstrip().splitlines()
    assert title.endswith("1 thread(s), 1 rounds, ratios to PyTorch")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *lines)]
    assert rows[0] == ["runtime", "size, kB", *MEASURES]
    assert [row[0] for row in rows[1:]] == ["torch", *ONNX, "network only"]
    assert all(cell.endswith("(1.00 x)") for cell in rows[1][2:])
    found = json.loads(numbers.read_text())
    assert [row[1] for row in rows[1:]] == [f"{found['sizes'][row[0]] / 1000:.0f}" for row in rows[1:]]
    place = resolve_source("synthscenes-fuse-pnl")
    assert found["sizes"]["onnx"] == (place / "model.onnx").stat().st_size > found["sizes"]["onnx fp16"]
    (turns,) = found["rounds"]
    assert all(turns[name][measure] > 0 for name in turns for measure in MEASURES)
    assert turns["torch"]["scene"] == turns["onnx"]["scene"]
    label = turns["onnx"]["scene"].partition(" ")[0]
    assert turns["network only"]["scene"].startswith(f"{label} under SMI, ")
    assert list((tmp_path / "temporary").glob("mil_asc_*")) == []


def test_model_of_waveforms_has_no_network_only_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(finished_run, "RECIPE", tiny.ROOT / "recipes/TAU2019/hparams/raw_cnn_gap.yaml")
    sizes = registered_extractors()["raw_cnn"].tiny | {"num_classes": 3, "instance_dim": 8}
    monkeypatch.setattr(finished_run, "SIZES", sizes)
    assert TOOL.network_only(load_any(finished_run.write_run(tmp_path / "run")), 1) == {}
    assert capsys.readouterr().err == "network only: left out, the model takes the waveform\n"


@torch.no_grad()
def test_network_only_decides_as_the_network_on_another_rate(tmp_path):
    model = load_model_folder(resolve_source("esc10-fuse"))
    network, labels = model.network, list(model.config.labels)
    (tmp_path / "network.onnx").write_bytes(export_network_only(network, labels, 2.0).data)
    wav_N = 0.1 * np.random.default_rng(0).normal(size=32000)
    soundfile.write(tmp_path / "a.wav", np.repeat(wav_N, 3)[:, None].repeat(2, 1), 48000, subtype="FLOAT")
    window = (network.front_end.num_frames(32000) - 1) * network.front_end.hop_length
    wav_N = decode(tmp_path / "a.wav", network.front_end.sample_rate)[:window]
    logits_IC = network(torch.from_numpy(wav_N)[None]).logits_BIC[0]
    smi, cmi = labels[logits_IC.amax(0).argmax()], labels[logits_IC.argmax(1).bincount().argmax()]
    explain = TOOL.with_network_only(str(tmp_path / "network.onnx"), 1)
    assert explain(tmp_path / "a.wav") == f"{smi} under SMI, {cmi} under CMI"


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "the following arguments are required: model"),
        (["m", "--rounds=0"], "--rounds must be a whole number from 1 up"),
        (["m", "--threads=-1"], "--threads must be a whole number from 1 up"),
        (["m", "--rounds=two"], "invalid int value: 'two'"),
        (["m", "--seconds=0"], "--seconds must be a whole number from 1 to 600"),
        (["m", "--seconds=601"], "--seconds must be a whole number from 1 to 600"),
        (["m", "--json=/no/such/folder/a.json"], "--json: no such folder: /no/such/folder"),
        (["m", "--round=1"], "unrecognized arguments: --round=1"),
    ],
)
def test_bad_arguments_end_with_2_and_a_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        TOOL.main(words)
    assert caught.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_models_that_cannot_be_compared_are_refused_in_one_line(tmp_path, one_run, one_model):
    for model, said in [
        ("street-fuse", "esc10-fuse, synthscenes-fuse-pnl"),
        (one_run, "is no complete model folder"),
        (one_model, "has no model.onnx: pack it again"),
        (resolve_source("esc10-fuse") / "model.onnx", "is no folder"),
    ]:
        with pytest.raises(UserError, match=said) as caught:
            TOOL.main([str(model)])
        assert "\n" not in str(caught.value)


def test_runtime_that_fails_is_named_with_its_status(tmp_path):
    with pytest.raises(UserError, match="^onnx ended with status 1: .*no model folder"):
        TOOL.turn("onnx", tmp_path, tmp_path, 1)
