"""Precise batch norm: statistics are re-estimated with frozen weights.

Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3. Running averages lag
behind the weights. After few training steps they can be off by orders of magnitude, and a model that fits its
training clips then evaluates near chance. Dropout stays on, as it does when running averages are computed.
"""

import torch
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def estimate_batch_norm(model, batches):
    """Replace the running statistics of every batch norm that is trained by their average over ``batches``.

    It does what ``torch.optim.swa_utils.update_bn`` does, except that batch norms which stay in evaluation mode while
    the model is in training mode, those of a frozen extractor, keep their statistics and are computed with them.

    Arguments
    ---------
    model : torch.nn.Module
        Takes a (B, N) waveform batch; its weights and training mode do not change.
    batches : iterable of torch.Tensor
        (B, N) waveforms on the model's device, mixed like training batches. Clips have equal weight if the batches
        have equal size.
    """
    was_training = model.training
    model.train()
    momenta = {norm: norm.momentum for norm in model.modules() if isinstance(norm, _BatchNorm) and norm.training}
    if momenta:
        for norm in momenta:
            norm.reset_running_stats()
            norm.momentum = None  # the average over all batches
        for wav_BN in batches:
            model(wav_BN)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(was_training)
