"""Start of every ``train.py``: settings that must be made when a process starts, then the run.

The allocator's tunables (see ``mil_asc.runtime.allocator``) are read when a process starts, so the process restarts
itself once; nothing large is imported before that. By default, waiting OpenMP threads spin. On a shared machine this
takes processor time from the thread they wait for, so they are set to sleep.
"""

import os
import sys

from mil_asc.runtime.allocator import malloc_environment
from mil_asc.runtime.program import prepare_output, run_program
from mil_asc.training.one_voice import leave, say


def keep_pages():
    """Restart this process with the tunables set, if they are not set yet.

    ``MIL_ASC_MALLOC=system`` in the environment, or another allocator in ``LD_PRELOAD``, disables this.
    """
    environment = malloc_environment()
    if environment is not None:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def calm_progress_bars():
    """Without a terminal, print a progress bar every half minute instead of ten times a second."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "30")


def main():
    """Train as given on the command line, and exit with the status of the run."""
    prepare_output()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    calm_progress_bars()
    keep_pages()
    try:
        from mil_asc.training.entry import main as train
    except KeyboardInterrupt:
        say("stopped before the run started")
        sys.exit(130)
    leave(run_program(lambda: train(sys.argv[1:])))
