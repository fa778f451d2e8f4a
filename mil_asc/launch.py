"""Start of every ``train.py``: settings that a process can only take at its start, then the run.

glibc hands every large activation back to the system and faults it in again, which takes most of the time
of a training step on a CPU. Its tunables are read when a process starts, so the process replaces itself
once; nothing heavy is imported before that. OpenMP's threads spin while they wait for each other, which on
a machine shared with others takes the processor from the thread that is waited for: they sleep instead.
"""

import os
import sys

TUNABLES = {
    "glibc.malloc.hugetlb": "1",
    "glibc.malloc.mmap_threshold": str(2**32),
    "glibc.malloc.trim_threshold": str(10 * 2**32),
    "glibc.malloc.top_pad": str(2**28),
}
SWITCH = "MIL_ASC_MALLOC"


def malloc_environment(environment=None):
    """The environment with glibc's tunables set, or None where they are set, switched off or of no use."""
    environment = dict(os.environ if environment is None else environment)
    if environment.get(SWITCH, "keep-pages") != "keep-pages" or not sys.platform.startswith("linux"):
        return None
    if "glibc.malloc." in environment.get("GLIBC_TUNABLES", "") or "LD_PRELOAD" in environment:
        return None
    ours = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    environment["GLIBC_TUNABLES"] = ":".join(filter(None, [environment.get("GLIBC_TUNABLES"), ours]))
    return environment


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
        sys.exit(130)
    sys.exit(train(sys.argv[1:]))
