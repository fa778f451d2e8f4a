"""Batches of one clip with one instance, of which a batch norm may see one value per channel: refused in time."""

import copy

import torch

from mil_asc.errors import UserError


def check_single_clips(network, dataset, batch_size):
    """Refuse a batch size that leaves a batch of one clip, if the network cannot be trained on the shortest clip alone.

    Arguments
    ---------
    network : MILClassifier
        It stays as it is: a copy is tried.
    dataset : ClipDataset
        The training clips.
    batch_size : int
        The last batch of an epoch has what is left.

    Raises
    ------
    UserError
        In one line with the number of clips and the batch size.
    """
    if len(dataset) % batch_size != 1 % batch_size:
        return
    samples = int(dataset.waveforms.lengths[dataset.rows[dataset.order_by_length()[0]]])
    if network.num_instances(samples) == 1 and not _trains_on_one(network, samples):
        raise UserError(
            f"a batch of one clip with one instance ({samples / network.front_end.sample_rate:.2f} s) is too little "
            f"for batch norms, and {len(dataset)} training clips in batches of {batch_size} leave one: choose another "
            "training.batch_size, or longer clips"
        )


def _trains_on_one(network, samples):
    trial = copy.deepcopy(network).train()
    device = next(trial.parameters()).device
    try:
        with torch.random.fork_rng(), torch.no_grad():
            trial(torch.zeros(1, samples, device=device))
    except ValueError as error:
        if "more than 1 value per channel" in str(error):  # of torch.nn.functional.batch_norm
            return False
        raise
    return True
