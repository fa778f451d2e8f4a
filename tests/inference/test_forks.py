"""A classifier in a forked process: it answers as before, or refuses in one line, and never waits for ever."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import multiprocessing, sys
import numpy as np
from mil_asc.errors import UserError
backend, before, after = sys.argv[1], *map(int, sys.argv[2:])
wav_N = 0.05 * np.random.default_rng(0).normal(size=80_000).astype(np.float32)
if backend == "onnx":
    from mil_asc.inference.onnx import OnnxSceneClassifier
    classifier = OnnxSceneClassifier.from_hparams("synthscenes-fuse-pnl", threads=before)
else:
    import torch
    from mil_asc import SceneClassifier
    torch.set_num_threads(before)
    classifier = SceneClassifier.from_hparams("synthscenes-fuse-pnl")
expected = str(classifier.explain_waveform(wav_N))

def child():
    if backend == "torch":
        torch.set_num_threads(after)
    for call in (classifier.explain_waveform, classifier.spectrogram):
        try:
            found = call(wav_N)
            print("SAME" if call == classifier.spectrogram or str(found) == expected else "OTHER", flush=True)
        except UserError as error:
            print(error, flush=True)

process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
process.start()
process.join(60)
print("HANGS" if process.is_alive() else "ENDS")
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks")
@pytest.mark.parametrize(
    "backend, before, after, expected",
    [
        ("onnx", 1, 1, ["SAME"] * 2),
        ("onnx", 2, 2, ["the model was loaded before this process was forked: load it here"] * 2),
        pytest.param("torch", 2, 1, ["SAME"] * 2, marks=pytest.mark.slow),
        pytest.param(
            *("torch", 2, 2, ["the model was loaded before this process was forked: load it here"] * 2),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_fork_answers_or_refuses(backend, before, after, expected):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, backend, str(before), str(after)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150)
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 0 and last == "ENDS", done.stderr
    assert len(lines) == len(expected) and all(line.startswith(words) for line, words in zip(lines, expected)), lines
