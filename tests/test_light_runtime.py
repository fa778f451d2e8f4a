"""Classifying without PyTorch, in an environment of its own that has nothing but the light requirements."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import requests
import soundfile
import tiny

pytestmark = pytest.mark.slow
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "requirements-runtime.txt", "constraints.txt")
CLEAN = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def call(*words, cwd=None, status=0):
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=CLEAN, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """The folder of the programs of an environment with requirements-runtime.txt and the package alone."""
    work = tmp_path_factory.mktemp("light")
    shutil.copytree(tiny.ROOT / "mil_asc", work / "source/mil_asc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(tiny.ROOT / name, work / "source")
    call(sys.executable, "-m", "venv", work / "env")
    pip = [work / "env/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = [*pip, "-c", "constraints.txt", "-r", "requirements-runtime.txt", "setuptools"]
    done = subprocess.run(pinned, cwd=work / "source", env=CLEAN, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the light requirements cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    call(*pip, "--no-deps", "--no-build-isolation", ".", cwd=work / "source")
    return work / "env/bin"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(scale=0.05, size=(96000, 2)), 48000)
    return path


def test_there_is_no_pytorch(light):
    call(light / "python", "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)")


@pytest.mark.parametrize("model", ["synthscenes-fuse-pnl", "esc10-fuse"])
def test_example_and_command_line_give_the_same_scene(light, recording, model, tmp_path):
    example = call(light / "python", tiny.ROOT / "examples/onnx_only.py", model, recording)
    label = example.partition(": ")[2].partition(" ")[0]
    words = ["classify", recording, "--model", model, "--format", "csv", "--to", tmp_path / "a.csv"]
    call(light / "mil-asc", *words)
    assert label in (tmp_path / "a.csv").read_text()
    call(light / "mil-asc", *words[:4], "--format", "dcase", "--to", tmp_path / "b.csv")
    assert f"a.wav\t{label}\t" in (tmp_path / "b.csv").read_text()
    assert "#   system.complexity.macs" in (tmp_path / "b.meta.yaml").read_text()
    call(light / "mil-asc", "explain", recording, "--model", model, "--to", tmp_path / "a.html")
    assert "</html>" in (tmp_path / "a.html").read_text()
    assert model.partition("-")[0] in call(light / "mil-asc", "info", model).lower()


def test_what_needs_pytorch_says_so_in_one_line(light, recording):
    words = ["classify", recording, "--model", "synthscenes-fuse-pnl", "--backend", "torch"]
    done = subprocess.run([str(light / "mil-asc"), *map(str, words)], env=CLEAN, capture_output=True, text=True)
    assert done.returncode in (1, 2) and "torch" in done.stderr.lower()
    assert done.stderr.strip().count("\n") == 0 and "Traceback" not in done.stderr


def test_server_answers_without_pytorch(light, recording):
    pip = [light / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    packages = ("starlette", "uvicorn", "python-multipart", "websockets")
    call(*pip, "-c", tiny.ROOT / "constraints.txt", *packages)
    command = [light / "mil-asc", "serve", "--model", "synthscenes-fuse-pnl", "--port", "0", "--jobs", "1"]
    with subprocess.Popen([str(word) for word in command], env=CLEAN, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            with recording.open("rb") as file:
                answer = requests.post(f"{address}/classify", files={"file": file}, timeout=60)
            assert answer.status_code == 200, answer.text
            assert requests.get(f"{address}/examples", timeout=60).json() == {"examples": []}  # they need SciPy
        finally:
            server.terminate()
        assert server.wait(60) == 0
