"""The folder of a run: settings, logs, checkpoints, the trained model and its report."""

import contextlib
import json
import logging
import shutil
from hashlib import sha256

import ruamel.yaml
from filelock import FileLock, Timeout

from mil_asc.corpora.manifest import LIST_NAMES
from mil_asc.corpora.remote_folder import as_folder
from mil_asc.errors import UserError
from mil_asc.model.chain.conditions import SWITCH, kernels_of_cpu
from mil_asc.model.extractors.fuse import FuseConvMod
from mil_asc.results.run import (
    CHECKPOINTS,
    CURVES,
    LISTS,
    LOCK,
    LOG,
    REPORT,
    RUN_OPTIONS,
    SETTINGS,
    Run,
    folds_in,
    place_of_run,
)
from mil_asc.results.settings import changed_settings, read_settings, setting_texts
from mil_asc.runtime.files import write_atomically
from mil_asc.training.console import start_log
from mil_asc.training.curves import Curves

OTHER_FOLDER = "give another --output_folder, or remove that one"
EVALUATE = "tools/evaluate.py"
RESPONSES = "SHA-256 of the files in augment.pieces.impulse_folder"
"""In the record of the run options: what the augmentation reads is as much a part of the run as they are."""
RESULT_OPTIONS = (
    "precision",
    "eval_precision",
    "max_grad_norm",
    "grad_accumulation_factor",
    "remove_vector_weight_decay",
)
"""Run options that change the results of a run; for the others, a resumed run equals an uninterrupted one."""


def options_of_results(options, hparams, ranks):
    """The run options that change the results, by name, the number of ranks, the kernels of training on a CPU, and the
    checksum of the files of the augmentation.

    Arguments
    ---------
    options : RunOptions
        As given on the command line.
    hparams : dict
        Built hyperparameters: the training block has values for some of them, options of the command line go before it;
        the network may have kernels; pieces of the augmentation may read files.
    ranks : Ranks
        Who takes part: their number changes random numbers and the last bits of sums.

    Returns
    -------
    dict
        Plain values.
    """
    given, training = options.overridden_args, hparams["training"]
    values = {
        name: getattr(options, name) if name in given or name not in training else training[name]
        for name in RESULT_OPTIONS
    }
    augmentation = hparams.get("augment", {}).get("augmentation")
    return values | {
        "ranks": ranks.count,
        SWITCH: kernels_of_run(options, hparams["model"]["network"], ranks),
        RESPONSES: augmentation.files_sha256 if augmentation is not None else "",
    }


def kernels_of_run(options, network, ranks):
    """What computes the network in training, as ``kernels_of_cpu`` names it; ``pytorch`` on GPUs, whatever is used."""
    is_fuse = any(isinstance(part, FuseConvMod) for part in network.modules())
    return kernels_of_cpu() if is_fuse and not ranks.several and options.device == "cpu" else "pytorch"


OF_EVALUATION = ("model.", "data.labels", "data.clip_seconds", "data.validation_fraction", "data.fold")
"""Beginnings of the settings that a run which is only evaluated must share with its training."""


class RunFolder:
    """Creates, locks and checks the output folder of a run.

    Arguments
    ---------
    path : str or Path
        ``output_folder`` of the run. A debug run has a separate folder next to it.
    debug : bool
        Whether this is a debug run.
    fold : int
        Number of the run's fold in a cross-validation, which has a folder in ``output_folder``; 0 without one.
    writes : bool
        False for the ranks that only read in it: they check what it holds.
    """

    def __init__(self, path, debug=False, fold=0, writes=True):
        self.path = place_of_run(path, fold, debug)
        self.above = place_of_run(path, debug=debug) if fold else None
        self.checkpoints = self.path / CHECKPOINTS
        self.debug = debug
        self.writes = writes
        self.is_new = False
        self.lock = None
        self.handlers = []
        self.curves = None

    def open(self, settings, training=True):
        """Create and lock the folder, start the log and the curves.

        Raises ``UserError`` if the folder cannot be written, is in use by another run, contains a run with other
        settings (for evaluation: with another model) or a cross-validation, or has nothing to evaluate.
        """
        self._check_kind()
        if not training and not self.trained():
            raise UserError(
                f"no checkpoint in {self.checkpoints}: train first, without --test_only, "
                "or name the trained run's --output_folder"
            )
        if not self.writes:
            self.check_settings(settings, ("",) if training else OF_EVALUATION)
            return
        is_new = not self.path.exists()
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.path / LOCK)
            self.lock.acquire(timeout=0)
            self.is_new = is_new  # of two starts at the same time, that of the one which has the lock
            self.check_settings(settings, ("",) if training else OF_EVALUATION)
            if training:
                self.curves = Curves(self.path / CURVES)
            self.handlers = start_log(self.path / LOG)
        except Timeout as error:
            raise UserError(
                f"{self.path} is in use by another run; wait for it or give another --output_folder"
            ) from error
        except OSError as error:
            raise UserError(
                f"output_folder {self.path} cannot be written: {error.strerror or error}; give another --output_folder"
            ) from error

    def close(self):
        """Release the lock, close the log and the curves, and remove the new folder of a start that was refused."""
        for handler in self.handlers:
            logging.getLogger().removeHandler(handler)
        for target in [*self.handlers, *filter(None, [self.curves])]:
            with contextlib.suppress(OSError):  # a full disk was reported already
                target.close()
        if self.is_new and not (self.path / SETTINGS).is_file():
            self._remove_own_files()
        if self.lock is not None:
            self.lock.release()

    def _remove_own_files(self):
        """Remove what ``open`` made, and the folder if nothing else is in it, such as decoded clips."""
        shutil.rmtree(self.path / CURVES, ignore_errors=True)
        for path in (self.path / LOG, self.path / LOCK):
            path.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path):
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()

    def trained(self):
        """Whether there is a checkpoint, with which a training goes on."""
        return any(self.checkpoints.glob("CKPT*"))

    def _check_kind(self):
        """Runs and cross-validations do not share a folder, because each has a report there."""
        if folds_in(self.path):
            raise UserError(f"{self.path} contains the folds of a cross-validation: {OTHER_FOLDER}")
        if self.above is not None and (self.above / SETTINGS).is_file():
            raise UserError(f"{self.above} contains a run, which is no cross-validation: {OTHER_FOLDER}")

    def check_settings(self, settings, prefixes=("",)):
        """Refuse settings that differ from those of an existing run, in keys that begin with one of ``prefixes``."""
        path = self.path / SETTINGS
        if self.debug or not self.trained():
            return
        self._check_there(path)
        try:
            changes = changed_settings(path.read_text(encoding="utf-8"), settings).items()
        except (
            ruamel.yaml.YAMLError,
            AttributeError,
            ValueError,
            RecursionError,
        ) as error:  # AttributeError: no mapping; ValueError: no text, or a number of thousands of digits
            raise UserError(f"{path} is damaged ({type(error).__name__}): {OTHER_FOLDER}") from error
        self._refuse_changes([(key, old, new) for key, (old, new) in changes if key.startswith(prefixes)])

    def check_options(self, options, training=True):
        """Refuse run options that differ from the record of an existing run; returns what is to be recorded.

        ``options`` are those of ``options_of_results``; if a run is only evaluated, only those of evaluation count. The
        kernels, which nobody chose, do not count where there is nothing left to train, and stay as recorded.
        """
        earlier = {"ranks": 1, SWITCH: "pytorch", RESPONSES: options[RESPONSES]}
        before = self._recorded(RUN_OPTIONS, options, earlier)
        names = [name for name in options if training or name.startswith("eval_")]
        if (self.path / REPORT).is_file():
            options = options | {SWITCH: before[SWITCH]}
        changes = [(name, before[name], options[name]) for name in names if before[name] != options[name]]
        if len(changes) > 1:  # another number of ranks means other kernels
            changes = [change for change in changes if change[0] != SWITCH]
        self._refuse_changes(changes)
        return options

    def _refuse_changes(self, changes):
        if changes:
            # last those of objects, which follow from values that changed too
            named = sorted(changes, key=lambda change: ".augmentation" in change[0])
            some = "; ".join(f"{key}: {old!s:.80} before, {new!s:.80} now" for key, old, new in named[:3])
            advice = f"set {SWITCH}={changes[0][1]}, or {OTHER_FOLDER}" if changes[0][0] == SWITCH else OTHER_FOLDER
            raise UserError(f"{self.path} contains a run with other settings ({some}): {advice}")

    def record(self, settings, options, lists):
        """Write what the next start of the run is compared with: settings (YAML text), run options, lists."""
        write_atomically(self.path / SETTINGS, settings)
        write_atomically(self.path / RUN_OPTIONS, json.dumps(options, indent=1))
        write_atomically(self.path / LISTS, json.dumps(lists, indent=1))

    def identity(self):
        """SHA-256 of the recorded settings without those that may change, which the run's checkpoints keep."""
        texts = setting_texts(read_settings((self.path / SETTINGS).read_text(encoding="utf-8")))
        return sha256(json.dumps(sorted(texts.items())).encode()).hexdigest()

    def check_lists(self, corpus, audio=None):
        """Refuse a corpus that is not that of the run in this folder; returns the record of it.

        A resumed run needs the same classes, lists and length of the clips; its data may have moved. A run that has its
        report is evaluated on the same data folder too, because the report is written again. Recordings with other
        samples are warned of, because another version of a decoder may be the reason.

        Arguments
        ---------
        corpus : Corpus
            As it was read: before training locations are held out, and before recordings are cut. It gets the warning.
        audio : str, optional
            ``WaveformStore.digest`` of its recordings, once they are decoded.

        Raises
        ------
        UserError
            The corpus differs, or the record is damaged.
        """
        now = {"labels": corpus.labels, "data_folder": str(as_folder(corpus.folder))}
        for name in LIST_NAMES:
            lines = sorted(f"{clip.path}\t{clip.label}" for clip in getattr(corpus, name))
            now |= {f"{name}_clips": len(lines), name: sha256("\n".join(lines).encode()).hexdigest()}
        now |= {"clip_seconds": corpus.clip_seconds} | ({"audio": audio} if audio else {})
        later = ("validation", "validation_clips", "clip_seconds", "audio")
        before = self._recorded(LISTS, now, earlier={key: now[key] for key in later if key in now})
        if before["labels"] != now["labels"]:
            words = [", ".join(map(str, lists["labels"])) for lists in (before, now)]
            raise UserError(
                f"{self.path} contains a run with other classes ({words[0]}), the data has {words[1]}: {OTHER_FOLDER}"
            )
        for name in LIST_NAMES:
            if before[name] != now[name]:
                counts = f"{before[f'{name}_clips']} clips before, {now[f'{name}_clips']} now"
                raise UserError(
                    f"{self.path} contains a run with another {LIST_NAMES[name]} ({counts}): {OTHER_FOLDER}, "
                    f"or evaluate the run on these data with {EVALUATE}"
                )
        if before["clip_seconds"] != now["clip_seconds"]:
            lengths = [("clip_seconds", before["clip_seconds"], now["clip_seconds"])]
            self._refuse_changes(lengths)
        if before["data_folder"] != now["data_folder"] and (self.path / REPORT).is_file():
            raise UserError(
                f"{self.path} has the report of a run on {before['data_folder']}, not on {now['data_folder']}: "
                f"evaluate the run there with {EVALUATE}"
            )
        if audio and before["audio"] != audio:
            corpus.warnings.append(
                f"the recordings of {corpus.folder} are not those that {self.path} began with, or were decoded by "
                "other versions: the results mix both"
            )
        return now | ({"audio": before["audio"]} if audio else {})

    def _check_there(self, path):
        """A trained run without a record could be continued or evaluated on other data without a word."""
        if not path.is_file():
            raise UserError(f"{path} is missing, so what this run was trained on is unknown: {OTHER_FOLDER}")

    def _recorded(self, name, now, earlier):
        """What a JSON file of an existing run says, with the keys of ``now``; ``now`` itself for a new run.

        Keys that records of earlier versions lack have the values of ``earlier`` there.
        """
        path = self.path / name
        if self.debug or not self.trained():
            return now
        self._check_there(path)
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}): {OTHER_FOLDER}") from error
        if isinstance(before, dict):
            before = earlier | before
        for key, value in now.items():
            kind = (int, float) if isinstance(value, int | float) else type(value)
            if not isinstance(before, dict) or not isinstance(before.get(key), kind):
                raise UserError(f"{path} is damaged (it has no {key}): {OTHER_FOLDER}")
        return before

    def described_before(self, corpus):
        """How the run was trained: the ``run`` part of an earlier report; None if there is no report.

        If the report is damaged, a warning is added to the corpus, because this cannot be known any more.
        """
        if not (self.path / REPORT).is_file():
            return None
        try:
            return Run(self.path).provenance
        except UserError as error:
            corpus.warnings.append(f"{error}; time, machine and options below are those of this evaluation")
            return None
