"""torchrun, without its log and traceback where a rank fails:

    python -m mil_asc.training.start_ranks --nproc_per_node=2 train.py hparams/fuse_pnl.yaml

takes the options of torchrun. The rank that fails says why, in one line; one that was killed is named here. Processors
are shared out among the ranks of a machine, unless ``OMP_NUM_THREADS`` is set.
"""

import logging
import os
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import determine_local_world_size, get_args_parser, run

from mil_asc.runtime.program import run_program
from mil_asc.training.one_voice import ENDED, OWN_LAUNCHER


def main(arguments):
    """Start the ranks as given on the command line, and wait for them; returns the exit status."""
    options = get_args_parser().parse_args(arguments)
    try:
        ranks = determine_local_world_size(options.nproc_per_node)
    except ValueError as error:
        print(f"error: --nproc_per_node: {error}", file=sys.stderr)
        return 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(len(os.sched_getaffinity(0)) // ranks, 1)))
    os.environ[OWN_LAUNCHER] = "1"
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run(options)
    except ChildFailedError as error:
        rank, failure = first_failure(error)
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            print(f"error: rank {rank} was killed ({name}); {ENDED}", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        print(f"stopped; {ENDED}", file=sys.stderr)
        return 128 + error.sigval
    return 0


def first_failure(error):
    """The rank that failed first, with its failure, of a ``ChildFailedError``.

    When a rank is killed, the others lose the connection and end too, perhaps before torchrun looks: one that was
    killed goes before those that ended themselves. SIGTERM is what torchrun sends to the ranks that are left.
    """
    others = (-signal.SIGTERM, *range(256))
    killed = [(rank, one) for rank, one in error.failures.items() if one.exitcode not in others]
    return min(killed, key=lambda pair: pair[1].timestamp) if killed else error.get_first_failure()


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
