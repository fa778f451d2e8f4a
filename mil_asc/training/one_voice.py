"""What several ranks print: one line at an error, not one of each rank, and nothing else but the main rank's.

PyTorch is imported only where there is an error, because a wrong command line is refused before it is needed.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import warnings

from tqdm import tqdm

from mil_asc.errors import UserError
from mil_asc.runtime.tied_program import PARENT_DEATH_SIGNAL

OWN_LAUNCHER = "MIL_ASC_START_RANKS"
"""Set in the environment by ``mil_asc.training.start_ranks``, which says itself which rank was killed."""
ENDED = "the same command resumes from the last checkpoint, if one exists"


class RanksLost(UserError):
    """Another rank ended, so this one cannot go on; what that rank printed says why."""


def several_ranks():
    """Whether torchrun started this process together with others."""
    return "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def listen_to_torchrun():
    """Silence all ranks but the main one, and end at once when torchrun says that another rank failed, or is gone.

    It does so by SIGTERM, for which Python would wait until a GPU, or another rank, has answered. Linux sends it where
    torchrun was killed outright.
    """
    if not several_ranks():
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(reading, True)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_wait_for_sigterm, args=(reading,), daemon=True).start()
    if os.environ["RANK"] != "0":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
        logging.getLogger().addHandler(logging.NullHandler())
        warnings.simplefilter("ignore")


def _wait_for_sigterm(reading):
    while signal.SIGTERM not in os.read(reading, 64):
        pass
    say_lost("stopped, because another rank or torchrun was stopped")
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)


def leave(status):
    """Exit with the status of the run; a rank that failed leaves at once, whatever its connections wait for.

    All that a rank has to write is written by then. Ranks end without Python's own end, in which a thread of PyTorch
    that asks for the interpreter aborts the process now and then ("terminate called without an active exception").
    """
    if not several_ranks():
        sys.exit(status)
    if not status:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def say(line):
    """Print a line on standard error, if no other rank has ended with one."""
    if first_to_end():
        tqdm.write(line, file=sys.stderr)  # below a progress bar that is still open


def say_lost(what):
    """Print that this rank cannot go on because of another one, which said nothing."""
    if OWN_LAUNCHER not in os.environ:
        say(f"error: {what}; {ENDED}")


def first_to_end():
    """Whether this is the first of all ranks that ends with an error, and so the one that says it."""
    if not several_ranks() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    from torch.distributed import DistError, TCPStore

    try:
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        return store.add(f"mil_asc/ended/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1
    except (DistError, RuntimeError):  # torchrun itself has ended: better twice than never
        return True
