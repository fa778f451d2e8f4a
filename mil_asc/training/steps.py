"""The steps of one training run: prepare, train, evaluate, report."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import logging
import os
import time

import numpy as np
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from mil_asc.checks import check_choice, check_number
from mil_asc.corpora.json_manifests import read_manifests, write_manifests
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.results.evaluation import decisions, evaluate_events, evaluate_predictions
from mil_asc.results.predictions import write_predictions
from mil_asc.results.report import choose_examples, write_report
from mil_asc.results.run import MANIFESTS, PREDICTIONS
from mil_asc.runtime import hardware
from mil_asc.store.batches import ClipDataset, place_waveforms
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.segments import cut_recordings
from mil_asc.training.checkpoints import AtomicCheckpointer, RunState
from mil_asc.training.console import announce_corpus, announce_machine, announce_warnings, print_results
from mil_asc.training.diagnosis import loss_warnings, schedule_warnings
from mil_asc.training.environment import describe_evaluation, describe_training

logger = logging.getLogger(__name__)

ON_BAD_AUDIO = ("stop", "skip")


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
    """

    def __init__(self, hparams, settings, options, folder):
        self.hparams = hparams
        self.settings = settings
        self.options = options
        self.folder = folder
        self.device = torch.device(options.device)
        self.network = hparams["model"]["network"]
        self.start = time.perf_counter()
        self.trained = False
        hardware.tune(self.device.type)

    @staticmethod
    def check_settings(hparams):
        """Refuse values of the data block that the steps cannot use, before any audio is read (``ValueError``)."""
        check_choice("data.on_bad_audio", hparams["data"]["on_bad_audio"], ON_BAD_AUDIO)
        check_number("data.validation_fraction", hparams["data"]["validation_fraction"], least=0, below=1)

    def execute(self):
        """Prepare, train, evaluate, report; returns the content of ``report.json``."""
        announce_machine(self.device, self.options.precision, self.folder.path)
        self.prepare()
        brain = self.build_brain()
        self.train(brain)
        clips, predictions, best = self.evaluate(brain)
        results = self.summarise(clips, predictions, best)
        if not self.options.test_only:
            self.folder.save_model(self.network, self.settings, self.corpus.labels)
        write_predictions(self.folder.path / PREDICTIONS, predictions, clips, self.corpus.labels)
        examples = choose_examples(clips, predictions, self.corpus.labels, self.picture)
        page = write_report(self.folder.path, results, examples)
        print_results(results, page)
        return results

    # -- data

    def prepare(self):
        """Read the lists, decode every clip once, and leave out what cannot be used."""
        data = self.hparams["data"]
        corpus = self.read_corpus(data)
        if len(corpus.labels) != self.network.num_classes:
            raise UserError(
                f"the data has {len(corpus.labels)} classes, the model {self.network.num_classes}: "
                f"set --num_classes={len(corpus.labels)}"
            )
        self.folder.keep_lists(corpus, training=not self.options.test_only)
        corpus = corpus.hold_out(data["validation_fraction"], seed=self.hparams["seed"])
        if self.options.debug:
            corpus = corpus.head(self.options.debug_batches * self.hparams["training"]["batch_size"])
        announce_corpus(corpus)
        cache, self.bad_audio = self.decode(corpus, data)
        corpus = corpus.without(self.bad_audio)
        self.cache, self.corpus = cut_recordings(cache, corpus, self.network.min_samples)
        for name, words in (("train", "training set"), ("evaluate", "evaluation set")):
            if not getattr(self.corpus, name):
                raise UserError(f"{corpus.folder}: no usable clip is left in the {words}; fix the bad audio files")
        if not self.options.test_only:
            self.keep_manifests(corpus, cache)
        self.waveforms = place_waveforms(self.cache, self.device)
        logger.info("waveforms are read from %s", "the GPU" if self.waveforms is not self.cache else self.cache.folder)

    def read_corpus(self, data):
        """The lists from the data block's reader, or from the manifests that the block names."""
        try:
            if not data["manifests"]:
                return data["corpus"]()
        except ArgumentError as error:
            raise UserError(f"data: {error}") from error
        given = data["data_folder"] != data["manifests"]  # else it only replaces the recipe's placeholder
        corpus = read_manifests(data["manifests"], data["data_folder"] if given else None)
        if corpus.validation and data["validation_fraction"]:
            raise UserError(f"{data['manifests']} has a validation set already: leave out validation_fraction")
        return corpus

    def keep_manifests(self, corpus, cache):
        """Write manifests of the training and evaluation data to the folder of the run, in SpeechBrain's form."""
        seconds = dict(zip(cache.paths, (cache.lengths / cache.sample_rate).tolist()))
        write_manifests(corpus, self.folder.path / MANIFESTS, seconds)

    def decode(self, corpus, data):
        """The waveform store of the corpus, and bad files with reasons; they stop the run unless they are skipped."""
        front_end = self.network.front_end
        cache = prepare_waveforms(
            corpus.folder,
            [clip.path for clip in corpus.clips],
            data["cache_folder"],
            sample_rate=front_end.sample_rate,
            progress=not self.options.noprogressbar,
        )
        bad = cache.bad | self.too_short(cache)
        if bad:
            reasons = [f"{corpus.folder / path}: {reason}" for path, reason in bad.items()]
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            if data["on_bad_audio"] == "stop":
                raise AudioError(f"{reasons[0]}{more}; fix the file(s), or leave them out with --on_bad_audio=skip")
            logger.warning("WARNING: %d bad audio file(s) left out: %s%s", len(reasons), reasons[0], more)
        return cache, bad

    def too_short(self, cache):
        """Clips too short for one instance: path -> reason. The store keeps them, because other models may use them."""
        rate, least = cache.sample_rate, self.network.min_samples
        return {
            path: f"too short: {length / rate:.3f} s, at least {least / rate:.3f} s needed"
            for path, length in zip(cache.paths, cache.lengths.tolist())
            if length < least
        }

    def dataset(self, name):
        """``ClipDataset`` of one of the corpus's lists."""
        clips = getattr(self.corpus, name)
        rows = [self.cache.row(clip.path) for clip in clips]
        return ClipDataset(self.waveforms, rows, clips, self.corpus.labels)

    # -- training

    def build_brain(self):
        """The Brain that the YAML file names, with optimizer, schedule and checkpoints."""
        training = self.hparams["training"]
        self.state = RunState()
        self.monitor = "validation" if self.corpus.validation else "evaluation"
        self.check_objective()
        try:
            brain = training["brain"](
                modules={"model": self.network},
                opt_class=training["optimizer"],
                hparams={
                    **{key: value for key, value in training.items() if key not in ("brain", "optimizer")},
                    "objective": self.hparams["objective"]["loss"],
                    "state": self.state,
                    "tensorboard": self.folder.curves,
                    "monitor_name": self.monitor,
                    "keep_best": bool(self.corpus.validation),
                },
                run_opts=self.options,
                checkpointer=AtomicCheckpointer(self.folder.checkpoints),
            )
        except (ValueError, SystemExit) as error:  # raised by SpeechBrain for run options
            raise UserError(" ".join(str(error).split())) from error
        brain.checkpointer.add_recoverable("model", brain.modules.model)
        brain.checkpointer.add_recoverable("run_state", self.state)
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
        monitored = self.dataset("validation" if self.corpus.validation else "evaluate")
        brain.fit(counter, self.dataset("train"), monitored)
        self.trained = brain.first_epoch is not None

    # -- evaluation

    def evaluate(self, brain):
        """Clips, predictions of the last epoch, and results of the best on the validation split if there is one."""
        dataset = self.dataset("evaluate")
        best = self.evaluate_best(brain, dataset) if self.corpus.validation else None
        return *brain.evaluate_clips(dataset), best

    def evaluate_best(self, brain, dataset):
        """Results of the epoch with the greatest validation accuracy."""
        clips, predictions = brain.evaluate_clips(dataset, max_key="accuracy")
        epoch = brain.checkpointer.find_checkpoint(max_key="accuracy").meta["epoch"]
        return {"epoch": epoch, **evaluate_predictions(predictions, clips, self.corpus.labels)}

    @property
    def hop_seconds(self):
        """Step between frames of the log-mel spectrogram (in seconds)."""
        return self.network.front_end.hop_length / self.network.front_end.sample_rate

    def times(self, clip):
        """(I, 2) start and end of a clip's instances (in seconds)."""
        return self.network.instance_times(int(self.cache.lengths[self.cache.row(clip.path)]))

    def summarise(self, clips, predictions, best):
        """The content of ``report.json``."""
        labels = self.corpus.labels
        times = [self.times(clip) for clip in clips]
        done, total = len(self.state.history), self.hparams["training"]["number_of_epochs"]
        if done < total and not self.options.debug:
            self.corpus.warnings.append(
                f"the training was stopped after {done} of {total} epochs: these results are not final"
            )
        if not self.options.debug:
            self.corpus.warnings += schedule_warnings(self.hparams["training"])
        self.corpus.warnings += loss_warnings(self.state.history)
        return {
            "experiment": self.hparams["experiment"],
            "dataset": self.hparams["data"]["name"],
            "labels": labels,
            "evaluation": evaluate_predictions(predictions, clips, labels),
            "evaluation_of_best_on_validation": best,
            "events": evaluate_events(predictions, clips, labels, times, self.corpus.events, self.hop_seconds),
            "history": self.state.history,
            "monitored_list": self.monitor,
            "notes": self.corpus.notes,
            "warnings": self.corpus.warnings,
            "bad_audio": self.bad_audio,
            "run": self.describe(),
            "decisions": decisions(predictions, clips, labels),
        }

    def describe(self):
        """How the results were produced: the ``run`` part of ``report.json``.

        ``data_folder`` is the absolute folder of the recordings. A run that is only evaluated again keeps the
        entries of its training, with ``evaluated_again`` added.
        """
        recordings = {
            "data_folder": os.path.abspath(self.corpus.folder),
            "clip_seconds": self.corpus.clip_seconds,
        }
        before = None if self.trained else self.folder.described_before()
        if before is not None:
            return before | recordings | {"evaluated_again": describe_evaluation(self.device)}
        described = describe_training(self.state.history, self.options, self.device)
        facts = {
            "seed": self.hparams["seed"],
            "train_clips": len(self.corpus.train),
            "parameters": sum(p.numel() for p in self.network.parameters() if p.requires_grad),
            "wall_seconds": time.perf_counter() - self.start,
        }
        return described | recordings | facts

    @torch.no_grad()
    def picture(self, clip):
        """What ``Example`` needs of a clip: log-mel, instance times, events, frame step (s), highest frequency (Hz)."""
        wav_1N = torch.from_numpy(np.array(self.cache.read_one(self.cache.row(clip.path)))).unsqueeze(0)
        front_end = self.network.spectrogram.to(self.device)
        logmel_FT = front_end(wav_1N.to(self.device))[0].cpu().numpy()
        events = self.corpus.events.get(clip.path, [])
        return (
            logmel_FT,
            self.times(clip),
            events,
            front_end.hop_length / front_end.sample_rate,
            front_end.sample_rate / 2,
        )
