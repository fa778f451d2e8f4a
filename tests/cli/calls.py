"""What tests of the command line share: recordings, and calls in processes of their own."""

import os
import subprocess
import sys

import numpy as np
import soundfile


def write_noise(path, seconds=1.0, seed=0, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.05 * np.random.default_rng(seed).normal(size=round(seconds * rate)), rate)
    return path


def start(*words, settings=None, **options):
    """The command line in a process of its own, with ``settings`` in its environment."""
    command = [sys.executable, "-m", "mil_asc.cli.main", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "MIL_ASC_MODEL"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment | {"OMP_NUM_THREADS": "1"} | (settings or {}), **pipes | options)
