"""From a finished run to a model folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.model_config import MOST_NAME, MOST_TEXT
from mil_asc.packaging.card import LICENSE, CardFacts, without_machine_paths, write_card
from mil_asc.packaging.familiarity import Calibration
from mil_asc.packaging.folder import GraphMaker, write_model_folder
from mil_asc.packaging.layout import left_aside
from mil_asc.results.how_trained import augmentation_of, teachers_of
from mil_asc.results.run import Run
from mil_asc.results.trained_model import load_configured


def onnx_graph(
    network: MILClassifier, labels: list[str], *, weights_sha256: str, calibration: str | None = None
) -> bytes:
    """The network's ONNX file, as ``pack_run`` makes it by default."""
    from mil_asc.packaging.export import export_onnx

    return export_onnx(network, labels, weights_sha256=weights_sha256, calibration=calibration)


def pack_run(
    run_folder: str | Path,
    to: str | Path,
    *,
    calibration: str | None = None,
    graph: GraphMaker | None = onnx_graph,
    name: str | None = None,
    license: str = LICENSE,
    data_license: str = "",
    description: str = "",
    command: str = "",
    attribution: str = "",
    force: bool = False,
) -> Path:
    """Write the model folder of a finished run.

    Arguments
    ---------
    run_folder : str or Path
        Output folder of the run: no debug run, trained to its end.
    to : str or Path
        The model folder: a new or empty one; with ``force``, a model folder that is replaced.
    calibration : str, optional
        Text of ``calibration.json``.
    graph : callable, optional
        Makes the ONNX file; None: the folder has none.
    name : str, optional
        Name of the model; default: that of the folder.
    license, data_license, description, command, attribution : str
        For the model card, see ``mil_asc.packaging.card.CardFacts``.
    force : bool
        Replace a model folder.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    UserError
        The run is not finished, a debug run or damaged; its report is not that of its weights; the place is taken.
    """
    run, to = Run(run_folder), Path(to)
    if not run.folder.is_dir():
        raise UserError(f"{run.folder}: there is no such folder{left_aside(run.folder)}")
    run.check_finished()
    network, config, digest = load_configured(run.folder)
    if run.labels != config.labels:
        raise UserError(f"{run.folder}: the classes of its report are not those of its model: evaluate the run again")
    reported = run.provenance.get("weights_sha256", digest)
    if reported != digest:
        raise UserError(f"{run.folder}: its report is not that of its weights: evaluate the run again")
    config = dataclasses.replace(config, trained_on=provenance(run, digest))
    facts = CardFacts(
        name=name or to.resolve().name,
        license=_checked("license", license),
        data_license=data_license,
        description=description,
        command=command,
        attribution=attribution,
    )
    known = None if calibration is None else Calibration.from_json(calibration)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return write_model_folder(
        to,
        network,
        config,
        card=write_card(run, config, facts, known, parameters),
        settings=without_machine_paths(run.settings_text),
        calibration=calibration,
        graph=graph,
        force=force,
    )


def provenance(run: Run, weights_sha256: str) -> dict[str, str]:
    """What a run trained on, text by name: ``trained_on`` of a ``ModelConfig``. No paths of this machine."""
    made = run.provenance
    values = {
        "dataset": run.dataset,
        "experiment": run.experiment,
        "seed": run.seed,
        "epochs": made["epochs"],
        "train_clips": made.get("train_clips"),
        "augmentation": augmentation_of(run),
        "teachers": teachers_of(run),
        "finished": made.get("finished"),
        "mil_asc": made.get("versions", {}).get("mil_asc"),
        "torch": made.get("versions", {}).get("torch"),
        "run_weights_sha256": weights_sha256,
        "initial_weights_sha256": (made.get("init_from") or {}).get("weights_sha256"),
    }
    if run.folds[0]:
        values["fold"] = f"{run.folds[1]} of {run.folds[0]}"
    texts = {key: without_machine_paths(str(value)) for key, value in values.items() if value is not None}
    return {key: "".join(c for c in text if c.isprintable())[:MOST_TEXT] for key, text in texts.items() if text}


def _checked(name: str, value: str) -> str:
    """A short name such as ``apache-2.0``."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MOST_NAME:
        raise ArgumentError(f"{name} must be a short name such as {LICENSE}, got {value!r:.80}")
    return value
