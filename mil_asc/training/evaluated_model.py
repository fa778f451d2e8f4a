"""A trained model that is evaluated on other data: what its report says of where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mil_asc.corpora.json_manifests import read_manifest
from mil_asc.errors import UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.results.run import MANIFESTS, MODEL_WEIGHTS, REPORT, SETTINGS, Run
from mil_asc.results.trained_model import load_model
from mil_asc.training.seen_clips import training_manifest


@dataclass(frozen=True)
class EvaluatedModel:
    """A model, and what is known of its training.

    Arguments
    ---------
    folder : Path
        Where it lies; nothing is written there.
    network : MILClassifier
        In evaluation mode, on the CPU.
    labels : list of str
        Classes, in the order of the outputs.
    weights_sha256 : str
        Checksum of its weights.
    experiment, dataset : str
        Name of the experiment, and of the data set that it was trained on.
    described : dict
        How it was trained: ``run`` of a report.
    batch_size : int
        Clips that are computed at once.
    data_folder : str, optional
        Where its own data set was.
    warnings : list of str
        For the report.
    """

    folder: Path
    network: MILClassifier
    labels: list[str]
    weights_sha256: str
    experiment: str
    dataset: str
    described: dict
    batch_size: int
    data_folder: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def source(self) -> dict:
        """``model`` of the report."""
        found = {"folder": str(self.folder.resolve()), "weights_sha256": self.weights_sha256, "dataset": self.dataset}
        return found if self.data_folder is None else found | {"data_folder": self.data_folder}

    @property
    def manifests(self):
        """The manifest of the clips that it was trained on; None if that cannot be known."""
        return training_manifest(self.folder)

    @property
    def training_clips(self):
        """The clips of its training set, none if that cannot be known."""
        folder = self.folder / MANIFESTS
        return read_manifest(folder, ["train"]).evaluate if folder.is_dir() else []


def open_run(folder: Path) -> EvaluatedModel:
    """The model of a trained run; a ``UserError`` if the run is damaged or its report is that of other weights."""
    run, model = Run(folder), load_model(folder)
    if run.provenance.get("weights_sha256", model.checksum) != model.checksum:
        raise UserError(f"{folder}: {MODEL_WEIGHTS} is not the model of {REPORT}: give the training command again")
    debug = [f"{folder} is a debug run, whose results mean nothing"] if run.debug else []
    return EvaluatedModel(
        folder=Path(folder),
        network=model.network,
        labels=model.labels,
        weights_sha256=model.checksum,
        experiment=run.experiment,
        dataset=run.dataset,
        described=run.provenance,
        batch_size=_batch_size(run),
        data_folder=run.provenance["data_folder"],
        warnings=debug,
    )


def _batch_size(run: Run) -> int:
    """The run's batch size, with which its own evaluation set gives the same scores bit for bit."""
    size = run.setting("batch_size")
    if not isinstance(size, int) or size < 1:
        raise UserError(f"{run.folder / SETTINGS} is damaged: it has no training.batch_size")
    return size
