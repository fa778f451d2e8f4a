"""Load folders one after the other with little memory to spare; prints ``{name: outcome}`` as JSON.

    load_limited.py LEGAL_FOLDER FOLDER...

An outcome is the refusal's line, or what else happened. Each folder gets ``SECONDS``, all together ``SPARE_BYTES`` of
address space beyond what the process has after it loaded a legal folder.
"""

import json
import os
import resource
import signal
import sys
import warnings
from pathlib import Path

import torch

from mil_asc.errors import UserError
from mil_asc.packaging.folder import load_any

SECONDS = 30
SPARE_BYTES = 250_000_000


class HangError(BaseException):
    """Not an ``Exception``, so that nothing takes it for a refusal."""


def stop(signum, frame):
    raise HangError


def outcome(folder):
    signal.alarm(SECONDS)
    try:
        load_any(folder)
        return "LOADED"
    except UserError as error:
        return str(error)
    except HangError:
        return f"HANGS for more than {SECONDS} s"
    except BaseException as error:
        return f"NOT REFUSED but {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, stop)
    legal, *folders = map(Path, sys.argv[1:])
    assert outcome(legal) == "LOADED"
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    json.dump({folder.name: outcome(folder) for folder in folders}, sys.stdout)
