"""What tests of the server share: the server as a process, and recordings to send."""

import io
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import requests
import soundfile

MODEL = "synthscenes-fuse-pnl"
RATE = 16000
START_SECONDS = 120


class Served:
    """``mil-asc serve`` in a process; ``get`` and ``post`` call it, ``temporary`` is its folder for temporary files."""

    def __init__(self, temporary, *options, model=MODEL):
        self.temporary = Path(temporary)
        self.temporary.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mil_asc.cli.main", "serve", "--model", model, "--port", "0"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary)}
        self.errors = (self.temporary.parent / f"{self.temporary.name}-stderr").open("w+b")
        self.process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            text=True,
        )
        assert select.select([self.process.stdout], [], [], START_SECONDS)[0], "it does not start"
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http"), self.said()

    def get(self, path, **options):
        return requests.get(self.address + path, timeout=60, **options)

    def post(self, data, name="a.wav", **options):
        query = {"name": name} | options.pop("params", {})
        headers = {"Content-Type": "application/octet-stream"} | options.pop("headers", {})
        return requests.post(
            f"{self.address}/classify", data=data, params=query, headers=headers, timeout=120, **options
        )

    def said(self):
        """Standard error so far."""
        return (self.temporary.parent / f"{self.temporary.name}-stderr").read_text()

    def workers(self):
        """Process numbers of the processes that classify."""
        folder = Path(f"/proc/{self.process.pid}/task")
        children = [int(pid) for task in folder.iterdir() for pid in (task / "children").read_text().split()]
        return [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]

    def memory(self):
        """Resident memory of the server and its processes (in MB)."""
        pids = [self.process.pid, *self.workers()]
        return sum(resident(pid) for pid in pids)

    def files(self):
        """Files that lie in the folder for temporary files."""
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def stop(self, kind=signal.SIGTERM):
        """End it; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(kind)
        status = self.process.wait(60)
        self.process.stdout.close()
        self.errors.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)


def resident(pid):
    """Resident memory of a process (in MB); 0 if it ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def has_ended(pid):
    """Whether a process has ended with all its threads, whether or not its parent has noticed."""
    folder = Path(f"/proc/{pid}")
    try:
        return "\nState:\tZ" in (folder / "status").read_text() and len(list((folder / "task").iterdir())) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(happened, seconds=30):
    """Wait for something; fails if it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def noise(seconds, seed=0):
    """(N,) noise whose colour depends on the seed."""
    rng = np.random.default_rng(seed)
    spectrum_F = np.fft.rfft(rng.standard_normal(round(seconds * RATE)))
    spectrum_F /= (1 + np.arange(len(spectrum_F))) ** rng.uniform(0, 1)
    wav_N = np.fft.irfft(spectrum_F)
    return 0.3 * wav_N / np.abs(wav_N).max()


def wav_bytes(wav_N, form="WAV", subtype="PCM_16"):
    """A file of samples."""
    file = io.BytesIO()
    soundfile.write(file, wav_N, RATE, format=form, subtype=subtype)
    return file.getvalue()
