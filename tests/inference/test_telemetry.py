"""ONNX Runtime sends no usage data, which its Linux builds do by default from 1.29 on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder, *command, **settings):
    """Run Python with a folder of its own for temporary files; what lies there afterwards.

    The runtime keeps an identifier of the device there while its telemetry is on. In CI it is off by itself.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, *command],
        env=environment | {"TMPDIR": str(folder), "HOME": str(folder)} | settings,
        check=True,
    )
    return [path.name for path in folder.rglob("*")]


def test_using_a_model_leaves_no_identifier_of_the_device(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).normal(size=32000), 16000)
    classify = "from mil_asc.inference.onnx import OnnxSceneClassifier as C; C.from_hparams('synthscenes-fuse-pnl')"
    assert run(tmp_path / "ours", "-c", classify) == []
    command = ("-m", "mil_asc.cli.main", "classify", str(tmp_path / "a.wav"), "--model", "synthscenes-fuse-pnl")
    assert run(tmp_path / "command", *command) == []
    if not run(tmp_path / "alone", "-c", "import onnxruntime"):
        pytest.skip("this build of ONNX Runtime has no telemetry")


def test_choice_of_the_user_stands(tmp_path):
    show = "import mil_asc, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize("name", ("network_only.py", "onnx_only.py"))
def test_examples_send_nothing(tmp_path, name):
    loaded = f"import runpy; runpy.run_path({str(EXAMPLES / name)!r}, run_name='example')"
    assert run(tmp_path / "example", "-c", loaded) == []
