"""A run's or a model's folder for an evaluation on other data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from mil_asc.packaging.folder import load_model_folder
from mil_asc.packaging.layout import is_model_folder
from mil_asc.training.environment import now, versions
from mil_asc.training.evaluated_model import EvaluatedModel, open_run

BATCH_SIZE = 16


def open_folder(folder: Path) -> EvaluatedModel:
    """The model of a folder; that of a model folder says of its training what its ``config.json`` does."""
    if not is_model_folder(folder):
        return open_run(folder)
    model = load_model_folder(folder)
    known = model.config.trained_on
    described = {
        "seed": _whole(known, "seed") or 0,
        "epochs": _whole(known, "epochs") or 0,
        "debug": False,
        "train_clips": _whole(known, "train_clips"),
        "parameters": sum(one.numel() for one in model.network.parameters()),
        "finished": _moment(known),
        "versions": versions(),
        "weights_sha256": model.weights_sha256,
    }
    return EvaluatedModel(
        folder=Path(folder),
        network=model.network,
        labels=list(model.config.labels),
        weights_sha256=model.weights_sha256,
        experiment=known.get("experiment", Path(folder).resolve().name),
        dataset=known.get("dataset", "unknown data"),
        described=described,
        batch_size=BATCH_SIZE,
    )


def _whole(known: Mapping[str, str], name: str) -> int | None:
    """A whole number of ``trained_on``; None where there is none."""
    text = known.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _moment(known: Mapping[str, str]) -> str:
    """When the training ended, or now if that is unknown."""
    try:
        return datetime.fromisoformat(known.get("finished", "")).isoformat()
    except ValueError:
        return now()
