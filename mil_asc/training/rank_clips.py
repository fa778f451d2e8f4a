"""Each rank's part of the clips: of every training batch, and of the batches of an evaluation."""

import torch

from mil_asc.augment.waveform_pieces import cyclic


class RankClips(torch.utils.data.Dataset):
    """A ``ClipDataset`` of which this rank reads its part of every batch.

    A part is padded like the whole batch, so that it is computed as one process would compute it. A rank without clips
    reads the first of the batch (see ``Ranks.computing``).

    Arguments
    ---------
    dataset : ClipDataset
        The clips of all ranks.
    ranks : Ranks
    """

    def __init__(self, dataset, ranks):
        self.dataset, self.ranks = dataset, ranks

    def __len__(self):
        return len(self.dataset)

    def __getitems__(self, indices):
        """A ``ClipBatch`` of this rank's part of the clips at ``indices``."""
        batch = self.dataset.__getitems__(self.ranks.share(indices) or indices[:1])
        longest = self.dataset.longest(indices)
        if longest > batch.samples_BN.shape[1]:
            start_B = torch.zeros_like(batch.length_B)
            batch = batch._replace(samples_BN=cyclic(batch.samples_BN, batch.length_B, start_B, longest))
        return batch


def evaluation_batches(dataset, batch_size, ranks):
    """This rank's batches of an evaluation: positions in a ``ClipDataset``, in the order of the clips' lengths.

    Batches are those of one process, so that scores do not depend on the number of ranks.
    """
    order = dataset.order_by_length()
    return ranks.share([order[first : first + batch_size] for first in range(0, len(order), batch_size)])
