"""Start a program that ends with the process that supervises it: ``python -m mil_asc.paper.child PID PROGRAM...``

A run whose supervisor is killed outright would go on alone and keep the lock of its folder. Linux can send a signal
at the parent's death; elsewhere the program is started without that. Ctrl-C is enabled again, because a shell's
background jobs and Ray's workers inherit that it is ignored or blocked.
"""

import ctypes
import os
import signal
import sys

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def main(parent, command):
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
