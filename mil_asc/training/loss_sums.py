"""Sums of the losses of an epoch over the clips of all ranks; losses must be finite."""

import logging
import math

import torch

from mil_asc.errors import UserError
from mil_asc.training.diagnosis import LARGE_LOSS

logger = logging.getLogger(__name__)


class LossSums:
    """Collects the losses of batches, which stay on the device until they are checked together.

    Arguments
    ---------
    ranks : Ranks
    every : int
        Batches between two checks in training; each makes a GPU, and the ranks, wait.
    """

    def __init__(self, ranks, every):
        self.ranks, self.every = ranks, every
        self.unchecked = []
        self.warned = False

    def note(self, step, terms, index_B, clips):
        """Take in the terms of a batch, scalars by name: means over ``clips`` clips at ``index_B`` in the data set."""
        names, values = zip(*terms.items())
        self.unchecked.append((step, names, torch.stack([value.detach().float() for value in values]), index_B, clips))

    @property
    def due(self):
        """Whether it is time for a check."""
        return len(self.unchecked) >= self.every

    def check(self, clips, sums):
        """Add the losses since the last check to ``sums``, by name; all ranks must do this together.

        Arguments
        ---------
        clips : list of Clip
            The data set.
        sums : dict
            Changed in place: ``clips``, ``largest_loss`` (of a batch), and the sum over clips of each term.

        Raises
        ------
        UserError
            A loss is not finite; the clips of its batch are named, on every rank alike.
        """
        unchecked, self.unchecked = self.unchecked, []
        rows = [(step, names, v.tolist(), index_B.tolist(), own) for step, names, v, index_B, own in unchecked if own]
        batches = {}
        for row in (row for of_rank in self.ranks.gather(rows) for row in of_rank):
            batches.setdefault(row[0], []).append(row[1:])
        for step in sorted(batches):
            self._add(step, batches[step], clips, sums)

    def _add(self, step, parts, clips, sums):
        """Add one batch, of which each rank has a part: names, values, positions, clips."""
        names, count = parts[0][0], sum(part[3] for part in parts)
        totals = [sum(part[1][i] * part[3] for part in parts) for i in range(len(names))]
        values = parts[0][1] if len(parts) == 1 else [total / count for total in totals]
        if not all(math.isfinite(value) for value in values):
            paths = ", ".join(clips[i].path for part in parts for i in part[2])
            raise UserError(
                f"the loss of batch {step} of the epoch is not finite ({dict(zip(names, values))}); "
                f"clips of the batch: {paths}. Lower the learning rate, or check these files"
            )
        self._note_largest(step, values[names.index("loss")], sums)
        sums["clips"] = sums.get("clips", 0) + count
        for name, total in zip(names, totals):
            sums[name] = sums.get(name, 0.0) + total

    def _note_largest(self, step, loss, sums):
        """Keep the largest loss of the epoch, and warn of the first that is too large to learn from."""
        if loss > LARGE_LOSS and not self.warned:
            logger.warning("WARNING: the loss of batch %d of the epoch is %.1e: the training diverges", step, loss)
            self.warned = True
        sums["largest_loss"] = max(loss, sums.get("largest_loss", loss))


def means(sums):
    """Mean of each term over the clips so far, by name."""
    return {name: sums[name] / sums["clips"] for name in sums if name not in ("clips", "largest_loss")}
