"""The state of a run that SpeechBrain does not save: random generators of all ranks, sums, history, origin."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import json
import random

import numpy as np
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from mil_asc.errors import UserError
from mil_asc.training.ranks import Ranks


@register_checkpoint_hooks
class RunState:
    """State of a run besides weights, optimizer and epoch: random generators, sums, history, origin.

    ``sums`` are the running sums of the current epoch by name; ``history`` has one dictionary per epoch; ``origin``
    says which weights the training began with (``InitialWeights.load_into``), None for random ones.

    Arguments
    ---------
    ranks : Ranks, optional
        Who takes part; each has random generators of its own.
    """

    def __init__(self, ranks=None):
        self.ranks = ranks or Ranks()
        self.sums = {}
        self.history = []
        self.origin = None
        self.generators = None
        self.ranks_before = self.ranks.count

    def separate_generators(self, seed):
        """Give every rank but the main one random numbers of its own, which follow from ``seed``."""
        if not self.ranks.main:
            own = int(np.random.SeedSequence([seed, self.ranks.rank]).generate_state(1)[0])
            random.seed(own)
            np.random.seed(own)
            torch.manual_seed(own)

    def collect(self):
        """Take in the random generators of all ranks, before the main one saves; all ranks call this together."""
        self.generators = self.ranks.gather(_generators())

    def check_ranks(self, progress):
        """Refuse to continue a training of another number of ranks, or one that some ranks lack (``UserError``).

        Arguments
        ---------
        progress : int
            How far this rank is after loading: its optimizer steps.
        """
        if self.ranks_before != self.ranks.count:
            raise UserError(
                f"this run was trained by {self.ranks_before} rank(s), now there are {self.ranks.count}: give "
                f"--nproc_per_node={self.ranks_before} (on one machine), or another --output_folder"
            )
        self.ranks.check_same(
            (progress, len(self.history)),
            "the ranks found different checkpoints: all machines must see the same output_folder",
        )

    @mark_as_saver
    def save(self, path):
        """Save to ``path``, including the random states of Python, NumPy and torch, last collected or this rank's."""
        own, *others = self.generators or [_generators()]
        record = json.dumps([self.sums, self.history, self.origin])
        torch.save({**own, "others": others, "record": record}, path)
        self.generators = None

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Load the state from ``path``, and restore this rank's random generators, if there were as many ranks."""
        del end_of_epoch
        state = torch.load(path, map_location="cpu", weights_only=True)
        generators = [state, *state.get("others", [])]
        self.ranks_before = len(generators)
        if self.ranks_before == self.ranks.count:
            _restore(generators[self.ranks.rank])
        self.sums, self.history, *origin = json.loads(state["record"])
        self.origin = origin[0] if origin else None  # checkpoints of earlier versions have none


def _generators():
    """States of the random generators of this process, as plain data."""
    return {
        "python": json.dumps(random.getstate()),
        "numpy": json.dumps(_plain(np.random.get_state())),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore(state):
    version, numbers, gauss = json.loads(state["python"])
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _plain(numpy_state):
    name, keys, *rest = numpy_state
    return [name, keys.tolist(), *rest]
