"""Trained runs as the figures need them: the scores of every instance, and the model that gave them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from mil_asc.errors import UserError
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.results.run import Run
from mil_asc.results.settings import class_of, setting_texts
from mil_asc.store.segments import decode_clip

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
    """Options of the figures: ``extractor`` by name, whose experiments are drawn; ``scenes`` for Figures 8 and 9,
    ``clips`` (paths as in the run's report) for Figure 7, ``tau`` for Figure 10, ``data_folder`` and ``device`` for
    those that need the recordings; ``seed`` of every random choice; ``most_instances`` in a panel of Figure 8.
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


class TrainedRun(Run):
    """A finished run as figures need it: what its loss was, its scores clip by clip, its model and its recordings."""

    @property
    def decided_by_bag(self):
        """Whether the model is made for another rule than its strongest instance."""
        return self.decision != "smi"

    @property
    def terms(self):
        """What the loss has beside the bag's term: "instance loss", "frame loss", or the name of another class."""
        prefix = "objective.loss."
        beside = [key for key in self.settings if key.startswith(prefix) and key.count(".") == 2]
        classes = [class_of(self.settings[key]) for key in beside if key != prefix + "bag"]
        return [LOSS_NAMES.get(name, name) for name in classes]

    @property
    def instance_loss(self):
        """Whether instances were trained on labels of their own; a frame loss is none."""
        return "instance loss" in self.terms

    @cached_property
    def extractor(self):
        """Name of the extractor's class."""
        return class_of(self.settings.get("model.network.extractor"))

    def settings_of(self, *prefixes):
        """{key: text} of the settings that begin with a prefix; the seed and ``IGNORED_KEYS`` are left out."""
        texts = setting_texts(self.settings)
        return {key: text for key, text in texts.items() if key.startswith(prefixes) and key not in ("seed", SEEDER)}

    @property
    def softmax(self):
        """Whether confidences are shares that sum to 1 (trained with cross entropy), not independent."""
        return self.settings.get("model.head.confidence", "sigmoid") == "softmax"

    @cached_property
    def logits(self):
        """(I, C) instance logits, one array per clip."""
        return self.predictions.by_clip(self.predictions.logits_IC)

    @cached_property
    def confidences(self):
        """(I, C) instance confidences, one array per clip."""
        return self.predictions.by_clip(self.predictions.confidence_IC)

    @cached_property
    def positives(self):
        """(I,) True where the most confident class is the clip's, one array per clip."""
        return self.predictions.by_clip(self.predictions.positive_instances(self.truth_B))

    @property
    def bag_confidences_BC(self):
        """(B, C) greatest instance confidence of each class."""
        return self.predictions.scores("smi")

    @property
    def decided_B(self):
        """(B,) index of the class decided under SMI."""
        return self.predictions.decided("smi")

    def classifier(self, device):
        """The trained model, as ``SceneClassifier``, in evaluation mode."""
        classifier = SceneClassifier.from_hparams(source=self.folder, run_opts={"device": device})
        classifier.eval()
        return classifier

    def waveform(self, index, sample_rate, data_folder=None):
        """(N,) float32 tensor of the clip at ``index``."""
        clip_seconds = self.provenance["clip_seconds"]
        return torch.from_numpy(decode_clip(self.recordings(data_folder), self.paths[index], sample_rate, clip_seconds))

    def recordings(self, data_folder=None):
        """Folder of the recordings: the one given, else the one that the run was evaluated on."""
        if data_folder is not None and not data_folder.is_dir():
            raise UserError(f"--data_folder: {data_folder} is not a folder")
        if data_folder is None and not self.data_folder.is_dir():
            raise CannotDraw(
                f"the recordings of {self.folder} are no longer in {self.data_folder}: give --data_folder=DIR"
            )
        return data_folder or self.data_folder


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
    """The finished runs in ``folders``, grouped by experiment, in the order of ``ORDER``, then as given.

    Raises
    ------
    UserError
        A folder without a finished run, or of a debug run; runs of different data sets, classes, clips or data
        settings; runs of one experiment whose settings differ beyond the seed; an experiment's seed twice.
    """
    runs = [TrainedRun(folder) for folder in dict.fromkeys(map(Path, folders))]
    for run in runs:
        run.check_finished()
    experiments, seen = {}, {}
    for run in runs:
        for what in ("dataset", "labels", "paths"):
            if getattr(run, what) != getattr(runs[0], what):
                what = {"dataset": "data set", "labels": "classes", "paths": "evaluation sets"}[what]
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


def _place(name):
    return next((i for i, end in enumerate(ORDER) if name.endswith(f"_{end}") or name == end), len(ORDER))
