"""The Brain of every recipe: the training loop on top of SpeechBrain's."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import contextlib
import logging
import math
import time

import numpy as np
import speechbrain as sb
import torch
from tqdm import tqdm

from mil_asc.augment.augmentation import Augmentation
from mil_asc.checks import check_choice, check_count, check_number
from mil_asc.errors import UserError
from mil_asc.results.predictions import Predictions
from mil_asc.store.batches import as_is
from mil_asc.training.batch_norm import estimate_batch_norm
from mil_asc.training.console import announce_notes
from mil_asc.training.loss_sums import LossSums, means
from mil_asc.training.pruning import MagnitudePruning
from mil_asc.training.rank_batch_norm import join_batch_norms
from mil_asc.training.rank_clips import RankClips, evaluation_batches
from mil_asc.training.ranks import BATCH_SIZE_OF, Ranks
from mil_asc.training.run_options import check_max_grad_norm
from mil_asc.training.weight_average import WeightAverage

logger = logging.getLogger(__name__)

STEPS_BETWEEN_CHECKS = {"cpu": 1}
DEFAULT_STEPS_BETWEEN_CHECKS = 20
"""Steps between checks of the losses, by device type and for all others; each check makes a GPU wait."""


class MILBrain(sb.Brain):
    """Trains and evaluates a model that returns ``Bags``, with the objective of its YAML file.

    ``hparams`` needs ``objective`` (``(bags, label_B) -> {"loss": scalar, ...}``, mean over clips),
    ``lr_schedule`` (epochs done -> factor), ``learning_rate``, ``number_of_epochs``, ``batch_size``,
    ``precise_bn_clips``, ``evaluate_every`` (epochs) and ``state`` (a ``RunState``). ``modules`` needs
    ``model``. ``augmentation`` (an ``Augmentation``),
    ``distillation`` (a ``Distillation``), and ``nonzero_parameters`` with ``prune_epochs`` (``MagnitudePruning``) are
    optional, as are ``ranks`` (``Ranks``) and ``batch_size_of``. Differences from ``speechbrain.Brain``:

    * losses are averaged over clips; if batches are accumulated, the last ones of an epoch make a separate step;
    * ``max_grad_norm`` of 0 is refused, and negative values disable clipping; all parameters are clipped;
    * a loss that is not finite stops the run, and the message names the clips;
    * batch-norm statistics are re-estimated before evaluation and saving;
    * checkpoints within an epoch are saved between optimizer steps only;
    * several ranks take the steps that one process would take: gradients and batch-norm statistics are of all clips.
    """

    @classmethod
    def check_settings(cls, settings):
        """Refuse values of a training block that this Brain cannot use, before anything is built (``ValueError``).

        A Brain with other settings overrides this method, checks them, and calls this one.
        """
        for name in ("number_of_epochs", "batch_size", "evaluate_every"):
            check_count(f"training.{name}", settings[name])
        check_choice("training.batch_size_of", settings.get("batch_size_of", "step"), BATCH_SIZE_OF)
        check_count("training.precise_bn_clips", settings["precise_bn_clips"], least=0)
        check_number("training.learning_rate", settings["learning_rate"], above=0)
        check_max_grad_norm(settings["max_grad_norm"])
        optimizer = getattr(settings["optimizer"], "keywords", {})  # none if the YAML file gives no arguments
        check_number("training.weight_decay", optimizer.get("weight_decay", 0.0), least=0)
        check_number("training.momentum", optimizer.get("momentum", 0.0), least=0, below=1)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        check_max_grad_norm(self.max_grad_norm)
        if self.max_grad_norm < 0:
            self.max_grad_norm = math.inf
        self.distributed_launch = False  # SpeechBrain's own way
        self.ranks = getattr(self.hparams, "ranks", None) or Ranks()
        batch_size_of = getattr(self.hparams, "batch_size_of", "step")
        self.step_clips = self.ranks.clips_of_step(self.hparams.batch_size, batch_size_of)
        join_batch_norms(self.modules.model, self.ranks)
        if self.checkpointer is not None:  # a debug run has a temporary folder
            self.checkpointer.checkpoints_dir = self.ranks.from_main(lambda: self.checkpointer.checkpoints_dir)
        every = STEPS_BETWEEN_CHECKS.get(self.device_type, DEFAULT_STEPS_BETWEEN_CHECKS)
        self.loss_sums = LossSums(self.ranks, every)
        self.state = self.hparams.state
        self.predictions = {}
        self.first_epoch = None
        self.augmentation = getattr(self.hparams, "augmentation", None) or Augmentation()
        self.augmentation.prepare(self.modules.model, self.device)
        decay = self.augmentation.ema_decay
        self.average = WeightAverage(self.modules.model, decay) if decay else None
        self.teachers = getattr(self.hparams, "distillation", None)
        left = getattr(self.hparams, "nonzero_parameters", 0)
        self.pruning = None
        if left:  # a debug run reaches its target too
            epochs = min(self.hparams.prune_epochs, self.last_epoch)
            self.pruning = MagnitudePruning(self.modules.model, left, epochs)

    # -- one batch

    def compute_forward(self, batch, stage):
        """``Bags`` of a batch that is on the device: a ``TrainingBatch`` in training, else a ``ClipBatch``."""
        return self.modules.model(batch.waveforms(), batch.length_B)

    def compute_objectives(self, bags, batch, stage):
        """The objective's terms (scalars, mean over the batch's clips) and the accuracy of the bag logits."""
        correct = bags.bag_logits_BC.argmax(1) == batch.label_B
        return {**self.hparams.objective(bags, batch.label_B), "accuracy": correct.float().mean()}

    def fit_batch(self, batch):
        """Gradient of one batch, and an optimizer step when its accumulation group is complete."""
        batch = self.augmentation(batch.to(self.device))
        clips = len(self.ranks.share(range(self._step_clips(self.step))))
        with self.ranks.computing(clips):
            with self.training_ctx:
                with self.augmentation.on_spectrograms(self.modules.model):
                    bags = self.compute_forward(batch, sb.Stage.TRAIN)
                terms = batch.mixed_terms(lambda labelled: self.compute_objectives(bags, labelled, sb.Stage.TRAIN))
                if self.teachers is not None:
                    terms = self.teachers(batch.waveforms(), batch.length_B, bags, terms)
            self.scaler.scale(terms["loss"] * (clips / self._group_clips())).backward()
        if self._group_complete():
            self.optimizers_step()
        self.loss_sums.note(self.step, terms, batch.index_B, clips)
        if self.loss_sums.due:
            self._check()
        self._advance_bar()
        return terms["loss"].detach()

    @torch.no_grad()
    def evaluate_batch(self, batch, stage):
        """Loss terms of one batch; in the test stage, its instance and bag logits are stored as predictions."""
        batch = batch.to(self.device)
        with self.evaluation_ctx:
            bags = self.compute_forward(batch, stage)
            terms = self.compute_objectives(bags, batch, stage)
        if stage == sb.Stage.TEST:
            counts = bags.mask_BI.sum(1).tolist()
            host_BIC = bags.logits_BIC.float().cpu().numpy()
            logits = [logits_IC[:n] for logits_IC, n in zip(host_BIC, counts)]
            bag_logits_BC = bags.bag_logits_BC.float().cpu().numpy()
            self._check_scores(batch.index_B.tolist(), logits, bag_logits_BC)
            self.predictions.update(zip(batch.index_B.tolist(), zip(logits, bag_logits_BC)))
        self.loss_sums.note(self.ranks.number(self.step - 1) + 1, terms, batch.index_B, len(batch.index_B))
        if self.loss_sums.due and not self.ranks.several:  # ranks may have different numbers of batches
            self._check()
        self._advance_bar()
        return terms["loss"].detach()

    def _check_scores(self, positions, logits, bag_logits_BC):
        """A clip whose scores are not finite has no class, though its loss may be finite."""
        for position, logits_IC, bag_logits_C in zip(positions, logits, bag_logits_BC):
            if not (np.isfinite(logits_IC).all() and np.isfinite(bag_logits_C).all()):
                path = self.clips[position].path
                raise UserError(f"{path}: the model's scores are not finite, so there is no class: check its weights")

    def update_average(self, loss, avg_loss):
        """The mean over clips up to the last check (SpeechBrain averages over batches)."""
        return means(self.state.sums).get("loss", 0.0)

    # -- optimizer

    def _group_complete(self):
        return self.step % self.grad_accumulation_factor == 0 or self.step == self.steps_per_epoch

    def _step_clips(self, step):
        """Number of clips of all ranks in a step of the epoch, from 1 up."""
        return min(self.step_clips, self.train_clips - (step - 1) * self.step_clips)

    def _group_clips(self):
        """Number of clips in the accumulation group of the current step."""
        size = self.step_clips * self.grad_accumulation_factor
        start = (self.step - 1) // self.grad_accumulation_factor * size
        return min(size, self.train_clips - start)

    def optimizers_step(self):
        """Set the scheduled learning rate, clip the gradient of all parameters, step."""
        lr = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.ranks.sum_gradients(self.modules.parameters())
        self.scaler.unscale_(self.optimizer)
        if self.pruning is not None:
            self.pruning.stop_gradients()
        if math.isfinite(self.max_grad_norm):
            torch.nn.utils.clip_grad_norm_(self.modules.parameters(), self.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.pruning is not None:
            self.pruning.apply()
        if self.average is not None:
            self.average.update()
        self.optimizer_step += 1

    def learning_rate(self):
        """Learning rate of the next optimizer step; the first is above zero, the last is almost zero."""
        steps = math.ceil(self.steps_per_epoch / self.grad_accumulation_factor)
        return self.hparams.learning_rate * self.hparams.lr_schedule((self.optimizer_step + 0.5) / steps)

    def _check(self):
        self.loss_sums.check(self.clips, self.state.sums)

    # -- epochs

    def on_fit_start(self):
        """Prepare the optimizer, and load the latest checkpoint that is not damaged."""
        if self.checkpointer is not None:
            self.checkpointer.set_damaged_aside()
        super().on_fit_start()
        self.state.check_ranks(self.optimizer_step)
        self.ranks.copy_from_main(self.modules.model)

    def fit(self, epoch_counter, train_set, valid_set=None, **kwargs):
        """Train; ``train_set`` and ``valid_set`` are ``ClipDataset``."""
        self.train_set = train_set
        self.train_clips = len(train_set)
        self.clips = train_set.clips
        batches = math.ceil(self.train_clips / self.step_clips)
        self.steps_per_epoch = min(batches, self.debug_batches) if self.debug else batches
        self.train_part = RankClips(train_set, self.ranks)
        options = {"batch_size": self.step_clips, "shuffle": True, **self._loader_options()}
        loader = self.make_dataloader(self.train_part, sb.Stage.TRAIN, **options)
        valid_loader = None if valid_set is None else self.evaluation_loader(valid_set)
        super().fit(epoch_counter, loader, valid_loader, progressbar=False, **kwargs)

    def on_stage_start(self, stage, epoch=None):
        """Reset the sums of the stage, except in a resumed epoch, and open the progress bar."""
        if stage != sb.Stage.TRAIN or self.step == 0:
            self.state.sums = {}
        if stage == sb.Stage.TRAIN and self.step == 0 and self.pruning is not None:
            self.pruning.renew(epoch)
        if stage == sb.Stage.TRAIN:
            if self.first_epoch is None:
                self.first_epoch, self.fit_start = epoch, time.perf_counter()
                if epoch > 1 or self.step:
                    done = f"{epoch - 1} epochs" + (f" and {self.step} steps" if self.step else "")
                    announce_notes([f"the training resumes after {done}"])
            self.epoch, self.epoch_start = epoch, time.perf_counter()
            self.first_step = self.step
            self._open_bar(f"epoch {epoch}/{self.last_epoch}", self.steps_per_epoch)
        else:
            self._open_bar("evaluation", self.evaluated_batches)

    def _open_bar(self, what, total):
        hidden = self.noprogressbar or not self.ranks.main
        self.bar = tqdm(total=total, initial=self.step, desc=what, unit="step", leave=False, disable=hidden)

    @property
    def last_epoch(self):
        """The last epoch of this run."""
        total = self.hparams.number_of_epochs
        return min(total, self.debug_epochs) if self.debug else total

    def _advance_bar(self):
        loss = means(self.state.sums).get("loss")
        if loss is not None:
            self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Complete the sums of the stage and close the bar; after training, start the record of the epoch."""
        self._check()
        self.bar.close()
        if stage == sb.Stage.TRAIN:
            seconds = time.perf_counter() - self.epoch_start
            clips = min((self.step - self.first_step) * self.step_clips, self.train_clips)
            self.record = {"epoch": epoch, "train": means(self.state.sums), "learning_rate": self.learning_rate()}
            self.record |= {"seconds": seconds, "clips_per_second": clips / seconds}
            self.record["largest_loss"] = self.state.sums["largest_loss"]
        elif stage == sb.Stage.VALID:
            self.record["monitor"] = means(self.state.sums)

    def _fit_valid(self, valid_set, epoch, enable):
        """End of an epoch: re-estimate batch norm, evaluate on the monitored set, save a checkpoint."""
        last = epoch == self.last_epoch
        with contextlib.nullcontext() if self.average is None else self.average.in_place():
            self.estimate_batch_norm()
            if valid_set is not None and (last or epoch % self.hparams.evaluate_every == 0):
                self.clips = valid_set.dataset.clips
                super()._fit_valid(valid_set, epoch, enable)
                self.clips = self.train_set.clips
        self.state.sums = {}
        self.state.history.append(self.record)
        self._report_epoch()
        if self.checkpointer is not None:
            self._save_epoch(epoch)

    def may_be_best(self, epoch):
        """Whether an epoch may be selected: of a pruned network, only those in which the target is reached."""
        return self.pruning is None or self.pruning.is_complete(epoch)

    def _save_epoch(self, epoch):
        """Keep the latest checkpoint and, with a validation split, the one with the greatest validation accuracy."""
        meta = {"epoch": epoch, "optimizer_step": self.optimizer_step}
        keys = ["accuracy"] if self.hparams.keep_best else []
        if self.hparams.keep_best and "monitor" in self.record and self.may_be_best(epoch):
            meta["accuracy"] = self.record["monitor"]["accuracy"]
        self.state.collect()
        self.checkpointer.save_and_keep_only(meta=meta, max_keys=keys, num_to_keep=1, verbosity=logging.DEBUG)

    def _report_epoch(self):
        record, total = self.record, self.last_epoch
        done = record["epoch"] - self.first_epoch + 1
        left = (total - record["epoch"]) * (time.perf_counter() - self.fit_start) / done
        parts = [f"loss {record['train']['loss']:.4f}", f"train accuracy {record['train']['accuracy']:.3f}"]
        if "monitor" in record:
            parts.append(f"{self.hparams.monitor_name} accuracy {record['monitor']['accuracy']:.3f}")
        parts.append(f"{record['clips_per_second']:.1f} clips/s")
        if record["epoch"] < total:
            parts.append(f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left")
        logger.info("epoch %d/%d  %s", record["epoch"], total, "  ".join(parts))
        for group in ("train", "monitor"):
            for name, value in record.get(group, {}).items():
                self._scalar(f"{group}/{name}", value)
        self._scalar("learning_rate", record["learning_rate"])
        self._scalar("clips_per_second", record["clips_per_second"])

    def _scalar(self, name, value):
        if self.hparams.tensorboard is not None:
            self.hparams.tensorboard.add_scalar(name, value, self.record["epoch"])

    def estimate_batch_norm(self):
        """Precise batch norm on up to ``precise_bn_clips`` training clips, spread evenly over the list."""
        count = min(self.hparams.precise_bn_clips, self.train_clips)
        if count == 0:
            return
        chosen = torch.linspace(0, self.train_clips - 1, count).round().long()
        stride = math.ceil(count / self.step_clips)
        batches = [chosen[first::stride].tolist() for first in range(stride)]  # lists are sorted by class: mixed
        with self.evaluation_ctx:
            estimate_batch_norm(self.modules.model, self._waveforms(batches))

    def _waveforms(self, batches):
        """This rank's part of the waveforms of each batch, given as positions in the training set."""
        for positions in batches:
            with self.ranks.computing(len(self.ranks.share(positions))):
                yield self.train_part.__getitems__(positions).to(self.device).waveforms()

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        """Only between optimizer steps: accumulated gradients are not saved."""
        return self._group_complete() and super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)

    def _save_intra_epoch_ckpt(self):
        """Keep the latest checkpoint within an epoch, besides those of complete epochs."""
        self._check()
        self.state.collect()
        self.checkpointer.save_and_keep_only(
            meta={"epoch": self.epoch, "optimizer_step": self.optimizer_step},
            end_of_epoch=False,
            ckpt_predicate=lambda checkpoint: not checkpoint.meta["end-of-epoch"],
            verbosity=logging.DEBUG,
        )

    # -- evaluation

    def evaluate_clips(self, dataset, max_key=None):
        """Clips of a ``ClipDataset`` that were reached, and the model's ``Predictions`` of them.

        The weights are those of the latest checkpoint, or of the one with the greatest ``max_key``. A
        ``UserError`` is raised if there is no checkpoint: random weights are never evaluated.
        """
        self.clips = dataset.clips
        self.predictions = {}
        self.evaluate(self.evaluation_loader(dataset), max_key=max_key, progressbar=False)
        self.clips = None
        for part in self.ranks.gather(self.predictions):
            self.predictions |= part
        reached = sorted(self.predictions)
        logits, bag_logits = zip(*(self.predictions[index] for index in reached))
        predictions = Predictions.of_clips(logits, bag_logits, self.modules.model.decision)
        return [dataset.clips[index] for index in reached], predictions

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Load the checkpoint; refuse to continue without one."""
        if self.checkpointer is None or self.checkpointer.find_checkpoint(max_key=max_key) is None:
            where = self.checkpointer.checkpoints_dir if self.checkpointer else "this run"
            raise UserError(
                f"no checkpoint in {where}: train first, without --test_only, or name the trained run's output_folder"
            )
        super().on_evaluate_start(max_key, min_key)
        if self.average is not None:
            self.average.replace_weights()
        if not self.checkpointer.find_checkpoint(max_key=max_key).meta["end-of-epoch"]:
            self.estimate_batch_norm()

    def evaluation_loader(self, dataset):
        """This rank's batches of clips in the order of their lengths, which avoids padding."""
        batches = evaluation_batches(dataset, self.hparams.batch_size, self.ranks)
        self.evaluated_batches = len(batches)
        return torch.utils.data.DataLoader(dataset, batch_sampler=batches, **self._loader_options())

    def _loader_options(self):
        """No workers, because reading a batch is fast; a separate generator leaves the global one unchanged."""
        return {"collate_fn": as_is, "num_workers": 0, "generator": torch.Generator().manual_seed(0)}
