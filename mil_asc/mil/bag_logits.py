"""The poolings of ``mil_asc.mil.pooling`` for one recording, in NumPy: for programs without PyTorch.

Each function takes ``logits_IC`` (I, C) in float64 and returns ``bag_logits_C`` (C,). A test compares every registered
pooling with these.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mil_asc.errors import ArgumentError

Array = NDArray[np.float64]


def log_sigmoid(z: Array) -> Array:
    """ln sigmoid(z), of any shape, exact for large |z|."""
    return -np.logaddexp(0.0, -z)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), of any shape, between 0 and 1."""
    return np.exp(log_sigmoid(z))


def log_sum_exp(z_IC: Array) -> Array:
    """ln sum_i exp(z_ic)."""
    return np.logaddexp.reduce(z_IC, axis=0)


def _logit_of(log_p_C: Array) -> Array:
    """Logit of exp(log_p), log_p < 0."""
    return log_p_C - np.log(-np.expm1(np.minimum(log_p_C, -np.finfo(np.float64).tiny)))


def _weighted_mean(logits_IC: Array, log_weight_IC: Array) -> Array:
    """Logit of sum_i w_ic p_ic / sum_i w_ic."""
    return log_sum_exp(log_weight_IC + log_sigmoid(logits_IC)) - log_sum_exp(log_weight_IC + log_sigmoid(-logits_IC))


def _mean(logits_IC: Array) -> Array:
    return _weighted_mean(logits_IC, np.zeros_like(logits_IC))


def _top_k_mean(logits_IC: Array, k: int = 5) -> Array:
    return _mean(np.sort(logits_IC, axis=0)[-k:])


def _log_mean_exp(logits_IC: Array, sharpness: float = 5.0) -> Array:
    return (log_sum_exp(sharpness * logits_IC) - np.log(len(logits_IC))) / sharpness


def _noisy_or(logits_IC: Array) -> Array:
    log_not_C = log_sigmoid(-logits_IC).sum(0)
    log_sum_C = log_sum_exp(log_sigmoid(logits_IC))
    tiny_C = log_sum_C < np.log(np.finfo(np.float64).eps)
    log_p_C = np.log(-np.expm1(np.where(tiny_C, -1.0, log_not_C)))
    return np.where(tiny_C, log_sum_C, log_p_C) - log_not_C


def _attention(logits_IC: Array, score_I: Array) -> Array:
    weight_I = np.exp(score_I - np.logaddexp.reduce(score_I))
    return weight_I @ logits_IC


NUMPY_POOLINGS: dict[str, Callable[..., Array]] = {
    "max": lambda logits_IC: logits_IC.max(0),
    "mean": _mean,
    "mean_logits": lambda logits_IC: logits_IC.mean(0),
    "geometric_mean": lambda logits_IC: _logit_of(log_sigmoid(logits_IC).mean(0)),
    "linear_softmax": lambda logits_IC: _weighted_mean(logits_IC, log_sigmoid(logits_IC)),
    "exponential_softmax": lambda logits_IC: _weighted_mean(logits_IC, sigmoid(logits_IC)),
    "auto": lambda logits_IC, sharpness_C: _weighted_mean(logits_IC, sharpness_C * sigmoid(logits_IC)),
    "log_sum_exp": _log_mean_exp,
    "top_k_mean": _top_k_mean,
    "noisy_or": _noisy_or,
    "attention": _attention,
    "gated_attention": _attention,
}
"""Poolings by their names in YAML files."""


def pool(
    name: str,
    logits_IC: Array,
    options: dict | None = None,
    score_I: Array | None = None,
    sharpness_C: Array | None = None,
) -> Array:
    """Bag logits (C,) by a pooling.

    Arguments
    ---------
    name : str
        A key of ``NUMPY_POOLINGS``.
    logits_IC : numpy.ndarray
        (I, C) instance logits of one recording.
    options : dict, optional
        Options of the pooling.
    score_I : numpy.ndarray, optional
        (I,) attention scores before their softmax.
    sharpness_C : numpy.ndarray, optional
        (C,) learned sharpness of ``auto``.

    Raises
    ------
    ArgumentError
        There is no such pooling here.

    Example
    -------
    >>> pool("max", np.array([[1.0, 0.0], [0.0, 2.0]])).tolist()
    [1.0, 2.0]
    """
    if name not in NUMPY_POOLINGS:
        raise ArgumentError(f"unknown pooling {name!r:.80}; legal: {', '.join(NUMPY_POOLINGS)}")
    learned = [np.asarray(value, np.float64) for value in (score_I, sharpness_C) if value is not None]
    return NUMPY_POOLINGS[name](np.asarray(logits_IC, np.float64), *learned, **(options or {}))
