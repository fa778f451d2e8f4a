"""The registry of poolings, and what several of them share."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from mil_asc.errors import ArgumentError

POOLINGS: dict[str, Callable[..., Tensor]] = {}
"""Poolings by the name a YAML file calls them, filled by ``pooling``."""

LEARNED = {"score_BI": torch.zeros(1, 1), "sharpness_C": torch.zeros(1)}
"""Arguments of poolings that a model learns, with a value for a trial call."""


def pooling(*names: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorator that registers a pooling under one name or several; a name that is taken raises ``ValueError``.

    Arguments
    ---------
    *names : str
        Names for YAML files. The function takes ``logits_BIC`` and ``mask_BI``, then ``score_BI`` if it needs
        attention scores, or ``sharpness_C`` if it has a learned value per class; its further arguments, which need
        defaults, are the pooling's options.

    Example
    -------
    >>> @pooling("example_sum")
    ... def example_sum(logits_BIC, mask_BI):
    ...     return (logits_BIC * mask_BI.unsqueeze(2)).sum(1)
    >>> POOLINGS.pop("example_sum") is example_sum
    True
    """

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        for name in names:
            there = POOLINGS.get(name, function)
            if (there.__module__, there.__qualname__) != (function.__module__, function.__qualname__):
                raise ValueError(f"there is a pooling called {name} already")
            POOLINGS[name] = function  # again where its module was loaded again
        return function

    return register


def check_pooling_options(name: str, options: dict[str, object]) -> None:
    """Refuse options that the pooling called ``name`` does not have, or values that it cannot use (``ValueError``)."""
    arguments = inspect.signature(POOLINGS[name]).parameters
    legal = [argument.name for argument in arguments.values() if argument.default is not argument.empty]
    if not isinstance(options, dict):
        raise ArgumentError(f"pooling_options must be a mapping such as {{k: 3}}, got {options!r}")
    for option in options:
        if option not in legal:
            raise ArgumentError(f"pooling_options of {name}: unknown {option!r}; legal: {', '.join(legal) or 'none'}")
    scores = [zeros for learned, zeros in LEARNED.items() if learned in arguments]
    POOLINGS[name](torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), *scores, **options)


def own(values_BIC: Tensor, mask_BI: Tensor) -> Tensor:
    """The values, with minus infinity in place of masked instances."""
    return values_BIC.masked_fill(~mask_BI.unsqueeze(2), float("-inf"))
