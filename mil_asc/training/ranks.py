"""What a process must know of the others that train with it.

torchrun starts one process for each device. Their numbers, from 0 up, are called ranks; rank 0 is the main one, which
writes all files. Without torchrun there is one rank, and nothing here waits or communicates.
"""

import contextlib
import os
from datetime import timedelta

import torch
from torch import distributed

from mil_asc.errors import UserError
from mil_asc.runtime import hardware
from mil_asc.training.one_voice import RanksLost

LONGEST_WAIT = timedelta(days=1)
"""How long ranks wait for each other: the main one may decode a large data set, or write its report."""
BATCH_SIZE_OF = ("step", "rank")
"""What ``batch_size`` may count: the clips of a training step, or those of one rank in it."""
LOST_WORDS = ("gloo", "connection closed by peer", "connection reset by peer", "nccl")
"""Parts of the messages of PyTorch when another rank has ended."""


class Ranks:
    """This process's rank among all that take part in a run, and what they do together.

    All ranks must call the methods that communicate, in the same order.

    Arguments
    ---------
    rank : int
        From 0 up.
    count : int
        Number of ranks.
    local : int
        Rank among those on this machine, which is the number of its GPU.

    Example
    -------
    >>> Ranks(rank=1, count=2).share([10, 11, 12])
    [11]
    """

    def __init__(self, rank=0, count=1, local=0):
        self.rank, self.count, self.local = rank, count, local
        self.idle = False

    @property
    def main(self):
        """Whether this rank writes files and prints."""
        return self.rank == 0

    @property
    def several(self):
        """Whether there are other ranks."""
        return self.count > 1

    # -- what each rank computes

    def share(self, items):
        """This rank's part of a list; all parts together are the list, and their lengths differ by one at most."""
        return items[self.rank :: self.count]

    def number(self, position):
        """Position in a whole list of the item at ``position`` in this rank's ``share``."""
        return position * self.count + self.rank

    def clips_of_step(self, batch_size, batch_size_of):
        """Clips of all ranks in one training step.

        Arguments
        ---------
        batch_size : int
            As configured.
        batch_size_of : str
            What it counts, one of ``BATCH_SIZE_OF``.

        Raises
        ------
        UserError
            There would be ranks without clips in every step.
        """
        if batch_size_of == "rank":
            return batch_size * self.count
        if batch_size < self.count:
            raise UserError(
                f"--batch_size={batch_size} is less than the number of ranks ({self.count}): "
                "give a larger one, or --batch_size_of=rank"
            )
        return batch_size

    @contextlib.contextmanager
    def computing(self, clips):
        """Within this context, ``clips`` (0 or more) of the batch are this rank's own.

        A rank without clips computes one of another rank, so that all communicate alike; it counts nothing.
        """
        self.idle = clips == 0
        try:
            yield
        finally:
            self.idle = False

    # -- what they do together

    def gather(self, value):
        """The values that all ranks give, in their order: plain data or arrays."""
        if not self.several:
            return [value]
        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def from_main(self, function):
        """What ``function()`` returns on the main rank, which alone calls it."""
        if not self.several:
            return function()
        values = [function() if self.main else None]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def barrier(self):
        """Wait until all ranks are here."""
        if self.several:
            distributed.all_reduce(torch.zeros(1))  # on the host, where ranks may wait for hours

    @contextlib.contextmanager
    def main_first(self):
        """The main rank goes through this context before all others."""
        if not self.main:
            self.barrier()
        yield
        if self.main:
            self.barrier()

    def check_same(self, value, message):
        """Raise a ``UserError`` with ``message`` if the ranks do not all give the same value (plain data)."""
        if any(other != value for other in self.gather(value)):
            raise UserError(message)

    @torch.no_grad()
    def copy_from_main(self, module):
        """Give a module the parameters and buffers that it has on the main rank."""
        for tensor in module.state_dict().values() if self.several else ():
            whole = tensor.contiguous()
            distributed.broadcast(whole, src=0)
            tensor.copy_(whole)

    @torch.no_grad()
    def sum_gradients(self, parameters):
        """Replace the gradients of all ranks by their sum, the same on each of them."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not self.several or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(part.view_as(gradient))


def started_by_torchrun(environment=None):
    """Whether the environment (default: the process's) is that of a process of torchrun.

    ``RANK`` alone is not: some cluster managers set it for every process.
    """
    environment = os.environ if environment is None else environment
    return "RANK" in environment and "LOCAL_RANK" in environment


def join_ranks():
    """The ``Ranks`` of this process; at the first call, it is connected with the others.

    Tensors on the host are exchanged by gloo, those on GPUs by NCCL. A ``UserError`` is raised if the environment is
    not that of torchrun in full, or another rank cannot be reached.
    """
    if not started_by_torchrun():
        return Ranks()
    if not distributed.is_initialized():
        gpus = torch.cuda.is_available() and distributed.is_nccl_available()
        try:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=LONGEST_WAIT)
        except (ValueError, RuntimeError) as error:  # RuntimeError: a rank ended, or cannot be reached
            words = " ".join(str(error).split())
            raise RanksLost(f"the ranks cannot be connected ({words:.200}): start them with torchrun") from error
    return Ranks(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))


def device_of(ranks, name=None):
    """The ``torch.device`` of this rank: that called ``name``, by default a GPU of its own if there are GPUs.

    Raises
    ------
    UserError
        There is no such device; the name has a number, though each of several ranks needs its own GPU; there are
        fewer GPUs on this machine than ranks.
    """
    if not ranks.several:
        return hardware.find_device(name)
    if ":" in (name or ""):
        raise UserError(f"--device={name}: with torchrun each rank takes its own GPU: give cuda, cpu or no --device")
    if name == "cpu" or not torch.cuda.is_available():
        return hardware.find_device(name)
    gpus = torch.cuda.device_count()
    if ranks.local >= gpus:
        raise UserError(f"rank {ranks.rank} has no GPU: this machine has {gpus}, so give --nproc_per_node={gpus}")
    torch.cuda.set_device(ranks.local)
    return hardware.find_device(f"{name or 'cuda'}:{ranks.local}")


@contextlib.contextmanager
def lost_ranks(ranks):
    """Turn the errors of PyTorch when another rank ends into ``RanksLost``, of one line."""
    try:
        yield
    except RuntimeError as error:
        known = isinstance(error, distributed.DistError) or any(w in str(error).lower() for w in LOST_WORDS)
        if not ranks.several or not known:
            raise
        raise RanksLost(f"rank {ranks.rank} lost the connection to another rank, which ended") from error
