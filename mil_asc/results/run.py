"""A training run on disk: the names of its files, and the one way to read them."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mil_asc.errors import DoubtWarning, UserError, name_some

if TYPE_CHECKING:  # PyTorch takes seconds to import, and only predictions need it
    import numpy as np

    from mil_asc.results.predictions import Predictions

SETTINGS = "hyperparams.yaml"
LISTS = "lists.json"
RUN_OPTIONS = "run_options.json"
LOG = "log.txt"
CONSOLE = "console.log"
LOCK = ".lock"
CHECKPOINTS = "save"
CURVES = "tensorboard"
MANIFESTS = "manifests"
MODEL_SETTINGS = "model.yaml"
MODEL_WEIGHTS = "model.ckpt"
MODEL_CHECKSUMS = "model.sha256"
PREDICTIONS = "predictions.npz"
REPORT = "report.json"
PAGE = "report.html"
FOLD = "fold-{}"
"""Files and folders in a run's folder: resolved settings; classes and lists; run options; the run's log, what it
printed under ``tools/reproduce.py``, its lock; checkpoints, TensorBoard curves and the lists as manifests; how to build
the trained model, its weights, and the checksums of these two; predictions on the evaluation set; the report for
programs and for people; and in the folder of a cross-validation, the run of each fold."""
NUMBER = (int, float)
MAX_NUMBER = 1e300
SCORE_SLACK = 1e-4  # between the score of a report and the same one computed on another machine
SHARES = ("accuracy", "macro_accuracy", "auc_macro", "positive_share", "mean_confidence", "average_precision")
"""Last parts of the keys of a report whose numbers are shares, from 0 to 1."""
REPORT_TYPES: dict[str, type | tuple[type, ...]] = {
    "experiment": str,
    "dataset": str,
    "labels": list,
    "evaluation": dict,
    "evaluation.clips": int,
    "evaluation.decision": str,
    "notes": list,
    "warnings": list,
    "run": dict,
    "run.seed": int,
    "run.epochs": int,
    "run.debug": bool,
    "run.data_folder": str,
    "run.clip_seconds": NUMBER,
}
"""What every report has, by dotted key, and the type of the value."""


def place_of_run(output_folder: str | Path, fold: int = 0, debug: bool = False) -> Path:
    """Folder of a run: its output folder, or a separate one for a debug run; below it where it is a fold (from 1 up).

    Example
    -------
    >>> place_of_run("out"), place_of_run("out", fold=2, debug=True)
    (PosixPath('out'), PosixPath('out_debug/fold-2'))
    """
    folder = Path(f"{Path(output_folder)}_debug" if debug else output_folder)
    return folder / FOLD.format(fold) if fold else folder


def folds_in(folder: str | Path) -> dict[int, Path]:
    """Runs of a cross-validation in its folder: number of the fold -> folder, in order; none for any other folder."""
    found = {path: re.fullmatch(FOLD.format("([1-9][0-9]*)"), path.name) for path in Path(folder).glob("fold-*")}
    runs = {int(name[1]): path for path, name in found.items() if name and (path / SETTINGS).is_file()}
    return dict(sorted(runs.items()))


def warn_of_debug(folder: str | Path) -> None:
    """A ``DoubtWarning`` if a folder's report says that it is of a debug run; none without a report."""
    try:
        is_debug = Run(folder).debug is True
    except UserError:
        return  # the model is not read from the report, and may be used without one
    if is_debug:
        warnings.warn(DoubtWarning(f"{folder} is a debug run, whose results mean nothing"), stacklevel=2)


def refuse_folds(folder: str | Path) -> None:
    """Raise a ``UserError`` if ``folder`` is that of a cross-validation, which has one model per fold."""
    runs = list(folds_in(folder).values())
    if runs:
        names = name_some([path.name for path in runs], 10)
        raise UserError(f"{folder} is a cross-validation with a model per fold ({names}): name one, such as {runs[0]}")


class Run:
    """A run, each of whose files is read when it is first needed.

    A file that is missing or damaged raises a ``UserError`` that names it.

    Arguments
    ---------
    folder : str or Path
        The run's output folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    # -- files

    @cached_property
    def report(self) -> dict:
        """The content of ``report.json``."""
        try:
            report = json.loads(self._read(REPORT))
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits
            raise UserError(f"{self.folder / REPORT} is damaged ({error}): evaluate the run again") from error
        for key, kind in REPORT_TYPES.items():
            self._typed(report, key, kind)
        labels = report["labels"]
        if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise self._no_report(f"labels is {labels!r:.60}")
        return report

    def _typed(self, report: object, key: str, kind: type | tuple[type, ...]) -> object:
        """The value at a dotted key of a report; a ``UserError`` if it is missing or of another type."""
        value = report
        for name in key.split("."):
            if not isinstance(value, dict) or name not in value:
                raise self._no_report(f"it has no {key}")
            value = value[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        finite = not isinstance(value, NUMBER) or -MAX_NUMBER <= value <= MAX_NUMBER  # NaN is not
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) or not finite:
            raise self._no_report(f"{key} is {value!r:.60}")
        return value

    def _no_report(self, reason: str) -> UserError:
        return UserError(f"{self.folder / REPORT} is not the report of a run of this version: {reason}")

    @cached_property
    def settings_text(self) -> str:
        """The resolved settings as YAML text."""
        return self._read(SETTINGS)

    @cached_property
    def settings(self) -> dict[str, object]:
        """The resolved settings as YAML nodes by dotted key."""
        import ruamel.yaml  # the names of a run's files are also for programs that have no YAML

        from mil_asc.results.settings import read_settings

        try:
            return read_settings(self.settings_text)
        except (
            ruamel.yaml.YAMLError,
            AttributeError,
            ValueError,
            RecursionError,
        ) as error:  # AttributeError: a text that is no mapping; ValueError: a number of thousands of digits
            raise UserError(f"{self.folder / SETTINGS} is damaged ({type(error).__name__}): train it again") from error

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        from mil_asc.results.predictions import read_predictions

        arrays = read_predictions(self.folder / PREDICTIONS, self.labels)
        clips = zip(arrays["paths"].tolist(), (self.labels[c] for c in arrays["truth"].tolist()))
        self._check_fit(list(clips), self._decisions(lambda row: (row["path"], row["label"])))
        return arrays

    def _decisions(self, part: Callable[[dict], tuple]) -> list[tuple] | None:
        """A part of the report's decision for each clip; None if the report has no decisions."""
        if "decisions" not in self.report:
            return None
        try:
            return [part(row) for row in self.report["decisions"]]
        except (TypeError, KeyError) as error:
            raise self._no_report(f"decisions is {self.report['decisions']!r:.60}") from error

    def _check_fit(self, found: list[tuple], reported: list[tuple] | None) -> None:
        """Refuse predictions that are not those of the report, such as those of another run."""
        if reported is not None and found != reported:
            raise UserError(f"{self.folder}: {PREDICTIONS} does not fit {REPORT}: evaluate the run again")

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(f"{self.folder} holds no {name}: name the output folder of a finished run") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise UserError(f"{self.folder / name} cannot be read: {reason}") from error

    # -- what was run

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.report["experiment"]

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.report["dataset"]

    @property
    def trained_on(self) -> str | None:
        """Name of the data set that the model was trained on, if the report evaluates it on other data; else None."""
        return cast(str, self._typed(self.report, "model.dataset", str)) if "model" in self.report else None

    @property
    def labels(self) -> list[str]:
        """Classes, in the order of the model's outputs."""
        return self.report["labels"]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.provenance["seed"]

    @property
    def folds(self) -> tuple[int, int]:
        """(number of folds, this run's) of a cross-validation, (number, 0) for its pooled report, else (0, 0)."""
        numbers = [self.provenance.get(key, 0) for key in ("folds", "fold")]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise self._no_report(f"run.folds and run.fold are {numbers!r:.60}")
        return numbers[0], numbers[1]

    @property
    def provenance(self) -> dict:
        """How the results came about: seed, epochs, options, versions, machine, time (``run`` in the report)."""
        return self.report["run"]

    @property
    def data_folder(self) -> Path:
        """Absolute folder of the recordings that the run was evaluated on; it may be gone by now."""
        return Path(self.provenance["data_folder"])

    def setting(self, name: str) -> object:
        """The value of the first setting called ``name``, however deep it stands; None where there is none."""
        values = (node for key, node in self.settings.items() if key.rpartition(".")[2] == name)
        return next((node for node in values if not isinstance(node, dict)), None)

    def official_clips(self, name: str) -> int | None:
        """Number of clips of the official list ``name`` (train, evaluate); None for data without official lists."""
        number = self.settings.get(f"data.corpus.expected.{name}")
        return number if isinstance(number, int) else None

    # -- results

    @property
    def decision(self) -> str:
        """The rule the model is made for: a key of ``mil_asc.mil.decisions.RULES``."""
        return self.report["evaluation"]["decision"]

    def accuracy(self, rule: str | None = None) -> float | None:
        """Accuracy (0 to 1) under a rule, by default the model's own; None where it was not evaluated under it."""
        if rule is not None and rule not in self.report["evaluation"]:
            return None
        return self.number(f"evaluation.{rule or self.decision}.accuracy")

    def number(self, key: str) -> float | None:
        """A number of the report by dotted key, such as ``evaluation.log_loss``; None where the report says null.

        A ``UserError`` is raised if the report has no such key, or no finite number there.
        """
        value = cast("float | None", self._typed(self.report, key, (*NUMBER, type(None))))
        if value is not None and key.rpartition(".")[2] in SHARES and not 0 <= value <= 1:
            raise self._no_report(f"{key} is {value!r:.60}")
        return value

    @property
    def per_group(self) -> dict[str, dict]:
        """Group -> ``accuracy`` (0 to 1, the model's own rule) and ``clips``; empty where groups are not reported."""
        groups = cast(dict, self._typed(self.report, f"evaluation.{self.decision}", dict)).get("per_group", {})
        kinds: dict[str, type | tuple[type, ...]] = {"accuracy": NUMBER, "clips": int}
        for found in groups.values() if isinstance(groups, dict) else [groups]:
            whole = isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in kinds.items())
            if not whole or not 0 <= found["accuracy"] <= 1:
                raise self._no_report(f"per_group is {groups!r:.60}")
        return groups

    @property
    def bad_audio(self) -> dict[str, str]:
        """Recordings that were left out: path -> reason."""
        return cast(dict, self._typed(self.report, "bad_audio", dict))

    @property
    def paths(self) -> list[str]:
        """Paths of the evaluation set's clips, relative to the data folder."""
        return self._arrays["paths"].tolist()

    @property
    def truth_B(self) -> np.ndarray:
        """(B,) index of the true class of each clip."""
        return self._arrays["truth"]

    @cached_property
    def predictions(self) -> Predictions:
        """The model's predictions of these clips."""
        from mil_asc.results.predictions import Predictions

        arrays, rule = self._arrays, self.decision
        predictions = Predictions(arrays["logits"], arrays["counts"], arrays["bag_logits"], rule)
        classes_B, score_BC = predictions.decided().tolist(), predictions.scores()
        reported = self._decisions(lambda row: (row[rule]["label"], float(row[rule]["score"])))
        if reported is not None and len(reported) == len(classes_B):
            rows = zip(classes_B, score_BC, reported)  # a score that is computed again may differ in its last digits
            reported = [(label, abs(score_C[c] - score) < SCORE_SLACK) for c, score_C, (label, score) in rows]
        self._check_fit([(self.labels[c], True) for c in classes_B], reported)
        return predictions

    # -- is it finished?

    @property
    def debug(self) -> bool:
        """Whether it is a debug run, whose results mean nothing."""
        return self.provenance["debug"]

    def check_finished(self) -> None:
        """Raise a ``UserError`` unless the run is no debug run and wrote its model and the report of its last epoch."""
        refuse_folds(self.folder)
        if self.debug:
            raise UserError(f"{self.folder} is a debug run, whose results mean nothing: name runs without --debug")
        epochs, planned = self.provenance["epochs"], self.settings.get("training.number_of_epochs")
        if epochs != planned:
            raise UserError(f"{self.folder} is not finished: {epochs} of {planned} epochs; train it to its end")
        if not (self.folder / MODEL_WEIGHTS).is_file():
            raise UserError(f"{self.folder} holds no {MODEL_WEIGHTS}: name the output folder of a finished run")

    @property
    def finished(self) -> bool:
        """Whether ``check_finished`` has no objection."""
        try:
            self.check_finished()
        except UserError:
            return False
        return True


def without_debug_runs(folders: Iterable[str | Path]) -> tuple[list[Run], list[Run]]:
    """(others, debug): the runs in ``folders``, each once; raises ``UserError`` where all are debug runs."""
    runs = [Run(folder) for folder in dict.fromkeys(map(Path, folders))]
    others, debug = [run for run in runs if not run.debug], [run for run in runs if run.debug]
    if not others:
        raise UserError("only debug runs were named, and these are left out: name runs trained without --debug")
    return others, debug
