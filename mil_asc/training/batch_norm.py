"""Precise batch norm: statistics estimated afresh with frozen weights.

Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3. Running averages lag
behind the weights; after a training of few steps they can be off by orders of magnitude, and a model that
fits its training clips then evaluates near chance. Dropout stays on, as it is while running averages are taken.
"""

import torch
from torch.optim.swa_utils import update_bn


def estimate_batch_norm(model, batches):
    """Replace the running statistics of every batch norm by their average over ``batches``.

    Arguments
    ---------
    model : torch.nn.Module
        Takes a (B, N) waveform batch; weights and training mode are left as they are.
    batches : iterable of torch.Tensor
        (B, N) waveforms on the model's device, mixed like the batches of training; batches of one size
        weigh clips equally.
    """
    with torch.no_grad():
        update_bn(batches, model)
