"""The steps of one training run: prepare, train, evaluate, report."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import dataclasses
import logging
import time

import torch
from speechbrain.utils.epoch_loop import EpochCounter

from mil_asc.checks import check_choice, check_number
from mil_asc.corpora.json_manifests import write_manifests
from mil_asc.corpora.manifest import few_clips
from mil_asc.corpora.remote_folder import place_of
from mil_asc.errors import UserError
from mil_asc.model.gains import batch_norm_gains
from mil_asc.results.evaluation import evaluate_predictions
from mil_asc.results.floor import floor_warning
from mil_asc.results.run import MANIFESTS, MODEL_WEIGHTS
from mil_asc.results.trained_model import save_model
from mil_asc.runtime import hardware
from mil_asc.runtime.checksums import checksum
from mil_asc.training.checkpoints import AtomicCheckpointer
from mil_asc.training.clip_statistics import measure_floor
from mil_asc.training.console import announce_corpus, announce_machine, announce_notes, announce_warnings
from mil_asc.training.diagnosis import loss_warnings, schedule_warnings
from mil_asc.training.distillation import check_teachers, read_teachers
from mil_asc.training.environment import describe_evaluation, describe_training
from mil_asc.training.initial_weights import check_initial, read_initial
from mil_asc.training.outcome import Outcome
from mil_asc.training.pruning import check_pruning
from mil_asc.training.run_data import ON_BAD_AUDIO, decode_clips, place_clips, read_corpus
from mil_asc.training.run_folder import kernels_of_run, options_of_results
from mil_asc.training.run_state import RunState
from mil_asc.training.single_clips import check_single_clips

logger = logging.getLogger(__name__)


class TrainingRun:
    """The steps of a run and their shared state.

    Arguments
    ---------
    hparams : dict
        Built hyperparameters of a recipe's YAML file.
    settings : str
        The resolved YAML text they were built from.
    options : RunOptions
        Run options, including device and precision.
    folder : RunFolder
        The open folder to write to.
    ranks : Ranks
        Who takes part; the main rank writes.
    """

    def __init__(self, hparams, settings, options, folder, ranks):
        self.hparams = hparams
        self.settings = settings
        self.options = options
        self.folder = folder
        self.ranks = ranks
        self.device = torch.device(options.device)
        self.network = hparams["model"]["network"]
        if hparams["training"].get("freeze_extractor"):
            self.network.freeze_extractor()
        self.start = time.perf_counter()
        self.trained = False
        training = hparams["training"]
        ranks.clips_of_step(training["batch_size"], training.get("batch_size_of", "step"))  # a mistake is found here
        hardware.tune(self.device.type)

    @staticmethod
    def check_settings(hparams):
        """Refuse values that the steps cannot use, before any audio is read (``ValueError``)."""
        check_initial(hparams["training"])
        augmentation = hparams.get("augment", {}).get("augmentation")
        check_teachers(hparams["training"], augmentation)
        check_pruning(hparams["training"], augmentation)
        check_choice("data.on_bad_audio", hparams["data"]["on_bad_audio"], ON_BAD_AUDIO)
        check_number("data.validation_fraction", hparams["data"]["validation_fraction"], least=0, below=1)

    def execute(self):
        """Prepare, train, evaluate, report; returns the content of ``report.json``, on the main rank."""
        announce_machine(self.device, self.options.precision, self.folder.path, self.ranks.count)
        self.prepare()
        brain = self.build_brain()
        self.train(brain)
        outcome, best = self.evaluate(brain)
        return self.report(outcome, best) if self.ranks.main else None

    def report(self, outcome, best):
        """Write the model, the predictions and the report; returns the content of ``report.json``."""
        results = self.summarise(outcome, best)
        if not self.options.test_only:
            save_model(self.folder.path, self.network, self.settings, self.corpus.labels)
            results["run"]["weights_sha256"] = checksum(self.folder.path / MODEL_WEIGHTS)
        outcome.write(self.folder.path, results, self.device)
        return results

    # -- data

    def prepare(self):
        """Read the lists, decode every clip once, and leave out what cannot be used."""
        block, folder = self.hparams["data"], self.folder
        options = options_of_results(self.options, self.hparams, self.ranks)
        options = folder.check_options(options, training=not self.options.test_only)
        with self.ranks.main_first():  # a set that is made on the first run
            corpus = read_corpus(block)
        if len(corpus.labels) != self.network.num_classes:
            raise UserError(
                f"the data has {len(corpus.labels)} classes, the model {self.network.num_classes}: "
                f"set --num_classes={len(corpus.labels)}"
            )
        fresh = not self.options.test_only and (self.options.debug or not folder.trained())
        self.initial = read_initial(self.hparams["training"], self.network, corpus) if fresh else None
        learns = not self.options.test_only
        self.teachers = read_teachers(self.hparams["training"], self.network, corpus) if learns else None
        if self.options.debug:
            corpus = self.hold_out(corpus).head(self.options.debug_batches * self.hparams["training"]["batch_size"])
        if block["on_bad_audio"] == "stop":  # then these are the lists, and a mistake is found before decoding
            folder.check_lists(corpus)
        shown = not self.options.noprogressbar
        with self.ranks.main_first():
            corpus, store, bad = decode_clips(corpus, block["cache_folder"], block["on_bad_audio"], self.network, shown)
        lists = folder.check_lists(corpus, store.digest)
        same = {key: value for key, value in lists.items() if key != "data_folder"}
        self.ranks.check_same(same, f"{corpus.folder}: the machines of this run have different recordings there")
        if not self.options.debug:
            corpus = self.hold_out(corpus)
        announce_corpus(corpus)
        if not self.options.test_only and self.ranks.main:
            folder.record(self.settings, options, lists)
            self.keep_manifests(corpus, store)
        self.ranks.barrier()  # the others read the record
        self.data = place_clips(corpus, store, bad, self.network, self.device)
        self.corpus = self.data.corpus
        for warning in [] if self.options.debug else few_clips(self.corpus):
            self.corpus.warnings.append(warning)
            logger.warning("WARNING: %s", warning)

    def hold_out(self, corpus):
        """The corpus with some training locations held out for validation, as the data block says."""
        return corpus.hold_out(self.hparams["data"]["validation_fraction"], seed=self.hparams["seed"])

    def keep_manifests(self, corpus, store):
        """Write manifests of the training and evaluation data to the folder of the run, in SpeechBrain's form."""
        seconds = dict(zip(store.paths, (store.lengths / store.sample_rate).tolist()))
        write_manifests(corpus, self.folder.path / MANIFESTS, seconds)

    # -- training

    def build_brain(self):
        """The Brain that the YAML file names, with optimizer, schedule and checkpoints."""
        training = self.hparams["training"]
        self.state = RunState(self.ranks)
        self.monitor = "validation" if self.corpus.validation else "evaluation"
        self.check_objective()
        try:
            brain = training["brain"](
                modules={"model": self.network},
                opt_class=training["optimizer"],
                hparams={
                    **{key: value for key, value in training.items() if key not in ("brain", "optimizer")},
                    "objective": self.hparams["objective"]["loss"],
                    "distillation": self.teachers,
                    "augmentation": self.hparams.get("augment", {}).get("augmentation"),
                    "state": self.state,
                    "ranks": self.ranks,
                    "tensorboard": self.folder.curves,
                    "monitor_name": self.monitor,
                    "keep_best": bool(self.corpus.validation),
                },
                run_opts=self.options,
                checkpointer=AtomicCheckpointer(self.folder.checkpoints, self.folder.identity(), self.ranks),
            )
        except (ValueError, SystemExit) as error:  # raised by SpeechBrain for run options
            raise UserError(" ".join(str(error).split())) from error
        brain.checkpointer.add_recoverable("model", brain.modules.model)
        brain.checkpointer.add_recoverable("run_state", self.state)
        if brain.average is not None:
            brain.checkpointer.add_recoverable("weight_average", brain.average)
        if brain.pruning is not None:
            brain.checkpointer.add_recoverable("pruning", brain.pruning)
            announce_notes([brain.pruning.plan])
        if self.teachers is not None:
            brain.checkpointer.add_recoverable("teachers", self.teachers)
            self.corpus.warnings += self.teachers.warnings
            announce_warnings(self.teachers.warnings)
        self.pruning = brain.pruning
        return brain

    def check_objective(self):
        """Refuse losses that do not fit the confidences of the model's detector."""
        given = self.network.detector.confidence
        for name, term in self.hparams["objective"]["loss"].terms.items():
            if term.confidence not in (given, "any"):
                raise UserError(
                    f"the {name} loss ({type(term).__name__}) requires {term.confidence} confidences, "
                    f"the model has {given}: set --confidence={term.confidence}, or choose another objective"
                )

    def train(self, brain):
        """Train until the last epoch, from the latest checkpoint if there is one."""
        counter = EpochCounter(self.hparams["training"]["number_of_epochs"])
        brain.checkpointer.add_recoverable("epoch_counter", counter)
        if not self.options.debug:
            announce_warnings(schedule_warnings(self.hparams["training"]))
        if self.initial is not None and brain.checkpointer.find_checkpoint() is None:
            self.state.origin = self.initial.load_into(self.network)
            announce_notes([self.state.origin["note"]])
            announce_warnings(self.state.origin["warnings"])
        monitored = self.data.dataset("validation" if self.corpus.validation else "evaluate")
        with self.ranks.computing(int(self.ranks.main)):  # a batch of one clip is that of the main rank
            check_single_clips(self.network, self.data.dataset("train"), brain.step_clips)
        self.state.separate_generators(self.hparams["seed"])
        brain.fit(counter, self.data.dataset("train"), monitored)
        self.trained = brain.first_epoch is not None

    # -- evaluation

    def evaluate(self, brain):
        """``Outcome`` of the last epoch, and results of the best on the validation split if there is one."""
        dataset = self.data.dataset("evaluate")
        best = self.evaluate_best(brain, dataset) if self.corpus.validation else None
        return Outcome(*brain.evaluate_clips(dataset), self.data, self.network), best

    def evaluate_best(self, brain, dataset):
        """Results of the epoch with the greatest validation accuracy; of equal ones the last. None before the first."""
        found = brain.checkpointer.find_checkpoint(max_key="accuracy")
        if found is None:
            return None
        clips, predictions = brain.evaluate_clips(dataset, max_key="accuracy")
        epoch, history = found.meta["epoch"], [one for one in self.state.history if "monitor" in one]
        seen = [(one["monitor"]["accuracy"], one["epoch"]) for one in history if brain.may_be_best(one["epoch"])]
        if seen and max(seen)[1] != epoch:
            self.corpus.warnings.append(
                f"the checkpoint of epoch {max(seen)[1]}, the best on the validation set, is lost: "
                f"that of epoch {epoch} is reported as the best"
            )
        return {"epoch": epoch, **evaluate_predictions(predictions, clips, self.corpus.labels, self.corpus.train)}

    def summarise(self, outcome, best):
        """The content of ``report.json``."""
        done, total = len(self.state.history), self.hparams["training"]["number_of_epochs"]
        if done < total and not self.options.debug:
            self.corpus.warnings.append(
                f"the training was stopped after {done} of {total} epochs: these results are not final"
            )
        if best is None and self.corpus.validation:
            self.corpus.warnings.append("no epoch is selected: none that may be was evaluated on the validation set")
        if self.pruning is not None:
            self.corpus.notes.append(self.pruning.note)
        if not self.options.debug:
            self.corpus.warnings += schedule_warnings(self.hparams["training"])
        self.corpus.warnings += loss_warnings(self.state.history)
        if self.state.origin is not None:
            self.corpus.notes.append(self.state.origin["note"])
            self.corpus.warnings += self.state.origin["warnings"]
        self.report_gains()
        floor = self.report_floor(outcome)
        return {
            "experiment": self.hparams["experiment"],
            "dataset": self.hparams["data"]["name"],
            "evaluation_of_best_on_validation": best,
            "history": self.state.history,
            "monitored_list": self.monitor,
            "run": self.describe(),
            "floor": floor,
            **outcome.results(),
        }

    def report_floor(self, outcome):
        """The floor on the evaluation set, with a warning if the model is not better."""
        floor = measure_floor(outcome, self.device, not self.options.noprogressbar)
        warning = None if self.options.debug else floor_warning(floor)
        if warning:
            self.corpus.warnings.append(warning)
            announce_warnings([warning])
        return floor

    def report_gains(self):
        """Note dead channels, and warn of batch norms that amplify more than the limit."""
        found = batch_norm_gains(self.network)
        if found is not None and found.dead:
            self.corpus.notes.append(found.note)
            announce_notes([found.note])
        if found is not None and found.warning:
            self.corpus.warnings.append(found.warning)
            announce_warnings([found.warning])

    def describe(self):
        """How the results were produced: the ``run`` part of ``report.json``.

        ``data_folder`` is the absolute folder of the recordings, or its URL. A run that is only evaluated again keeps
        the entries of its training, with ``evaluated_again`` added.
        """
        recordings = {
            "data_folder": place_of(self.corpus.folder),
            "clip_seconds": self.corpus.clip_seconds,
        }
        before = None if self.trained else self.folder.described_before(self.corpus)
        if before is not None:
            return before | recordings | {"evaluated_again": describe_evaluation(self.device)}
        described = describe_training(self.state.history, self.options, self.device)
        gains = batch_norm_gains(self.network)
        folds = {key: self.hparams["data"].get(key, 0) for key in ("folds", "fold")}
        facts = folds | {
            "batch_norm": None if gains is None else dataclasses.asdict(gains),
            "seed": self.hparams["seed"],
            "ranks": self.ranks.count,
            "kernels": kernels_of_run(self.options, self.network, self.ranks),
            "train_clips": len(self.corpus.train),
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "wall_seconds": time.perf_counter() - self.start,
        }
        origin = self.state.origin
        if origin is not None:
            facts["init_from"] = {key: origin[key] for key in origin if key not in ("note", "warnings")}
        if self.teachers is not None:
            facts["distillation"] = self.teachers.describe()
        augmentation = self.hparams.get("augment", {}).get("augmentation")
        if augmentation is not None and augmentation.files_sha256:
            facts["augmentation_files_sha256"] = augmentation.files_sha256
        return described | recordings | facts
