"""The trained model of a run: ``model.yaml`` says how to build it, ``model.ckpt`` has its weights; written and loaded.

The YAML file of a folder that somebody sent must not run code. It may only name network classes of this package, which
is checked before anything is built.
"""

from __future__ import annotations

import importlib
import io
import pickle
import re
from pathlib import Path
from typing import NamedTuple

import ruamel.yaml
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from mil_asc.checks import check_names
from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.weights import check_finite
from mil_asc.results.run import MODEL_CHECKSUMS, MODEL_SETTINGS, MODEL_WEIGHTS, refuse_folds
from mil_asc.runtime.checksums import checksum, find_damage, write_checksums
from mil_asc.runtime.files import write_atomically

PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null"))
CLASS_TAG = re.compile(r"!new:(mil_asc\.model(?:\.\w+)+)\.(\w+)")
"""The legal tags of ``model.yaml``: plain values, and classes of ``mil_asc.model``."""
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
"""Exceptions of classes that refuse a value of a damaged file."""


class TrainedModel(NamedTuple):
    """A trained network, its classes in the order of the outputs, and the SHA-256 checksum of its weights' file."""

    network: MILClassifier
    labels: list[str]
    checksum: str


def save_model(folder: Path, network: MILClassifier, settings: str, labels: list[str]) -> None:
    """Write a network's weights, the part of the run's ``settings`` that builds it, and the checksums of both.

    Raises
    ------
    UserError
        A weight is not finite.
    """
    check_finite(network.state_dict(), f"{folder}: the model is not saved")
    tree = ruamel.yaml.YAML().load(settings)
    stream, weights = io.StringIO(), io.BytesIO()
    ruamel.yaml.YAML().dump({"labels": list(labels), "model": tree["model"]}, stream)
    torch.save({key: value.cpu() for key, value in network.state_dict().items()}, weights)
    write_atomically(folder / MODEL_WEIGHTS, weights.getvalue())
    write_atomically(folder / MODEL_SETTINGS, stream.getvalue())
    write_checksums(folder / MODEL_CHECKSUMS, [MODEL_SETTINGS, MODEL_WEIGHTS])


def load_model(folder: str | Path) -> TrainedModel:
    """Load the trained model of a run, on the CPU, in evaluation mode.

    Arguments
    ---------
    folder : str or Path
        Output folder of a finished run.

    Returns
    -------
    TrainedModel

    Raises
    ------
    UserError
        The folder has no finished run, or one per fold; a file does not match its checksum; ``model.yaml`` is damaged
        or names anything but classes of ``mil_asc.model``; the weights do not fit or are not finite.
    """
    folder = Path(folder)
    refuse_folds(folder)
    for name in (MODEL_SETTINGS, MODEL_WEIGHTS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} holds no finished run ({name} is missing): give a training run's output folder")
    damage = find_damage(folder / MODEL_CHECKSUMS, [MODEL_SETTINGS, MODEL_WEIGHTS])
    if damage:
        raise UserError(f"{folder} is damaged ({damage}): copy it again, or give the training command again")
    labels, network = _build(folder / MODEL_SETTINGS)
    path = folder / MODEL_WEIGHTS
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
    except (*REFUSALS, pickle.UnpicklingError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} does not fit {MODEL_SETTINGS}: {reason[:300]}") from error
    check_finite(network.state_dict(), path)
    return TrainedModel(network.eval(), labels, checksum(path))


def _build(path: Path) -> tuple[list[str], MILClassifier]:
    """(labels, network) of a ``model.yaml`` that was checked to build nothing but networks."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = ruamel.yaml.YAML().compose(text)
        if not isinstance(tree, MappingNode):
            raise ValueError("it has no model.network")
        _check_tags(tree, path)
        hparams = load_hyperpyyaml(text)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ruamel.yaml.YAMLError, *REFUSALS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged: {reason[:300]}") from error
    model = hparams.get("model")
    network = model.get("network") if isinstance(model, dict) else None
    if not isinstance(network, MILClassifier):
        raise UserError(f"{path} is damaged: it has no model.network that is a MILClassifier")
    labels = hparams.get("labels")
    try:
        check_names("labels", labels)
    except ArgumentError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if len(labels) != network.num_classes:
        raise UserError(f"{path} is damaged: {len(labels)} labels for a model of {network.num_classes} classes")
    return labels, network


def _check_tags(node: Node, path: Path, seen: set[int] | None = None) -> None:
    """Refuse every tag of a YAML tree but those of plain values and of network classes of this package."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    tag = str(node.tag)
    if tag not in PLAIN_TAGS and not _is_network_class(tag):
        line = node.start_mark.line + 1
        raise UserError(f"{path}, line {line}: {tag} is not allowed, only !new: of classes of mil_asc.model")
    if isinstance(node, MappingNode):
        for pair in node.value:
            for part in pair:
                _check_tags(part, path, seen)
    elif isinstance(node, SequenceNode):
        for part in node.value:
            _check_tags(part, path, seen)


def _is_network_class(tag: str) -> bool:
    """Whether a tag names a class that is defined in a module of ``mil_asc.model``; only such modules are imported."""
    found = CLASS_TAG.fullmatch(tag)
    if found is None:
        return False
    try:
        module = importlib.import_module(found[1])
    except ImportError:
        return False
    named = vars(module).get(found[2])
    return isinstance(named, type) and named.__module__ == found[1]
