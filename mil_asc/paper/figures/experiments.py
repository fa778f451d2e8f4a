"""Trained runs as the figures need them: what was decided on every instance, and the model that decided."""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import ruamel.yaml
import torch

from mil_asc.errors import UserError
from mil_asc.inference.classifier import SceneClassifier
from mil_asc.results.predictions import PREDICTIONS, Predictions, read_predictions
from mil_asc.store.segments import decode_clip
from mil_asc.training.config import flatten, tag_of
from mil_asc.training.run_folder import SETTINGS, WHERE_NOT_WHAT

REPORT = "report.json"
ORDER = ("no_il", "pnl", "gt", "frame_loss", "pnl_ce", "gap_bce", "gap")
"""In which order experiments are shown, by the end of their names; others come last."""
SEEDER = "__set_seed"
INSTANCE_LOSSES = ("InstanceBCE", "InstanceCE")
LOSS_NAMES = dict.fromkeys(INSTANCE_LOSSES, "instance loss") | {"FrameLoss": "frame loss"}
"""What terms beside the bag's are called, by the name of their class."""


class CannotDraw(UserError):
    """A figure lacks runs or recordings that it needs; the message says which."""


@dataclass(frozen=True)
class Options:
    """What a person may choose: ``extractor`` by name, whose experiments are drawn; ``scenes`` for Figures 8 and 9,
    ``clips`` (paths as the run knows them) for Figure 7, ``tau`` for Figure 10, ``data_folder`` and ``device`` for
    those that need the sound; ``seed`` of every draw; ``most_instances`` that a panel of Figure 8 shows.
    """

    extractor: str = ""
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
        self.report = read_report(folder)
        path = self.folder / SETTINGS
        if not path.is_file():
            raise UserError(f"{folder} holds no {SETTINGS}: name the output folders of finished runs")
        try:
            self.settings = flatten(ruamel.yaml.YAML().load(path.read_text(encoding="utf-8")))
            self.experiment, self.dataset = self.report["experiment"], self.report["dataset"]
            self.labels, self.seed = self.report["labels"], self.report["run"]["seed"]
            self.warnings = [str(warning) for warning in self.report.get("warnings", [])]
            epochs, debug = self.report["run"]["epochs"], self.report["run"]["debug"]
            evaluation = self.report["evaluation"]
            self.decided_by_bag = evaluation.get("decision", "smi") != "smi"
            self.accuracy = evaluation["bag" if self.decided_by_bag else "smi"]["accuracy"]
        except (ValueError, KeyError, TypeError, AttributeError, ruamel.yaml.YAMLError) as error:
            raise UserError(f"{folder}: {REPORT} or {SETTINGS} is not a run's ({type(error).__name__})") from error
        planned = self.settings.get("training.number_of_epochs", epochs)
        if debug:
            raise UserError(f"{folder} is a debug run, which says nothing: name runs trained without --debug")
        if epochs != planned:
            raise UserError(f"{folder} is not finished: {epochs} of {planned} epochs; train it to its end")
        self._read_predictions()

    def _read_predictions(self):
        arrays = read_predictions(self.folder / PREDICTIONS, self.labels)
        self.paths, self.truth_B = arrays["paths"].tolist(), arrays["truth"]
        self.predictions = Predictions(arrays["logits"], arrays["counts"], arrays["bag_logits"])
        self.logits = self.predictions.by_clip(self.predictions.logits_IC)

    @property
    def terms(self):
        """What the loss has beside the bag's term: "instance loss", "frame loss", or the name of another class."""
        prefix = "objective.loss."
        beside = [key for key in self.settings if key.startswith(prefix) and key.count(".") == 2]
        classes = [_class_of(self.settings[key]) for key in beside if key != prefix + "bag"]
        return [LOSS_NAMES.get(name, name) for name in classes]

    @property
    def instance_loss(self):
        """Whether instances were trained on labels of their own; a frame loss is none."""
        return "instance loss" in self.terms

    @cached_property
    def extractor(self):
        """Name of the extractor's class."""
        return _class_of(self.settings.get("model.network.extractor"))

    def settings_of(self, *prefixes):
        """{key: text} of the settings that begin with a prefix; where things are is left out, and so is the seed."""
        texts = {
            key: f"{tag_of(node) or ''} {'' if isinstance(node, dict) else node}".strip()
            for key, node in self.settings.items()
            if key.startswith(prefixes) and key.rpartition(".")[2] not in WHERE_NOT_WHAT and key not in ("seed", SEEDER)
        }
        return {key: text for key, text in texts.items() if text}

    @property
    def softmax(self):
        """Whether confidences are shares that sum to 1 (trained with cross entropy), not independent."""
        return self.settings.get("model.confidence", "sigmoid") == "softmax"

    @cached_property
    def confidences(self):
        """(I, C) instance confidences, one array per clip."""
        return self.predictions.by_clip(self.predictions.confidence_IC)

    @cached_property
    def positives(self):
        """(I,) True where the most confident class is the clip's, one array per clip."""
        return self.predictions.by_clip(self.predictions.positive_instances(self.truth_B))

    @cached_property
    def bag_confidences_BC(self):
        """(clips, C) greatest instance confidence of each class: what decides under SMI."""
        return self.predictions.scores("smi")

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


def read_report(folder):
    """The content of a run's ``report.json``; raises ``UserError`` where it is missing or damaged."""
    path = Path(folder) / REPORT
    if not path.is_file():
        raise UserError(f"{folder} holds no {REPORT}: name the output folders of finished runs")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        report["run"]["debug"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: {REPORT} is not a run's ({type(error).__name__})") from error
    return report


def without_debug_runs(folders):
    """(others, debug): the folders as ``Path``, each once; raises ``UserError`` where all are of debug runs."""
    folders = list(dict.fromkeys(Path(folder) for folder in folders))
    debug = [folder for folder in folders if read_report(folder)["run"]["debug"]]
    if debug == folders:
        raise UserError("these are debug runs alone, which are left out: name runs trained without --debug")
    return [folder for folder in folders if folder not in debug], debug


def read_experiments(folders):
    """Runs in groups of one experiment, in the order of ``ORDER``, then as given.

    Raises
    ------
    UserError
        A folder without a finished run, or of a debug run; runs of different data sets, classes, clips or data
        settings; runs of one experiment whose settings differ beyond the seed; an experiment's seed twice.
    """
    runs = [Run(folder) for folder in dict.fromkeys(Path(folder) for folder in folders)]
    experiments, seen = {}, {}
    for run in runs:
        for what in ("dataset", "labels", "paths"):
            if getattr(run, what) != getattr(runs[0], what):
                what = {"dataset": "data set", "labels": "classes", "paths": "evaluated clips"}[what]
                raise UserError(f"{run.folder} and {runs[0].folder} differ in their {what}: name runs of one data set")
        _check_same(run, runs[0], "data settings", "name runs on the same data", "data.")
        twin = seen.setdefault((run.experiment, run.seed), run.folder)
        if twin is not run.folder:
            raise UserError(f"{run.folder} and {twin} are both {run.experiment} with seed {run.seed}: name one of them")
        members = experiments.setdefault(run.experiment, Experiment(run.experiment)).runs
        members.append(run)
        _check_same(run, members[0], "settings", "seeds of one experiment share all others", "")
    return sorted(experiments.values(), key=lambda experiment: _place(experiment.name))


def _check_same(run, other, what, advice, prefix):
    ours, theirs = run.settings_of(prefix), other.settings_of(prefix)
    for key in [*theirs, *(ours.keys() - theirs.keys())]:
        mine, its = ours.get(key, ""), theirs.get(key, "")
        if mine != its:
            raise UserError(
                f"{run.folder} and {other.folder} differ in their {what} "
                f"({key}: {mine or 'none'} and {its or 'none'}): {advice}"
            )


def _class_of(node):
    """Name of the class that a YAML node builds."""
    return (tag_of(node) or "").rpartition(".")[2]


def _place(name):
    return next((i for i, end in enumerate(ORDER) if name.endswith(f"_{end}") or name == end), len(ORDER))
