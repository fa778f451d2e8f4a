"""The trained model of a run: ``model.yaml`` says how to build it, ``model.ckpt`` has its weights; written and loaded.

The folder may be somebody else's: nothing of it is run. Its YAML file is read as plain values and checked as the
``config.json`` of a model folder is, its weights are read as tensors and nothing else, and neither takes more memory
than the files have.
"""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import ruamel.yaml
import torch

from mil_asc.errors import UserError
from mil_asc.model.build_network import REFUSALS, budget_of, build_network, fill_network
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.model_config import ModelConfig
from mil_asc.model.weights import check_finite
from mil_asc.results.model_yaml import MOST_YAML_BYTES, read_model_yaml
from mil_asc.results.run import MODEL_CHECKSUMS, MODEL_SETTINGS, MODEL_WEIGHTS, refuse_folds
from mil_asc.results.saved_weights import read_saved_weights
from mil_asc.runtime.bounded_files import check_plain_file, read_bounded
from mil_asc.runtime.checksums import find_damage, write_checksums
from mil_asc.runtime.files import write_atomically

MOST_WEIGHT_BYTES = 1_000_000_000


class TrainedModel(NamedTuple):
    """A trained network, its classes in the order of the outputs, and the SHA-256 checksum of its weights' file."""

    network: MILClassifier
    labels: list[str]
    checksum: str


class ConfiguredModel(NamedTuple):
    """A trained network, the values that build it, and the SHA-256 checksum of its weights' file."""

    network: MILClassifier
    config: ModelConfig
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
        or names anything but networks of ``mil_asc.model``; the weights do not fit or are not finite.
    """
    network, config, found = load_configured(folder)
    return TrainedModel(network, list(config.labels), found)


def load_configured(folder: str | Path) -> ConfiguredModel:
    """As ``load_model``, with the values that build the network."""
    folder = Path(folder)
    refuse_folds(folder)
    limits = {MODEL_SETTINGS: MOST_YAML_BYTES, MODEL_WEIGHTS: MOST_WEIGHT_BYTES, MODEL_CHECKSUMS: 10_000}
    for name in (MODEL_SETTINGS, MODEL_WEIGHTS):
        if not (folder / name).exists():
            raise UserError(f"{folder} holds no finished run ({name} is missing): give a training run's output folder")
    for name, most in limits.items():
        if (folder / name).exists():
            check_plain_file(folder / name, most)
    damage = find_damage(folder / MODEL_CHECKSUMS, [MODEL_SETTINGS, MODEL_WEIGHTS], others=False)
    if damage:
        raise UserError(f"{folder} is damaged ({damage}): copy it again, or give the training command again")
    config = read_model_yaml(read_bounded(folder / MODEL_SETTINGS, MOST_YAML_BYTES), folder / MODEL_SETTINGS)
    path = folder / MODEL_WEIGHTS
    content = read_bounded(path, MOST_WEIGHT_BYTES)
    try:
        weights = read_saved_weights(content)
    except REFUSALS as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} does not fit {MODEL_SETTINGS}: {reason[:300]}") from error
    try:
        network = build_network(config, budget_of(weights))
    except UserError as error:
        raise UserError(f"{folder / MODEL_SETTINGS} is damaged: {error}") from error
    fill_network(network, weights, path, rebuilt=set())
    return ConfiguredModel(network, config, sha256(content).hexdigest())
