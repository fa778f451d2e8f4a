"""From a ``ModelConfig`` to the network: its size is checked before it takes any memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from mil_asc.errors import UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.heads import Head
from mil_asc.model.model_config import FRONT_ENDS, ModelConfig
from mil_asc.model.weights import check_finite

REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
"""Exceptions of classes that refuse a value, ``RecursionError`` and ``NotImplementedError`` among them."""
MOST_REDUCTION = 2**17
"""Most frames from one instance to the next; the shortest clip is found by counting up to it."""


class Budget(NamedTuple):
    """Most values (of all parameters and buffers), tensors and layers that a network may have."""

    values: int = 2**28
    tensors: int = 20_000
    layers: int = 20_000


def budget_of(weights: Mapping[str, Tensor]) -> Budget:
    """What a network may have at most that these weights fit; counters that a file leaves out included."""
    values = sum(tensor.numel() for tensor in weights.values())
    return Budget(values + len(weights), 2 * len(weights) + 16, 8 * len(weights) + 64)


def build_network(config: ModelConfig, budget: Budget | None = None) -> MILClassifier:
    """The network of a config, with random weights, on the CPU. The state of random numbers does not change.

    It is built without memory first (on the device ``meta``), which stops as soon as it is beyond the budget.

    Raises
    ------
    UserError
        A class refuses a value, or the network is beyond the ``budget``: one line.
    """
    try:
        values = {name: value for name, value in config.front_end.items() if name != "kind"}
        front_end = FRONT_ENDS[config.front_end["kind"]](**values)
        head = Head(num_classes=len(config.labels), **vars(config.head))  # tries its pooling, which "meta" cannot
        with torch.device("meta"), _within(budget or Budget()):
            _assemble(config, front_end, head)
        with torch.random.fork_rng(devices=[]):
            return _assemble(config, front_end, head)
    except UserError:
        raise
    except REFUSALS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"no network can be built: {reason[:300]}") from error


def fill_network(network: MILClassifier, weights: Mapping[str, Tensor], where: object, rebuilt: set[str]) -> None:
    """Load weights that must fit exactly: the names, shapes and types of the network, and finite.

    Arguments
    ---------
    network : MILClassifier
        Changed in place, and set to evaluation mode.
    weights : dict of str to torch.Tensor
        By name, as in the state dict.
    where : str or Path
        The file, for the message.
    rebuilt : set of str
        Names in the state dict that ``weights`` leave out, since the config builds them.

    Raises
    ------
    UserError
        One line with the first names that do not fit.
    """
    own = network.state_dict()
    for words, names in (
        ("lacks", own.keys() - rebuilt - weights.keys()),
        ("has unknown", weights.keys() - (own.keys() - rebuilt)),
    ):
        if names:
            raise UserError(f"{where} does not fit the model: it {words} {_some(names)}")
    for name, tensor in sorted(weights.items()):
        if tensor.shape != own[name].shape or tensor.dtype != own[name].dtype:
            raise UserError(
                f"{where} does not fit the model: {name} is {_kind(tensor)}, the model has {_kind(own[name])}"
            )
    check_finite(weights, where)
    network.load_state_dict({name: own[name] for name in rebuilt} | dict(weights), strict=True)
    network.eval()


def rebuilt_names(network: nn.Module, front_end: nn.Module) -> set[str]:
    """Names of a state dict that need no file: buffers of the front end (mel filters, window), and batch counters."""
    buffers = {id(tensor) for tensor in front_end.buffers()}
    state = network.state_dict(keep_vars=True)
    return {name for name, value in state.items() if id(value) in buffers or name.endswith(".num_batches_tracked")}


def _assemble(config: ModelConfig, front_end: nn.Module, head: Head) -> MILClassifier:
    extractor = registered_extractors()[config.extractor["name"]](**config.extractor["arguments"])
    if extractor.time_reduction > MOST_REDUCTION:
        every = f"an instance every {extractor.time_reduction} frames"
        raise UserError(f"extractor.arguments: {every}, at most {MOST_REDUCTION} are legal")
    network = MILClassifier(front_end, extractor, head, config.input_norm, config.batch_norm)
    network.decision = config.rule
    return network


@contextmanager
def _within(budget: Budget) -> Iterator[None]:
    """Raise a ``UserError`` from within the construction of a module that goes beyond a budget, in this thread."""
    thread, left = threading.get_ident(), budget._asdict()

    def spend(name: str, count: int) -> None:
        if threading.get_ident() == thread:
            left[name] -= count
            if left[name] < 0:
                most = getattr(budget, name)
                raise UserError(f"no network can be built: it has more than the {most} {name} that its weights allow")

    def on_tensor(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            spend("values", tensor.numel())
            spend("tensors", 1)

    def on_layer(module: nn.Module, name: str, child: nn.Module | None) -> None:
        spend("layers", 1)

    handles = [
        hooks.register_module_parameter_registration_hook(on_tensor),
        hooks.register_module_buffer_registration_hook(on_tensor),
        hooks.register_module_module_registration_hook(on_layer),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _some(names: set[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(f"{name!r:.80}" for name in first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
