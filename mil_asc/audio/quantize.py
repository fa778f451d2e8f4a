"""Clips stored as int16, each with a scale of its own, so that a quiet clip keeps its detail."""

import numpy as np

_INT16_PEAK = 32767
_TINY = float(np.finfo(np.float32).tiny)


def quantize(wav: np.ndarray) -> tuple[np.ndarray, float]:
    """Round a clip to int16 in steps of its own peak / 32767, so that a quiet clip keeps its treble.

    Arguments
    ---------
    wav : numpy.ndarray
        float32, any shape, finite; full scale is 1.

    Returns
    -------
    steps : numpy.ndarray
        int16 of the same shape, within -32767 ... 32767.
    scale : float
        Linear amplitude of one step, above 0 (a float32 value): ``|wav - steps * scale| <= scale / 2``, apart
        from float32 rounding (below 1 % of a step).

    Example
    -------
    >>> quantize(np.float32([0.0, 0.01, -0.005]))[0]
    array([     0,  32767, -16384], dtype=int16)
    """
    peak = max(float(wav.max(initial=0.0)), -float(wav.min(initial=0.0)))
    scale = float(np.float32(max(peak / _INT16_PEAK, _TINY)))
    steps = np.divide(wav, np.float32(scale), dtype=np.float32)
    return np.rint(steps, out=steps).astype(np.int16), scale


def dequantize(steps: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """The inverse of ``quantize``: float32 samples, ``steps * scale``.

    Arguments
    ---------
    steps : numpy.ndarray
        int16, any shape.
    scale : float or numpy.ndarray
        Linear amplitude of one step; an array is broadcast: ``scale_B[:, None]`` for a batch (B, N).

    Returns
    -------
    numpy.ndarray
        float32 of the shape of ``steps``; full scale is 1.
    """
    return np.multiply(steps, np.asarray(scale, dtype=np.float32), dtype=np.float32)
