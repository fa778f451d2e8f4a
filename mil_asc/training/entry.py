"""One training run, from command line to report. Every recipe's ``train.py`` ends up here."""

import mil_asc.runtime.compat

# isort: split
import dataclasses
import importlib.metadata
import logging
import platform
import sys
import time
from datetime import datetime, timezone

import numpy as np
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from tqdm import tqdm

import mil_asc
from mil_asc.errors import AudioError, UserError
from mil_asc.results.evaluation import (
    PREDICTIONS,
    decisions,
    evaluate_events,
    evaluate_predictions,
    write_predictions,
)
from mil_asc.results.metrics import instance_times
from mil_asc.results.report import choose_examples, write_report
from mil_asc.runtime import hardware
from mil_asc.runtime.allocator import keeps_pages
from mil_asc.store.batches import ClipDataset, place_waveforms
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.segments import cut_recordings
from mil_asc.training.checkpoints import AtomicCheckpointer, RunState
from mil_asc.training.config import HELP, load_hparams, parse_command_line
from mil_asc.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

TORCH_WRITES = ("inline_container", "iostream error")
"""What ``torch.save`` says when a file cannot be written: it raises no ``OSError``."""
PACKAGES = ("torch", "torchaudio", "speechbrain", "HyperPyYAML", "numpy", "soundfile", "soxr")


def main(arguments):
    """Train, evaluate and report as the command line says; returns the exit status.

    A ``UserError`` becomes one line on standard error and status 1, Ctrl-C one line and status 130.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return 0
    try:
        run(arguments)
    except UserError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)  # below a progress bar that is still there
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; the same command goes on from the last checkpoint, if there is one yet", file=sys.stderr)
        return 130
    return 0


def run(arguments):
    """As ``main``, but errors are raised and the content of ``report.json`` is returned."""
    path, options, overrides = parse_command_line(arguments)
    options = _with_device(options)
    hparams, settings = load_hparams(path, overrides)
    folder = RunFolder(hparams["output_folder"], debug=options.debug)
    try:
        folder.open(settings, training=not options.test_only)
        return TrainingRun(hparams, settings, options, folder).execute()
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from error
    except RuntimeError as error:
        if not any(place in str(error) for place in TORCH_WRITES):
            raise
        raise UserError(
            f"{folder.path}: a checkpoint cannot be written, most likely because the disk is full; "
            "make room and start again"
        ) from error
    finally:
        folder.close()


def _with_device(options):
    """The run options with device and precision settled."""
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch without CUDA
        raise UserError(f"--device={device}: no such device is to be had here; use --device=cpu") from error
    if torch.device(device).type == "cpu" and "fp16" in (options.precision, options.eval_precision):
        raise UserError("fp16 does not work on the CPU: use --precision=bf16 or fp32")
    chosen = {"device": device}
    if "precision" not in options.overridden_args:
        chosen["precision"] = hardware.best_precision(torch.device(device).type)
    return dataclasses.replace(options, **chosen, overridden_args=options.overridden_args | set(chosen))


def _now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class TrainingRun:
    """The steps of a run and what they share.

    Arguments
    ---------
    hparams : dict
        Built hyperparameters of a recipe's YAML file.
    settings : str
        The resolved YAML text they were built from.
    options : RunOptions
        Run options, device and precision among them.
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

    def execute(self):
        """Prepare, train, evaluate, report; returns the content of ``report.json``."""
        self.announce_machine()
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
        self.announce_results(results, page)
        return results

    # -- data

    def prepare(self):
        """Read the lists, decode every clip once, and deal with what cannot be used."""
        data = self.hparams["data"]
        corpus = data["corpus"]()
        if len(corpus.labels) != self.network.num_classes:
            raise UserError(
                f"the data has {len(corpus.labels)} classes, the model {self.network.num_classes}: "
                f"set --num_classes={len(corpus.labels)}"
            )
        self.folder.keep_lists(corpus, training=not self.options.test_only)
        corpus = corpus.hold_out(data["validation_fraction"], seed=self.hparams["seed"])
        if self.options.debug:
            corpus = corpus.head(self.options.debug_batches * self.hparams["training"]["batch_size"])
        for note in corpus.notes:
            logger.info("note: %s", note)
        for warning in corpus.warnings:
            logger.warning("WARNING: %s", warning)
        cache, self.bad_audio = self.decode(corpus, data)
        self.cache, self.corpus = cut_recordings(cache, corpus.without(self.bad_audio), self.network.min_samples)
        for name in ("train", "evaluate"):
            if not getattr(self.corpus, name):
                raise UserError(f"{corpus.folder}: no usable clip is left in the {name} list; mend the bad audio files")
        self.waveforms = place_waveforms(self.cache, self.device)
        logger.info("waveforms are read from %s", "the GPU" if self.waveforms is not self.cache else self.cache.store)

    def decode(self, corpus, data):
        """The waveform store of the corpus, and its bad files with reasons; stops at these unless told to skip them."""
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
                raise AudioError(f"{reasons[0]}{more}; mend the file(s), or leave them out with --on_bad_audio=skip")
            logger.warning("WARNING: %d bad audio file(s) left out: %s%s", len(reasons), reasons[0], more)
        return cache, bad

    def too_short(self, cache):
        """Clips that make no instance: path -> reason. The store holds them, for other models may use them."""
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
        except (ValueError, SystemExit) as error:  # how SpeechBrain refuses run options
            raise UserError(" ".join(str(error).split())) from error
        brain.checkpointer.add_recoverable("model", brain.modules.model)
        brain.checkpointer.add_recoverable("run_state", self.state)
        return brain

    def check_objective(self):
        """Refuse losses that are made for other confidences than the model's detector gives."""
        given = self.network.detector.confidence
        for name, term in self.hparams["objective"]["loss"].terms.items():
            if term.confidence not in (given, "any"):
                raise UserError(
                    f"the {name} loss ({type(term).__name__}) wants {term.confidence} confidences, "
                    f"the model has {given}: set --confidence={term.confidence}, or take another objective"
                )

    def train(self, brain):
        """Train until the last epoch, from the latest checkpoint if there is one."""
        counter = EpochCounter(self.hparams["training"]["number_of_epochs"])
        brain.checkpointer.add_recoverable("epoch_counter", counter)
        monitored = self.dataset("validation" if self.corpus.validation else "evaluate")
        brain.fit(counter, self.dataset("train"), monitored)
        self.trained = brain.first_epoch is not None

    # -- evaluation

    def evaluate(self, brain):
        """Clips, predictions of the last epoch, and figures of the best on the validation split if there is one."""
        dataset = self.dataset("evaluate")
        best = self.evaluate_best(brain, dataset) if self.corpus.validation else None
        return *brain.evaluate_clips(dataset), best

    def evaluate_best(self, brain, dataset):
        """Figures of the epoch with the greatest validation accuracy."""
        clips, predictions = brain.evaluate_clips(dataset, max_key="accuracy")
        epoch = brain.checkpointer.find_checkpoint(max_key="accuracy").meta["epoch"]
        return {"epoch": epoch, **evaluate_predictions(predictions, clips, self.corpus.labels)}

    @property
    def hop_seconds(self):
        """Step between frames of the log-mel spectrogram (in seconds)."""
        return self.network.front_end.hop_length / self.network.front_end.sample_rate

    def times(self, clip, count):
        """(I, 2) start and end of a clip's instances (in seconds)."""
        front_end, samples = self.network.front_end, int(self.cache.lengths[self.cache.row(clip.path)])
        return instance_times(
            count, samples, self.network.instance_samples, front_end.hop_length, front_end.sample_rate
        )

    def summarise(self, clips, predictions, best):
        """The content of ``report.json``."""
        labels, logits = self.corpus.labels, predictions.logits
        times = [self.times(clip, len(z)) for clip, z in zip(clips, logits)]
        done, total = len(self.state.history), self.hparams["training"]["number_of_epochs"]
        if done < total and not self.options.debug:
            self.corpus.warnings.append(
                f"the training was stopped after {done} of {total} epochs: these figures are not its last"
            )
        return {
            "experiment": self.hparams["experiment"],
            "dataset": self.hparams["data"]["name"],
            "labels": labels,
            "evaluation": evaluate_predictions(predictions, clips, labels),
            "evaluation_of_best_on_validation": best,
            "events": evaluate_events(logits, clips, labels, times, self.corpus.events, self.hop_seconds),
            "history": self.state.history,
            "monitored_list": self.monitor,
            "notes": self.corpus.notes,
            "warnings": self.corpus.warnings,
            "bad_audio": self.bad_audio,
            "run": self.describe(),
            "decisions": decisions(predictions, clips, labels),
        }

    def describe(self):
        """What made the figures: seed, versions, machine, speed and memory.

        A run that is only evaluated again keeps what its training said, with ``evaluated_again`` behind it.
        """
        before = None if self.trained else self.folder.described_before()
        if before is not None:
            again = {"finished": _now(), "device": hardware.describe(self.device), "mil_asc": mil_asc.__version__}
            return before | {"evaluated_again": again}
        trained = sum(record["seconds"] for record in self.state.history)
        clips = sum(record["seconds"] * record["clips_per_second"] for record in self.state.history)
        return {
            "finished": _now(),
            "seed": self.hparams["seed"],
            "epochs": len(self.state.history),
            "debug": self.options.debug,
            "train_clips": len(self.corpus.train),
            "parameters": sum(p.numel() for p in self.network.parameters() if p.requires_grad),
            "device": hardware.describe(self.device),
            "precision": self.options.precision,
            "run_options": {name: getattr(self.options, name) for name in sorted(self.options.overridden_args)},
            "allocator_keeps_pages": keeps_pages(),
            "wall_seconds": time.perf_counter() - self.start,
            "train_seconds": trained,
            "train_clips_per_second": clips / trained if trained else None,
            "peak_memory_bytes": hardware.peak_memory(self.device),
            "versions": {
                "mil_asc": mil_asc.__version__,
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in PACKAGES},
            },
        }

    @torch.no_grad()
    def picture(self, clip, count):
        """What ``Example`` asks of a clip: log-mel, instance times, events, frame step (s), highest frequency (Hz)."""
        wav_1N = torch.from_numpy(np.array(self.cache.read_one(self.cache.row(clip.path)))).unsqueeze(0)
        front_end = self.network.front_end
        logmel_FT = front_end(wav_1N.to(self.device))[0].cpu().numpy()
        events = self.corpus.events.get(clip.path, [])
        return logmel_FT, self.times(clip, count), events, self.hop_seconds, front_end.sample_rate / 2

    # -- messages

    def announce_machine(self):
        """Say which device and settings were chosen."""
        pages = "kept" if keeps_pages() else "given back to the system"
        logger.info(
            "%s; precision %s, channels_last, %s; results in %s",
            hardware.describe(self.device),
            self.options.precision,
            "TF32 convolutions" if self.device.type == "cuda" else f"allocator pages {pages}",
            self.folder.path,
        )

    def announce_results(self, results, page):
        """Print the scores and where the report is."""
        found = results["evaluation"]
        run = f"{results['dataset']} {results['experiment']}, seed {results['run']['seed']}"
        print(f"{run}: {found['clips']} evaluated clips")
        for name in ("smi", "cmi", "bag"):
            if name in found:
                scores = found[name]
                print(f"  {name.upper()}  accuracy {scores['accuracy']:.3f}  class-wise {scores['macro_accuracy']:.3f}")
        print(f"  log loss {found['log_loss']:.3f}")
        print(
            f"  positive instances {found['underestimation']['positive_share']:.3f}"
            f"  mean confidence of the true class {found['underestimation']['mean_confidence']:.3f}"
        )
        if results["events"]:
            print(
                "  events found: average precision {average_precision:.3f} (chance {chance:.3f})".format(
                    **results["events"]
                )
            )
        print(f"  report: {page}")
