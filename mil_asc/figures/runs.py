"""Trained runs as the figures need them: what was decided on every instance, and the model that decided."""

import json
import os
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import ruamel.yaml
import torch

from mil_asc.data.pieces import decode_clip
from mil_asc.errors import UserError
from mil_asc.evaluation import PREDICTIONS
from mil_asc.inference import SceneClassifier
from mil_asc.metrics import instance_confidences
from mil_asc.training.options import flatten
from mil_asc.training.run_folder import SETTINGS

REPORT = "report.json"
ORDER = ("no_il", "pnl", "gt", "frame_loss", "pnl_ce", "gap_bce", "gap")
"""In which order experiments are shown, by the end of their names; others come last."""


class CannotDraw(UserError):
    """A figure lacks runs or recordings that it needs; the message says which."""


@dataclass(frozen=True)
class Options:
    """What a person may choose: ``scenes`` for Figures 8 and 9, ``clips`` (paths as the run knows them) for Figure 7,
    ``tau`` for Figure 10, ``data_folder`` and ``device`` for those that need the sound; ``seed`` of every
    draw; ``most_instances`` that a panel of Figure 8 shows.
    """

    scenes: tuple = ()
    clips: tuple = ()
    tau: float = 0.5
    data_folder: Path | None = None
    device: str = "cpu"
    seed: int = 0
    most_instances: int = 2000


@dataclass(frozen=True)
class Drawing:
    """A figure: its ``title``, its ``pictures`` (file name to SVG text) and what the page says below them."""

    title: str
    pictures: dict
    text: str


class Run:
    """One finished run.

    Arguments
    ---------
    folder : Path
        Its output folder.

    Raises
    ------
    UserError
        The folder holds no finished run, or files that do not fit each other.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in (REPORT, SETTINGS):
            if not (self.folder / name).is_file():
                raise UserError(f"{folder} holds no {name}: name the output folders of finished runs")
        try:
            self.report = json.loads((self.folder / REPORT).read_text(encoding="utf-8"))
            self.settings = flatten(ruamel.yaml.YAML().load((self.folder / SETTINGS).read_text(encoding="utf-8")))
            self.experiment, self.dataset = self.report["experiment"], self.report["dataset"]
            self.labels, self.seed = self.report["labels"], self.report["run"]["seed"]
            evaluation = self.report["evaluation"]
            self.decided_by_bag = evaluation.get("decision", "smi") != "smi"
            self.accuracy = evaluation["bag" if self.decided_by_bag else "smi"]["accuracy"]
        except (ValueError, KeyError, TypeError, AttributeError, ruamel.yaml.YAMLError) as error:
            raise UserError(f"{folder}: {REPORT} or {SETTINGS} is not a run's ({type(error).__name__})") from error
        self._read_predictions()

    def _read_predictions(self):
        path = self.folder / PREDICTIONS
        if not path.is_file():
            raise UserError(f"{self.folder} holds no {PREDICTIONS}: evaluate the run again (train.py ... --test_only)")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self.paths = arrays["paths"].tolist()
                self.truth_B = arrays["truth"]
                counts_B, logits_IC, labels = arrays["counts"], arrays["logits"], arrays["labels"].tolist()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}): evaluate the run again") from error
        if (
            labels != self.labels
            or logits_IC.shape != (counts_B.sum(), len(labels))
            or not len(self.paths) == len(self.truth_B) == len(counts_B) > 0
            or counts_B.min() < 1
        ):
            raise UserError(f"{path} does not fit {REPORT} or itself: evaluate the run again")
        self.logits = np.split(logits_IC, np.cumsum(counts_B)[:-1])

    @property
    def instance_loss(self):
        """Whether instances were trained: the loss has a term beside the bag's."""
        prefix = "objective.loss."
        terms = {key[len(prefix) :] for key in self.settings if key.startswith(prefix)}
        return any("." not in term and term != "bag" for term in terms)

    @property
    def softmax(self):
        """Whether confidences are shares that sum to 1 (trained with cross entropy), not independent."""
        return self.settings.get("model.confidence", "sigmoid") == "softmax"

    @cached_property
    def confidences(self):
        """(I, C) instance confidences, a clip each."""
        return [instance_confidences(z_IC) for z_IC in self.logits]

    @cached_property
    def positives(self):
        """(I,) True where the most confident class is the clip's, a clip each."""
        return [z_IC.argmax(1) == c for z_IC, c in zip(self.logits, self.truth_B)]

    @cached_property
    def bag_confidences_BC(self):
        """(clips, C) greatest instance confidence of each class."""
        return np.stack([p_IC.max(0) for p_IC in self.confidences])

    def classifier(self, device):
        """The trained model, as ``SceneClassifier``, in evaluation mode."""
        classifier = SceneClassifier.from_hparams(source=self.folder, run_opts={"device": device})
        classifier.eval()
        return classifier

    def waveform(self, index, sample_rate, data_folder=None):
        """(N,) float32 tensor of the clip at ``index``."""
        clip_seconds = self.settings.get("data.clip_seconds") or 0.0
        return torch.from_numpy(decode_clip(self.recordings(data_folder), self.paths[index], sample_rate, clip_seconds))

    def recordings(self, data_folder=None):
        """Folder of the recordings: the one given, or the run's own, seen from where the run was started."""
        if data_folder is not None:
            if not data_folder.is_dir():
                raise UserError(f"--data_folder: {data_folder} is not a folder")
            return data_folder
        named = Path(self.settings.get("data_folder") or "")
        output = Path(os.path.normpath(self.settings.get("output_folder") or "."))
        places = [Path.cwd()]
        if not output.is_absolute() and output.parts and output.parts[0] != "..":
            places.insert(0, self.folder.resolve().parents[len(output.parts) - 1])
        found = [place / named for place in places if named.parts and (place / named).is_dir()]
        if not found:
            raise CannotDraw(f"{self.folder} has no recordings in {named}: give --data_folder=DIR")
        return found[0]


@dataclass
class Experiment:
    """Runs of one experiment, which differ in their seeds."""

    name: str
    runs: list = field(default_factory=list)

    @property
    def first(self):
        """The run with the lowest seed, which stands for the experiment where one model is shown."""
        return min(self.runs, key=lambda run: run.seed)


def read_experiments(folders):
    """Runs in groups of one experiment, in the order of ``ORDER``, then as given.

    Raises
    ------
    UserError
        A folder without a finished run; runs of different data sets, classes or clips; an experiment's seed twice.
    """
    runs = [Run(folder) for folder in dict.fromkeys(Path(folder) for folder in folders)]
    experiments, seen = {}, {}
    for run in runs:
        for what in ("dataset", "labels", "paths"):
            if getattr(run, what) != getattr(runs[0], what):
                what = {"dataset": "data set", "labels": "classes", "paths": "evaluated clips"}[what]
                raise UserError(f"{run.folder} and {runs[0].folder} differ in their {what}: name runs of one data set")
        twin = seen.setdefault((run.experiment, run.seed), run.folder)
        if twin is not run.folder:
            raise UserError(f"{run.folder} and {twin} are both {run.experiment} with seed {run.seed}: name one of them")
        experiments.setdefault(run.experiment, Experiment(run.experiment)).runs.append(run)
    return sorted(experiments.values(), key=lambda experiment: _place(experiment.name))


def _place(name):
    return next((i for i, end in enumerate(ORDER) if name.endswith(f"_{end}") or name == end), len(ORDER))


def with_instance_loss(experiments):
    """(without, with): experiments whose clips the strongest instance decides, by whether instances were trained.

    Raises ``CannotDraw`` unless there are both.
    """
    mil = [experiment for experiment in experiments if not experiment.first.decided_by_bag]
    without = [experiment for experiment in mil if not experiment.first.instance_loss]
    trained = [experiment for experiment in mil if experiment.first.instance_loss]
    if not without:
        raise CannotDraw("no run without instance loss, such as fuse_no_il")
    if not trained:
        raise CannotDraw("no run with instance loss, such as fuse_pnl or fuse_gt")
    return without, trained
