"""Normalizations per frequency band, and the eps of batch norms."""

import torch
from torch import nn

from mil_asc.checks import check_choice, check_count, check_number


class ResNorm(nn.Module):
    """Residual normalization: lambda x + (x - mu) / sqrt(var + eps), without parameters.

    Mean and biased variance are computed over channel and time, separately for every sample and frequency row. This
    removes the effect of a recording device on each band; lambda keeps some of it. Kim et al., "Domain
    generalization on efficient acoustic scene classification using residual normalization", arXiv 2111.06531.

    (B, C, F, T) -> (B, C, F, T), same dtype. Computed in float32 or better, also under autocast: in bfloat16 the
    variance of a log-mel band would have two digits. Every output frame depends on all frames of the clip.

    Arguments
    ---------
    lambda_ : float
        Weight of the input, finite and 0 or greater; the paper's 0.1.
    eps : float
        Added to the variance, greater than 0.

    Example
    -------
    >>> ResNorm()(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[-0.9000,  1.3000]]]])
    """

    def __init__(self, lambda_=0.1, eps=1e-5):
        super().__init__()
        check_number("lambda_", lambda_, least=0)
        check_number("eps", eps, above=0)
        self.lambda_ = lambda_
        self.eps = eps

    def forward(self, x_BCFT):
        """Normalized (B, C, F, T) of the same dtype."""
        with torch.autocast(x_BCFT.device.type, enabled=False):
            wide_BCFT = x_BCFT.to(torch.promote_types(x_BCFT.dtype, torch.float32))
            variance, mean = torch.var_mean(wide_BCFT, dim=(1, 3), correction=0, keepdim=True)
            normal_BCFT = (wide_BCFT - mean) * torch.rsqrt(variance + self.eps)
            return (self.lambda_ * wide_BCFT + normal_BCFT).to(x_BCFT.dtype)

    def extra_repr(self):
        """Settings, for printing."""
        return f"lambda_={self.lambda_}, eps={self.eps}"


class SubSpectralNorm(nn.Module):
    """Batch normalization of every channel and frequency band separately, each with its own scale and offset.

    Chang et al., "Subspectral normalization for neural audio data processing", ICASSP 2021, arXiv 2103.13620
    (the variant whose affine transform is per band). Band s of S covers rows s F/S to (s + 1) F/S - 1.

    (B, C, F, T) -> (B, C, F, T); raises ``ValueError`` if ``bands`` does not divide F.

    Arguments
    ---------
    channels : int
        Channels C.
    bands : int
        Bands S; 1 is plain batch normalization.

    Example
    -------
    >>> SubSpectralNorm(8, 4)(torch.randn(2, 8, 16, 5)).shape
    torch.Size([2, 8, 16, 5])
    """

    def __init__(self, channels, bands):
        super().__init__()
        check_count("channels", channels)
        check_count("bands", bands)
        self.bands = bands
        self.norm = nn.BatchNorm2d(channels * bands)

    def forward(self, x_BCFT):
        """Normalized (B, C, F, T)."""
        batch, channels, height, frames = x_BCFT.shape
        if height % self.bands:
            raise ValueError(f"{height} frequency rows cannot be divided into {self.bands} bands of equal height")
        banded = x_BCFT.reshape(batch, channels * self.bands, height // self.bands, frames)
        return self.norm(banded).reshape(x_BCFT.shape)


INPUT_NORMS = {"none": nn.Identity, "resnorm": ResNorm}
"""Normalizations of the log-mel spectrogram before the extractor, by their names in YAML files."""

BATCH_NORMS = {"plain": 0.0, "stable": 0.1}
"""The least eps of batch norms by the names in YAML files; ``docs/batch-norm.md`` has the measurements."""


def raise_batch_norm_eps(model, batch_norm):
    """Raise the eps of every batch norm of ``model`` to the least value that ``batch_norm`` names.

    A channel is multiplied by gamma / sqrt(variance + eps). Behind a ReLU that almost never fires, the variance of the
    training clips is next to nothing; with PyTorch's eps of 1e-5 a channel is then multiplied by hundreds, several such
    layers stand in a chain, and a recording that the training set has nothing like gets logits of any size.

    Arguments
    ---------
    model : torch.nn.Module
        Changed in place. Eps is not part of a state dict: weights must be used with the setting that trained them.
    batch_norm : str or float
        A key of ``BATCH_NORMS``, of which ``plain`` keeps every eps; or the least eps itself, from 0 up.
    """
    if isinstance(batch_norm, str):
        check_choice("batch_norm", batch_norm, BATCH_NORMS)
    else:
        check_number("batch_norm", batch_norm, least=0)
    least = BATCH_NORMS.get(batch_norm, batch_norm)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps = max(module.eps, least)
