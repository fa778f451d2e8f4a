"""The folder of a run: settings, logs, checkpoints, the trained model and its report."""

import contextlib
import json
import logging
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from mil_asc.errors import UserError
from mil_asc.results.run import (
    CHECKPOINTS,
    CURVES,
    LISTS,
    LOCK,
    LOG,
    REPORT,
    SETTINGS,
    Run,
)
from mil_asc.results.settings import changed_settings
from mil_asc.runtime.files import write_atomically
from mil_asc.training.console import start_log
from mil_asc.training.curves import Curves


class RunFolder:
    """Creates, locks and checks the output folder of a run.

    Arguments
    ---------
    path : str or Path
        ``output_folder`` of the run. A debug run has a separate folder next to it.
    debug : bool
        Whether this is a debug run.
    """

    def __init__(self, path, debug=False):
        self.path = Path(f"{Path(path)}_debug" if debug else path)
        self.checkpoints = self.path / CHECKPOINTS
        self.debug = debug
        self.lock = None
        self.handlers = []
        self.curves = None

    def open(self, settings, training=True):
        """Create and lock the folder, start the log and the curves, write the settings.

        Raises ``UserError`` if the folder cannot be written, is in use by another run, contains a run with other
        settings (for evaluation: with another model), or has nothing to evaluate.
        """
        if not training and not self._trained():
            raise UserError(
                f"no checkpoint in {self.checkpoints}: train first, without --test_only, "
                "or name the trained run's --output_folder"
            )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.path / LOCK)
            self.lock.acquire(timeout=0)
            self._check_settings(settings, ("",) if training else ("model.", "data.labels"))
            if training:
                write_atomically(self.path / SETTINGS, settings)
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
        """Release the lock and close the log and the curves."""
        for handler in self.handlers:
            logging.getLogger().removeHandler(handler)
        for target in [*self.handlers, *filter(None, [self.curves])]:
            with contextlib.suppress(OSError):  # a full disk was reported already
                target.close()
        if self.lock is not None:
            self.lock.release()

    def _trained(self):
        return any(self.checkpoints.glob("CKPT*"))

    def _check_settings(self, settings, prefixes):
        """Refuse settings that differ from those of an existing run, in keys that begin with one of ``prefixes``."""
        path = self.path / SETTINGS
        if self.debug or not path.is_file() or not self._trained():
            return
        changes = changed_settings(path.read_text(encoding="utf-8"), settings).items()
        changed = [f"{key}: {old} before, {new} now" for key, (old, new) in changes if key.startswith(prefixes)]
        if changed:
            some = "; ".join(changed[:3])
            raise UserError(
                f"{self.path} contains a run with other settings ({some}): "
                "give another --output_folder, or remove that one"
            )

    def keep_lists(self, corpus, training=True):
        """Record the classes and the training set of a new run, or compare them with the record of an existing one.

        A ``UserError`` is raised if the existing run has other classes, or is resumed with another training set: it
        could then be evaluated on clips that it was trained on. If the run is only evaluated, this is a warning.
        """
        lines = sorted(f"{clip.path}\t{clip.label}" for clip in corpus.train)
        now = {"labels": corpus.labels, "clips": len(lines), "train": sha256("\n".join(lines).encode()).hexdigest()}
        path = self.path / LISTS
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and self._trained() else now
        other_folder = "give another --output_folder, or remove that one"
        if before["labels"] != now["labels"]:
            words = [", ".join(lists["labels"]) for lists in (before, now)]
            raise UserError(
                f"{self.path} contains a run with other classes ({words[0]}), the data has {words[1]}: {other_folder}"
            )
        if before["train"] == now["train"]:
            write_atomically(path, json.dumps(now, indent=1))
        elif training:
            raise UserError(
                f"{self.path} contains a run trained on another training set ({before['clips']} clips before, "
                f"{now['clips']} now): {other_folder}"
            )
        else:
            corpus.warnings.append(
                "the run was trained on another training set, which may contain clips of the evaluation set"
            )

    def described_before(self):
        """How the run was trained: the ``run`` part of an earlier report, or None if there is no report."""
        return Run(self.path).provenance if (self.path / REPORT).is_file() else None
