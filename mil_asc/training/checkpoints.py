"""Checkpoints: atomic, checked, ordered by progress, and written by the main rank."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import logging
import os
import shutil

import torch
import yaml
from speechbrain.utils.checkpoints import CKPT_PREFIX, METAFNAME, Checkpointer
from speechbrain.utils.distributed import MainProcessContext

from mil_asc.errors import UserError
from mil_asc.model.weights import check_finite
from mil_asc.runtime.checksums import find_damage, write_checksums
from mil_asc.runtime.files import flush_to_disk
from mil_asc.training.ranks import Ranks

logger = logging.getLogger(__name__)

PARTIAL = ".partial-checkpoint"
REMOVED = ".removed-checkpoint"
DAMAGED = "damaged-"
"""Beginnings of the names of folders that are no checkpoints: unfinished, about to be removed, damaged."""
CHECKSUMS = "SHA256SUMS"
PROGRESS = {"epoch": int, "optimizer_step": int, "end-of-epoch": bool}
"""What the meta data of a checkpoint must have: the epoch it was saved in or after, the optimizer steps of the
training up to it, and whether the epoch was complete."""


def progress(checkpoint):
    """How far the training was: checkpoints are ordered by this, never by the clock, which may be set back."""
    meta = checkpoint.meta
    return meta["epoch"], meta["end-of-epoch"], meta["optimizer_step"]


class AtomicCheckpointer(Checkpointer):
    """A ``Checkpointer`` whose checkpoints are complete, checked, and ordered by the progress of the training.

    A checkpoint is written to a hidden folder, and renamed when it is complete and on the disk. A checkpoint that is
    deleted is renamed first. Leftovers of a killed process are removed at the next start. The latest checkpoint is that
    of the greatest ``progress``. Every file has a checksum, which is verified before loading; weights must be finite.

    Arguments
    ---------
    checkpoints_dir : str or Path
        Where they are.
    run : str, optional
        What identifies the run. Checkpoints keep it, and one of another run is refused.
    ranks : Ranks, optional
        Who takes part: the main rank writes, renames and removes, while the others wait.
    **kwargs
        As for ``Checkpointer``.
    """

    def __init__(self, checkpoints_dir, run=None, ranks=None, **kwargs):
        super().__init__(checkpoints_dir, **kwargs)
        self.run = run
        self.ranks = ranks or Ranks()
        if self.ranks.main:
            for leftover in [*self.checkpoints_dir.glob(PARTIAL + "*"), *self.checkpoints_dir.glob(REMOVED + "*")]:
                shutil.rmtree(leftover)

    # -- saving

    def save_checkpoint(self, meta, end_of_epoch=True, name=None, **kwargs):
        """Save like ``Checkpointer``, but atomically; returns the checkpoint at its final path.

        ``meta`` must have ``epoch`` and ``optimizer_step``. A checkpoint of the same name is replaced.
        """
        missing = PROGRESS.keys() - {"end-of-epoch"} - meta.keys()
        if missing:
            raise ValueError(f"the meta data of a checkpoint must have {', '.join(sorted(missing))}")
        self._check_weights(f"{self.checkpoints_dir}: no checkpoint of epoch {meta['epoch']}")
        folder = self.checkpoints_dir
        final = self._custom_checkpoint_dirpath(name or _name(meta, end_of_epoch))
        self.checkpoints_dir = folder / f"{PARTIAL}-{os.getpid()}"
        try:
            meta = {**meta, "run": self.run}
            saved = super().save_checkpoint(meta, end_of_epoch, final.name[len(CKPT_PREFIX) + 1 :], **kwargs)
            write_checksums(saved.path / CHECKSUMS, [path.name for path in saved.path.iterdir()])
            for path in [*saved.path.iterdir(), saved.path]:
                flush_to_disk(path)
            if final.exists():
                self._delete_folder(final)
            os.replace(saved.path, final)
            flush_to_disk(folder)
        finally:
            shutil.rmtree(self.checkpoints_dir, ignore_errors=True)
            self.checkpoints_dir = folder
        paramfiles = {key: final / path.name for key, path in saved.paramfiles.items()}
        return saved._replace(path=final, paramfiles=paramfiles)

    def save_and_keep_only(self, meta, end_of_epoch=True, num_to_keep=1, max_keys=(), ckpt_predicate=None, **kwargs):
        """Save, then delete all but the latest checkpoints and those with the greatest values of ``max_keys``.

        Only checkpoints for which ``ckpt_predicate`` is true are counted and deleted. All ranks call this together.
        """
        if self.ranks.main:
            with MainProcessContext():  # SpeechBrain's hooks would wait for the others
                self.save_checkpoint(meta, end_of_epoch, **kwargs)
            self._keep_only(num_to_keep, max_keys, ckpt_predicate)
        self.ranks.barrier()

    def _keep_only(self, num_to_keep, max_keys, ckpt_predicate):
        orders = [{}, *({"max_key": key} for key in max_keys)]
        found = [self.find_checkpoints(ckpt_predicate=ckpt_predicate, **order) for order in orders]
        kept = {checkpoint.path for ranked in found for checkpoint in ranked[:num_to_keep]}
        for checkpoint in found[0]:
            if checkpoint.path not in kept:
                self._delete_folder(checkpoint.path)

    def _delete_folder(self, path):
        hidden = path.with_name(f"{REMOVED}-{path.name}")
        os.replace(path, hidden)
        shutil.rmtree(hidden)

    # -- finding

    def find_checkpoints(
        self, importance_key=None, max_key=None, min_key=None, ckpt_predicate=None, max_num_checkpoints=None
    ):
        """Checkpoints in order, the best first: by the key given, and where that is equal or absent by progress."""
        key, sign = (max_key, 1) if max_key else (min_key, -1)
        found = [checkpoint for checkpoint in self.list_checkpoints() if key is None or key in checkpoint.meta]
        found = sorted(filter(ckpt_predicate, found), key=progress, reverse=True)
        if importance_key is not None:
            found.sort(key=importance_key, reverse=True)
        elif key is not None:
            found.sort(key=lambda checkpoint: sign * checkpoint.meta[key], reverse=True)
        return found[:max_num_checkpoints]

    def list_checkpoints(self):
        """All checkpoints; a ``UserError`` names one whose meta data cannot be used."""
        folders = self._list_checkpoint_dirs()
        for folder in folders:
            _refuse(folder, _damage_of_meta(folder))
        return self._construct_checkpoint_objects(folders)

    def _list_checkpoint_dirs(self):
        return sorted(path for path in self.checkpoints_dir.glob(f"{CKPT_PREFIX}*") if path.is_dir())

    # -- loading

    def load_checkpoint(self, checkpoint):
        """Load a checkpoint; a ``UserError`` names it if it is damaged, of another run, or has weights not finite."""
        _refuse(checkpoint.path, _damage_of(checkpoint.path))
        if checkpoint.meta.get("run", self.run) != self.run:
            raise UserError(f"{checkpoint.path} is a checkpoint of another run, with other settings or another seed")
        super().load_checkpoint(checkpoint)
        self._check_weights(checkpoint.path)

    def set_damaged_aside(self):
        """Rename damaged checkpoints, with a warning, so that a training resumes from the latest intact one.

        A ``UserError`` is raised if all checkpoints are damaged. All ranks call this together.
        """
        self.ranks.barrier()  # the others may still list them
        with self.ranks.main_first():
            if self.ranks.main:
                self._set_damaged_aside()

    def _set_damaged_aside(self):
        folders = self._list_checkpoint_dirs()
        damaged = {folder: reason for folder in folders if (reason := _damage_of(folder))}
        if damaged and len(damaged) == len(folders):
            folder, reason = damaged.popitem()
            raise UserError(
                f"{folder} is damaged ({reason}), and there is no earlier checkpoint: "
                f"remove {self.checkpoints_dir} to train from the beginning"
            )
        for folder, reason in damaged.items():
            aside = folder.with_name(DAMAGED + folder.name)
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(folder, aside)
            logger.warning("WARNING: %s is damaged (%s) and is not used; it is now %s", folder, reason, aside.name)

    def _check_weights(self, where):
        for recoverable in self.recoverables.values():
            if isinstance(recoverable, torch.nn.Module):
                check_finite(recoverable.state_dict(), where)


def _name(meta, end_of_epoch):
    """Name of a checkpoint by its progress."""
    return f"epoch-{meta['epoch']:04d}+step-{meta['optimizer_step']:07d}{'' if end_of_epoch else '+within'}"


def _damage_of(folder):
    """What is wrong with a checkpoint's files, in a few words; None if nothing."""
    return find_damage(folder / CHECKSUMS, [METAFNAME]) or _damage_of_meta(folder)


def _damage_of_meta(folder):
    """What is wrong with a checkpoint's meta data, in a few words; None if nothing."""
    try:
        meta = yaml.safe_load((folder / METAFNAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{METAFNAME} is missing"
    except (yaml.YAMLError, UnicodeDecodeError):
        return f"{METAFNAME} is not YAML"
    for key, kind in PROGRESS.items():
        if not isinstance(meta, dict) or type(meta.get(key)) is not kind:
            return f"{METAFNAME} has no {key}"
    return None


def _refuse(folder, damage):
    if damage:
        raise UserError(f"{folder} is damaged ({damage}): train again, which resumes from an earlier checkpoint if any")
