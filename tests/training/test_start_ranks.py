"""Which rank is said to have failed, when several ended before anybody looked."""

import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mil_asc.training.start_ranks import first_failure


def failed(tmp_path, codes):
    """A ``ChildFailedError`` of ranks that ended one after the other with these exit codes."""
    failures = {}
    for rank, (when, code) in enumerate(codes):
        failures[rank] = ProcessFailure(
            local_rank=rank, pid=100 + rank, exitcode=code, error_file=str(tmp_path / "none")
        )
        failures[rank].timestamp = when
    return ChildFailedError("train.py", failures)


@pytest.mark.parametrize(
    "codes, rank",
    [
        ([(1, 1), (2, -signal.SIGKILL)], 1),  # rank 0 lost the connection, and was looked at first
        ([(1, -signal.SIGTERM), (2, -signal.SIGKILL)], 1),
        ([(2, 1), (1, -signal.SIGKILL), (3, -signal.SIGSEGV)], 1),
        ([(2, -signal.SIGTERM), (1, 2)], 1),
        ([(1, 1), (2, 1)], 0),
    ],
)
def test_the_rank_that_was_killed_goes_before_those_that_lost_it(tmp_path, codes, rank):
    assert first_failure(failed(tmp_path, codes))[0] == rank
