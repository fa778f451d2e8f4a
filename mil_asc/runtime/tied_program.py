"""A program that ends with the process that started it, even where that is killed outright; on Linux.

A run whose supervisor is killed would go on alone and keep the lock of its folder; a decoder would go on with a file
that nobody waits for. Linux can send a signal at the parent's death; elsewhere the program is started without that.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

_PATH = os.path.abspath(__file__)
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def tied(command: Sequence[str]) -> list[str]:
    """The command that starts ``command``, to be killed when this process ends.

    Ctrl-C is enabled again in it, because a shell's background jobs and Ray's workers inherit that it is ignored or
    blocked.

    Example
    -------
    >>> import subprocess
    >>> subprocess.run(tied(["echo", "a scene"]), capture_output=True).stdout
    b'a scene\\n'
    """
    return [sys.executable, "-I", "-S", _PATH, str(os.getpid()), *command]


def main(parent: int, command: Sequence[str]) -> NoReturn:
    """Replace this process by ``command``, to be killed when the process ``parent`` ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the signal was asked for
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
