"""Model folders: written as a whole or not at all, loaded strictly, and nothing in them is code."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from mil_asc.errors import UserError
from mil_asc.model.build_network import budget_of, build_network, fill_network, rebuilt_names
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.model_config import ModelConfig
from mil_asc.model.weights import check_finite
from mil_asc.packaging.familiarity import Calibration
from mil_asc.packaging.layout import (
    CALIBRATION,
    CARD,
    CHECKSUMS,
    CONFIG,
    GRAPH,
    MOST_BYTES,
    SETTINGS_COPY,
    WEIGHTS,
    check_files,
    check_is_model,
    is_model_folder,
    left_aside,
    read_file,
)
from mil_asc.packaging.tensor_file import read_tensors, write_tensors
from mil_asc.results.run import warn_of_debug
from mil_asc.results.trained_model import load_configured
from mil_asc.runtime.checksums import write_checksums
from mil_asc.runtime.files import complete_folder, recover_folder, size_text
from mil_asc.runtime.strict_json import parse_json

GraphMaker = Callable[..., bytes]
"""Called with (network, labels, weights_sha256=, calibration=); returns the content of an ONNX file."""


class LoadedModel(NamedTuple):
    """A network in evaluation mode, its values, the text of its calibration if it has one, its weights' checksum."""

    network: MILClassifier
    config: ModelConfig
    calibration: str | None
    weights_sha256: str


def write_model_folder(
    to: str | Path,
    network: MILClassifier,
    config: ModelConfig,
    *,
    card: str,
    settings: str | None = None,
    calibration: str | None = None,
    graph: GraphMaker | None = None,
    force: bool = False,
) -> Path:
    """Write a model folder; until all its files are complete, there is none.

    Arguments
    ---------
    to : str or Path
        The folder. It must not exist, or be empty; or, with ``force``, be a model folder without other files.
    network : MILClassifier
        Its weights, which must be finite.
    config : ModelConfig
        The values that build it.
    card : str
        Text of ``README.md``.
    settings : str, optional
        Text of ``hyperparams.yaml``.
    calibration : str, optional
        Text of ``calibration.json``.
    graph : callable, optional
        Makes the content of ``model.onnx``.
    force : bool
        Replace a model folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        The place is taken, a file is too large, or the weights are not finite.
    """
    to = Path(to)
    recover_folder(to)
    _check_place(to, force)
    state = network.state_dict()
    check_finite(state, f"{to}: the model is not packed")
    left_out = rebuilt_names(network, network.front_end)
    weights = write_tensors({name: value for name, value in state.items() if name not in left_out})
    digest = sha256(weights).hexdigest()
    files: dict[str, bytes] = {CONFIG: config.to_json().encode(), WEIGHTS: weights, CARD: card.encode()}
    if settings is not None:
        files[SETTINGS_COPY] = settings.encode()
    if calibration is not None:
        Calibration.from_json(calibration)
        files[CALIBRATION] = calibration.encode()
    if graph is not None:
        files[GRAPH] = graph(network, list(config.labels), weights_sha256=digest, calibration=calibration)
    for name, content in files.items():
        if len(content) > MOST_BYTES[name]:
            raise UserError(f"{to}: {name} would have {size_text(len(content))}, at most {MOST_BYTES[name]} are legal")
    with complete_folder(to) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        write_checksums(partial / CHECKSUMS, list(files))
        load_model_folder(partial)
    return to


def load_model_folder(folder: str | Path) -> LoadedModel:
    """Load a model folder, on the CPU, in evaluation mode. No code of it is run, and no network is used.

    Arguments
    ---------
    folder : str or Path
        Its files must match their checksums, its config must be legal, and its weights must be exactly those of the
        network. Files of other names are not opened.

    Returns
    -------
    LoadedModel

    Raises
    ------
    UserError
        One line with the file and what is wrong.
    """
    folder = Path(folder)
    sums = check_files(folder, without=(CONFIG, WEIGHTS, CALIBRATION))
    config = ModelConfig.from_json(read_file(folder, CONFIG, sums), folder / CONFIG)
    weights = read_tensors(read_file(folder, WEIGHTS, sums), folder / WEIGHTS)
    calibration = None
    if CALIBRATION in sums:
        content = read_file(folder, CALIBRATION, sums)
        parse_json(content, folder / CALIBRATION)  # refuses keys given twice, and names the file
        calibration = content.decode("utf-8")
    try:
        network = build_network(config, budget_of(weights))
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error
    fill_network(network, weights, folder / WEIGHTS, rebuilt_names(network, network.front_end))
    if calibration is not None:
        _check_calibration(folder, calibration, network)
    return LoadedModel(network, config, calibration, sums[WEIGHTS])


def _check_calibration(folder: Path, text: str, network: MILClassifier) -> None:
    try:
        Calibration.from_json(text).check_fits(network.detector.in_features)
    except UserError as error:
        raise UserError(f"{folder / CALIBRATION}: {error}") from error


def load_any(folder: str | Path) -> LoadedModel:
    """Load a model folder, or the trained model of a run, as ``load_model_folder`` does."""
    folder = Path(folder)
    if is_model_folder(folder):
        return load_model_folder(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder{left_aside(folder)}")
    check_is_model(folder)
    network, config, digest = load_configured(folder)
    warn_of_debug(folder)
    return LoadedModel(network, config, None, digest)


def _check_place(to: Path, force: bool) -> None:
    if not to.exists() and not to.is_symlink():
        return
    if not to.is_dir() or to.is_symlink():
        raise UserError(f"{to} is there already and no folder: name another one")
    names = sorted(path.name for path in to.iterdir())
    if not names:
        return
    others = [name for name in names if name not in MOST_BYTES]
    if CONFIG not in names or others:
        raise UserError(f"{to} is no empty folder (it has {(others or names)[0]}): name another one")
    if not force:
        raise UserError(f"{to} holds a model already: name another folder, or replace it with --force")
