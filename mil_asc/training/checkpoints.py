"""Atomic checkpoints, and the state of a run that SpeechBrain does not save."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import json
import os
import random
import shutil

import numpy as np
import torch
from speechbrain.utils.checkpoints import (
    CKPT_PREFIX,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from mil_asc.runtime.files import flush_to_disk

PARTIAL = ".partial-checkpoint"
REMOVED = ".removed-checkpoint"


class AtomicCheckpointer(Checkpointer):
    """A ``Checkpointer`` that writes and deletes checkpoints atomically.

    A checkpoint is written to a hidden folder, and renamed when it is complete and on the disk. A checkpoint that is
    deleted is renamed first. Leftovers of a killed process are removed at the next start.
    """

    def __init__(self, checkpoints_dir, **kwargs):
        super().__init__(checkpoints_dir, **kwargs)
        for leftover in [*self.checkpoints_dir.glob(PARTIAL + "*"), *self.checkpoints_dir.glob(REMOVED + "*")]:
            shutil.rmtree(leftover)

    def save_checkpoint(self, meta={}, end_of_epoch=True, name=None, **kwargs):  # noqa: B006 (as in SpeechBrain)
        """Save like ``Checkpointer``, but atomically; returns the checkpoint at its final path."""
        folder = self.checkpoints_dir
        final = self._new_checkpoint_dirpath() if name is None else self._custom_checkpoint_dirpath(name)
        self.checkpoints_dir = folder / f"{PARTIAL}-{os.getpid()}"
        try:
            saved = super().save_checkpoint(meta, end_of_epoch, final.name[len(CKPT_PREFIX) + 1 :], **kwargs)
            for path in [*saved.path.iterdir(), saved.path]:
                flush_to_disk(path)
            os.replace(saved.path, final)
            flush_to_disk(folder)
        finally:
            shutil.rmtree(self.checkpoints_dir, ignore_errors=True)
            self.checkpoints_dir = folder
        paramfiles = {key: final / path.name for key, path in saved.paramfiles.items()}
        return saved._replace(path=final, paramfiles=paramfiles)

    @staticmethod
    def _delete_checkpoint(checkpoint, **kwargs):
        hidden = checkpoint.path.with_name(f"{REMOVED}-{checkpoint.path.name}")
        os.replace(checkpoint.path, hidden)
        shutil.rmtree(hidden)


@register_checkpoint_hooks
class RunState:
    """State of a run besides weights, optimizer and epoch: random generators, sums, history.

    ``sums`` are the running sums of the current epoch by name; ``history`` has one dictionary per epoch.
    """

    def __init__(self):
        self.sums = {}
        self.history = []

    @mark_as_saver
    def save(self, path):
        """Save to ``path``, including the random states of Python, NumPy and torch."""
        torch.save(
            {
                "python": json.dumps(random.getstate()),
                "numpy": json.dumps(_plain(np.random.get_state())),
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                "record": json.dumps([self.sums, self.history]),
            },
            path,
        )

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Load the state from ``path``, and restore the random generators."""
        del end_of_epoch
        state = torch.load(path, map_location="cpu", weights_only=True)
        version, numbers, gauss = json.loads(state["python"])
        random.setstate((version, tuple(numbers), gauss))
        name, keys, *rest = json.loads(state["numpy"])
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        self.sums, self.history = json.loads(state["record"])


def _plain(numpy_state):
    name, keys, *rest = numpy_state
    return [name, keys.tolist(), *rest]
