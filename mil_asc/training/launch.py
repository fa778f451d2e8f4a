"""Start of every ``train.py``: settings that a process can only take at its start, then the run.

The allocator's tunables (see ``mil_asc.runtime.allocator``) are read when a process starts, so the process replaces
itself once; nothing heavy is imported before that. OpenMP's threads spin while they wait for each other, which on
a machine shared with others takes the processor from the thread that is waited for: they sleep instead.
"""

import os
import sys

from mil_asc.runtime.allocator import malloc_environment


def keep_pages():
    """Replace this process by itself with the tunables set; returns at once where that is not wanted.

    ``MIL_ASC_MALLOC=system`` in the environment, or an allocator of one's own in ``LD_PRELOAD``, turns it off.
    """
    environment = malloc_environment()
    if environment is not None:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def calm_progress_bars():
    """Where nobody watches, a progress bar gets a line every half minute instead of ten a second."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "30")


def main():
    """Run the training that the command line describes, and exit with its status."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    calm_progress_bars()
    keep_pages()
    try:
        from mil_asc.training.entry import main as train
    except KeyboardInterrupt:
        print("stopped before the run began", file=sys.stderr)
        sys.exit(130)
    sys.exit(train(sys.argv[1:]))
