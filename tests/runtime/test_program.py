"""The end of a program: output that cannot be shown or written is no traceback."""

import subprocess
import sys

import pytest
import tiny

from mil_asc.errors import ArgumentError, UserError
from mil_asc.runtime.program import run_program

PRINTS = (
    "import sys; from mil_asc.runtime.program import run_program; sys.exit(run_program(lambda: print({text}) or 0))"
)


def run(command, environment=None):
    """(exit status, standard output, standard error) of a shell command, in which $PYTHON is this Python."""
    environment = {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(tiny.ROOT),
        "PATH": "/usr/bin:/bin",
        **(environment or {}),
    }
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, cwd=tiny.ROOT)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("error, status", [(UserError, 1), (ArgumentError, 1), (KeyboardInterrupt, 130)])
def test_errors_are_one_line_and_a_status(capsys, error, status):
    def main():
        raise error("what is wrong")

    assert run_program(main) == status
    assert capsys.readouterr().err.count("\n") == 1
    assert run_program(lambda: 7) == 7


def test_letters_that_the_terminal_lacks_are_escaped():
    status, out, _ = run(f'"$PYTHON" -c "{PRINTS.format(text=ascii("Straße"))}"', {"PYTHONIOENCODING": "ascii"})
    assert (status, out) == (0, "Stra\\xdfe\n")


@pytest.mark.parametrize("size", [1, 10**6])  # written at the end, and before it
def test_full_disk_and_closed_pipe_are_no_traceback(size):
    program = f'"$PYTHON" -c "{PRINTS.format(text=f"{size} * chr(97)")}"'
    status, _, err = run(f"{program} > /dev/full")
    assert (status, err) == (1, "error: the output: No space left on device\n")
    assert run(f"{program} >&-")[0] == 0
    status, _, err = run(f"set -o pipefail; (sleep 1; {program}) | true")
    assert (status, err) == (141, "")


def test_closed_output_does_not_stop_a_start():
    """The process restarts itself at the beginning, which flushes standard output."""
    program = "from mil_asc.training.launch import main; main()"
    status, _, err = run(f'"$PYTHON" -c "{program}" none.yaml >&-')
    assert (status, err) == (1, "error: none.yaml is not a file: name a YAML file such as hparams/fuse_pnl.yaml\n")
