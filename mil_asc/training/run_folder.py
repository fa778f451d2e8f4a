"""The folder of a run: settings, logs, checkpoints, the trained model and its report."""

import io
import logging
from pathlib import Path

import ruamel.yaml
import torch
from filelock import FileLock, Timeout

from mil_asc.errors import UserError
from mil_asc.model import MODEL_SETTINGS, MODEL_WEIGHTS
from mil_asc.training.checkpoints import write_atomically
from mil_asc.training.options import flatten

SETTINGS = "hyperparams.yaml"
WHERE_NOT_WHAT = ("data_folder", "output_folder", "cache_folder", "folder", "on_bad_audio")
"""Keys that say where things are: a run may be resumed with others."""


class RunFolder:
    """Creates and guards the folder that a run writes to.

    Arguments
    ---------
    path : str or Path
        ``output_folder`` of the run. A debug run gets a folder of its own beside it.
    debug : bool
        Whether this is a debug run.
    """

    def __init__(self, path, debug=False):
        path = Path(path)
        self.path = path.with_name(path.name + "_debug") if debug else path
        self.checkpoints = self.path / "save"
        self.debug = debug
        self.lock = None

    def open(self, settings, training=True):
        """Create the folder, take its lock, start its log and write the settings.

        Raises ``UserError`` where the folder cannot be written, another run holds it, or it holds a run
        with other settings (only when ``training``: evaluation may differ).
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.path / ".lock")
            self.lock.acquire(timeout=0)
            if training:
                self._check_settings(settings)
                write_atomically(self.path / SETTINGS, settings)
            self._start_log()
        except Timeout as error:
            raise UserError(f"{self.path} is in use by another run; wait for it or give another --output_folder") from error
        except OSError as error:
            raise UserError(f"output_folder {self.path} cannot be written: {error.strerror}; give another --output_folder") from error

    def close(self):
        """Release the lock and close the log."""
        for name in ("mil_asc", ""):
            target = logging.getLogger(name)
            for handler in [h for h in target.handlers if getattr(h, "run_folder", None) is self]:
                target.removeHandler(handler)
                handler.close()
        if self.lock is not None:
            self.lock.release()

    def _check_settings(self, settings):
        path = self.path / SETTINGS
        if self.debug or not path.is_file() or not any(self.checkpoints.glob("CKPT*")):
            return
        old, new = (_comparable(text) for text in (path.read_text(encoding="utf-8"), settings))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if changed:
            some = "; ".join(f"{key}: {old.get(key)} there, {new.get(key)} now" for key in changed[:3])
            raise UserError(f"{self.path} holds a run with other settings ({some}): give another --output_folder, or remove that one")

    def _start_log(self):
        """Everything into ``log.txt``; the package's own messages, and warnings, on the console."""
        file = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        console = logging.StreamHandler()
        console.setFormatter(logging.Formatter("%(message)s"))
        console.addFilter(lambda record: record.name.startswith("mil_asc") or record.levelno >= logging.WARNING)
        logging.getLogger().setLevel(logging.INFO)
        for handler in (file, console):
            handler.run_folder = self
            logging.getLogger().addHandler(handler)

    def save_model(self, model, settings, labels):
        """Write the trained model beside its settings, as ``mil_asc.inference`` reads them."""
        tree = ruamel.yaml.YAML().load(settings)
        stream = io.StringIO()
        ruamel.yaml.YAML().dump({"labels": list(labels), "model": tree["model"]}, stream)
        weights = io.BytesIO()
        torch.save({key: value.cpu() for key, value in model.state_dict().items()}, weights)
        write_atomically(self.path / MODEL_WEIGHTS, weights.getvalue())
        write_atomically(self.path / MODEL_SETTINGS, stream.getvalue())


def _comparable(settings):
    tree = flatten(ruamel.yaml.YAML().load(settings))
    return {key: str(value) for key, value in tree.items() if key.rpartition(".")[2] not in WHERE_NOT_WHAT}
