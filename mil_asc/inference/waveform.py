"""Waveforms as users have them: PyTorch or NumPy, checked and converted; works without PyTorch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import soxr

from mil_asc.audio.decode import MAX_RATE, MIN_RATE, check_waveform
from mil_asc.errors import ArgumentError

INTEGER_HINT = "divide integer samples by their full scale, such as 32768 for int16"


def as_waveform(wav: Any, name: str = "wav_N") -> np.ndarray:
    """A mono waveform (N,), float32, linear amplitude with full scale 1; its samples are not checked.

    Arguments
    ---------
    wav : torch.Tensor, numpy.ndarray or sequence of float
        (N,), (1, N) or (N, 1), of a floating-point type.
    name : str
        What it is called in a message.

    Raises
    ------
    ArgumentError
        Another shape or type.
    """
    samples = _as_float(wav, name)
    if samples.ndim == 2 and 1 in samples.shape:
        samples = samples.reshape(-1)
    if samples.ndim != 1:
        raise ArgumentError(f"{name} must be a mono waveform (N,), got shape {samples.shape}: average the channels")
    return samples


def as_batch(wav: Any) -> np.ndarray:
    """Mono waveforms (B, N) as ``as_waveform`` takes one; (N,) becomes (1, N)."""
    samples = _as_float(wav, "wavs")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or len(samples) == 0:
        raise ArgumentError(f"wavs must be mono waveforms (B, N), got shape {samples.shape}")
    return samples


def as_counts(wav_lens: Any, wav_BN: np.ndarray) -> list[int]:
    """Samples of each clip, from its relative length (B,) as SpeechBrain has it: above 0, at most 1; None: all."""
    if wav_lens is None:
        return [wav_BN.shape[1]] * len(wav_BN)
    legal = f"wav_lens must be {len(wav_BN)} relative lengths above 0, at most 1 (the longest clip)"
    try:
        lengths = np.asarray(_without_torch(wav_lens, "wav_lens"), dtype=np.float64)
    except ArgumentError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{legal}, got {wav_lens!r:.80}") from error
    if lengths.shape != wav_BN.shape[:1] or not ((lengths > 0) & (lengths <= 1)).all():
        raise ArgumentError(f"{legal}, got {np.array2string(lengths, threshold=8):.80}")
    return np.round(lengths * wav_BN.shape[1]).astype(np.int64).tolist()


def at_rate(wav_N: np.ndarray, sample_rate: Any, model_rate: int, name: str) -> np.ndarray:
    """The waveform at the model's rate, by the resampler of files; ``sample_rate`` None: it has that rate.

    Raises
    ------
    ArgumentError
        ``sample_rate`` is no number from ``MIN_RATE`` to ``MAX_RATE``.
    AudioError
        Samples are missing, silent, not finite or absurdly large.
    """
    rate = as_rate(sample_rate, model_rate)
    if rate == model_rate:
        return wav_N
    check_waveform(name, wav_N, rate)
    count = round(len(wav_N) * model_rate / rate)
    out_N = soxr.resample(wav_N, rate, model_rate, quality="HQ")
    return np.pad(out_N, (0, max(count - len(out_N), 0)))[:count]


def as_rate(sample_rate: Any, model_rate: int) -> int:
    """A sampling rate (in Hz) from ``MIN_RATE`` to ``MAX_RATE``, or the model's, which None stands for too.

    Anything else is an ``ArgumentError``.
    """
    if sample_rate is None or sample_rate == model_rate:
        return model_rate
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer):
        raise ArgumentError(f"sample_rate must be a whole number (in Hz), got {sample_rate!r:.80}")
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ArgumentError(f"sample_rate must be {MIN_RATE} to {MAX_RATE} Hz, got {sample_rate}")
    return int(sample_rate)


def _without_torch(value: Any, name: str) -> Any:
    """A tensor as a NumPy array; anything else as it is. PyTorch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.strided or value.is_meta:
        kind = "meta" if value.is_meta else value.layout
        raise ArgumentError(f"{name} must be a dense tensor with samples, got a {kind} tensor")
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy()


def _as_float(wav: Any, name: str) -> np.ndarray:
    """Samples as a float32 array; any byte order and strides."""
    if isinstance(wav, np.ma.MaskedArray) and np.ma.is_masked(wav):
        raise ArgumentError(f"{name} must have no masked samples: cut them out, or replace them")
    try:
        array = np.asarray(_without_torch(wav, name))
    except ValueError as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{name} must be samples of one length, got a ragged {type(wav).__name__}") from error
    if array.dtype.kind in "iu":
        raise ArgumentError(
            f"{name} must be floating-point samples with full scale 1, got {array.dtype}: {INTEGER_HINT}"
        )
    if array.dtype.kind != "f":
        raise ArgumentError(f"{name} must be floating-point samples, got {type(wav).__name__} of {array.dtype}")
    with np.errstate(over="ignore"):  # infinity is refused later
        return np.array(array, dtype=np.float32)
