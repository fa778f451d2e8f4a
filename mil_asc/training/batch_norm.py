"""Precise batch norm: statistics are re-estimated with frozen weights.

Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3. Running averages lag
behind the weights. After few training steps they can be off by orders of magnitude, and a model that fits its
training clips then evaluates near chance. Dropout stays on, as it does when running averages are computed.
"""

import torch
from torch.optim.swa_utils import update_bn


def estimate_batch_norm(model, batches):
    """Replace the running statistics of every batch norm by their average over ``batches``.

    Arguments
    ---------
    model : torch.nn.Module
        Takes a (B, N) waveform batch; its weights and training mode do not change.
    batches : iterable of torch.Tensor
        (B, N) waveforms on the model's device, mixed like training batches. Clips have equal weight if the batches
        have equal size.
    """
    with torch.no_grad():
        update_bn(batches, model)
