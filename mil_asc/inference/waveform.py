"""Waveforms as users have them: PyTorch or NumPy, checked and converted for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mil_asc.errors import ArgumentError

INTEGER_HINT = "divide integer samples by their full scale, such as 32768 for int16"


def as_waveform(wav: Any) -> Tensor:
    """A mono waveform (N,), float32, linear amplitude with full scale 1; its samples are not checked.

    Arguments
    ---------
    wav : torch.Tensor, numpy.ndarray or sequence of float
        (N,), (1, N) or (N, 1), of a floating-point type.

    Raises
    ------
    ArgumentError
        Another shape or type.
    """
    samples = _as_float(wav, "wav_N")
    if samples.dim() == 2 and 1 in samples.shape:
        samples = samples.reshape(-1)
    if samples.dim() != 1:
        raise ArgumentError(
            f"wav_N must be a mono waveform (N,), got shape {tuple(samples.shape)}: average the channels"
        )
    return samples


def as_batch(wav: Any, min_samples: int = 1) -> Tensor:
    """Mono waveforms (B, N) as ``as_waveform`` takes one; (N,) becomes (1, N).

    An ``ArgumentError`` is raised as well if N is less than ``min_samples`` or a sample is not finite.
    """
    samples = _as_float(wav, "wav_BN")
    if samples.dim() == 1:
        samples = samples.unsqueeze(0)
    if samples.dim() != 2 or len(samples) == 0:
        raise ArgumentError(f"wav_BN must be mono waveforms (B, N), got shape {tuple(samples.shape)}")
    _check_samples(samples, "wav_BN", min_samples)
    return samples


def as_lengths(length: Any, wav_BN: Tensor, min_samples: int = 1) -> Tensor | None:
    """Lengths (B,) in samples of the waveforms ``wav_BN``, int64; None stays None."""
    if length is None:
        return None
    legal = f"length_B must be {len(wav_BN)} whole numbers from {min_samples} to {wav_BN.shape[1]} (in samples)"
    try:
        length_B = torch.as_tensor(length)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ArgumentError(f"{legal}, got {length!r:.80}") from error
    if length_B.shape != wav_BN.shape[:1] or length_B.is_floating_point():
        raise ArgumentError(f"{legal}, got {length_B.dtype} of shape {tuple(length_B.shape)}")
    if ((length_B < min_samples) | (length_B > wav_BN.shape[1])).any():
        raise ArgumentError(f"{legal}, got {length_B.tolist()}")
    return length_B.to(torch.int64)


def _as_float(wav: Any, name: str) -> Tensor:
    """Samples as a float32 tensor; a NumPy array may have any byte order and strides."""
    if isinstance(wav, np.ma.MaskedArray) and np.ma.is_masked(wav):
        raise ArgumentError(f"{name} must have no masked samples: cut them out, or replace them")
    if isinstance(wav, Tensor) and (wav.layout != torch.strided or wav.is_meta):
        kind = "meta" if wav.is_meta else wav.layout
        raise ArgumentError(f"{name} must be a dense tensor with samples, got a {kind} tensor")
    if not isinstance(wav, Tensor):
        try:
            array = np.asarray(wav)
        except ValueError as error:
            raise ArgumentError(f"{name} must be samples of one length, got a ragged {type(wav).__name__}") from error
        if array.dtype.kind not in "fiu":
            raise ArgumentError(f"{name} must be floating-point samples, got {type(wav).__name__} of {array.dtype}")
        with np.errstate(over="ignore"):  # infinity is refused below
            wav = array if array.dtype.kind != "f" else torch.from_numpy(np.array(array, dtype=np.float32))
    if not isinstance(wav, Tensor) or not wav.is_floating_point():
        raise ArgumentError(f"{name} must be floating-point samples with full scale 1, got {wav.dtype}: {INTEGER_HINT}")
    return wav.float()


def _check_samples(samples: Tensor, name: str, min_samples: int) -> None:
    if samples.shape[-1] < min_samples:
        raise ArgumentError(f"{name} is too short: {samples.shape[-1]} samples, at least {min_samples} are needed")
    if not torch.isfinite(samples).all():
        raise ArgumentError(f"{name} must have finite samples, got NaN or infinity")
