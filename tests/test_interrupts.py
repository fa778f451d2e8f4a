"""Tests that stop a program work where SIGINT is ignored, as in a background job, or blocked."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# of the blocked signals only SIGINT is asked for: libraries that other tests load may block SIGPIPE
ASK = (
    "import signal; print(signal.getsignal(signal.SIGINT), "
    "signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
)
AS_TESTS_DO = f"""
import signal, subprocess, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
print(
    signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),
)
sys.stdout.flush()
subprocess.run([sys.executable, "-c", {ASK!r}], check=True)
"""


def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def block():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@pytest.mark.parametrize("before", [ignore, block], ids=["ignored", "blocked"])
def test_interrupts_reach_the_tests_and_the_programs_that_they_start(before):
    done = subprocess.run([sys.executable, "-c", AS_TESTS_DO], preexec_fn=before, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own, started = done.stdout.splitlines()
    assert own == "True False"
    assert started == "<built-in function default_int_handler> False"
