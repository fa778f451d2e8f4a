"""What a command takes: python small_process.py COMMAND... prints seconds, processor seconds and peak memory as JSON.

It runs the command from a process that is small itself, because a process starts with the peak memory of the one that
started it. Processor seconds are those of all its processes, the peak is that of the largest. What the command prints
goes to standard error.
"""

import json
import os
import sys
import time

from mil_asc.runtime.tied_program import tied


def run(words):
    """Run a command to its end; returns its exit status and the measurements."""
    begun = time.perf_counter()
    actions = [(os.POSIX_SPAWN_DUP2, 2, 1)]
    words = tied(words)
    _, status, used = os.wait4(os.posix_spawn(words[0], words, os.environ, file_actions=actions), 0)
    seconds = time.perf_counter() - begun
    found = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
    return os.waitstatus_to_exitcode(status), found


if __name__ == "__main__":
    status, found = run(sys.argv[1:])
    print(json.dumps(found))
    sys.exit(status if status >= 0 else 128 - status)
