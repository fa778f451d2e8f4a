"""Evaluate a trained run on other data: the run stays as it is, the report goes to a folder of its own.

    python tools/evaluate.py RUN --data_folder DIR --output_folder OUT

DIR is a folder in the official layout (its evaluation set), a folder of class sub-folders (all of it, or its
evaluate/ if it has train/ and evaluate/), or a folder of manifests (test.json). Its classes must be classes of the
model. --KEY=VALUE are options of the reader: classes, clip_seconds, groups, evaluate_groups, evaluate_fraction and
split_seed of class folders, fold of the official layout, data_root of manifests.
"""

import argparse
import contextlib
import logging
import os
import sys
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from mil_asc.corpora.data_layout import check_apart
from mil_asc.corpora.evaluation_set import CHOICES, OPTIONS, read_evaluation_set
from mil_asc.corpora.json_manifests import read_manifest
from mil_asc.errors import ArgumentError, UserError
from mil_asc.results.predictions import Predictions
from mil_asc.results.run import CHECKPOINTS, LISTS, LOCK, LOG, MANIFESTS, MODEL_WEIGHTS, REPORT, SETTINGS, Run
from mil_asc.results.trained_model import load_model
from mil_asc.runtime import hardware
from mil_asc.runtime.key_value import check_encodable, read_word
from mil_asc.training.console import announce_corpus, start_log
from mil_asc.training.environment import describe_evaluation
from mil_asc.training.outcome import Outcome
from mil_asc.training.run_data import ON_BAD_AUDIO, decode_clips, place_clips

NO_FLOOR = (
    "no floor: it is trained on the training set that belongs to an evaluation set, and here nothing is trained; "
    "the report of the training run has one"
)
READER_OPTIONS = sorted({name for names in OPTIONS.values() for name in names})


def main(arguments=None):
    """Evaluate as given on the command line; returns the exit status."""
    try:
        options, reader_options = parse_arguments(arguments)
        with hardware.memory_errors("evaluate on a machine with more, or on shorter recordings"):
            evaluate_run(**vars(options), reader_options=reader_options)
    except (UserError, ArgumentError) as error:
        tqdm.write(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        tqdm.write(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; the same command starts again", file=sys.stderr)
        return 130
    return 0


def parse_arguments(arguments):
    """The options of the evaluation, and those of the reader by name."""
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="output folder of a trained run")
    add("--data_folder", type=Path, required=True, metavar="DIR", help="the data to evaluate on")
    add("--output_folder", type=Path, required=True, metavar="OUT", help="where the report goes")
    add("--name", help="name of the data in the report (default: that of DIR)")
    add("--clips", choices=CHOICES, default="evaluate", help="clips of data that have lists (default evaluate)")
    add("--cache_folder", type=Path, metavar="DIR", help="decoded clips (default: waveforms beside OUT)")
    add("--on_bad_audio", choices=ON_BAD_AUDIO, default="stop", help="what to do with bad files (default stop)")
    add("--device", help="such as cuda or cpu (default: the GPU if there is one)")
    add("--noprogressbar", action="store_true", help="show no progress bars")
    arguments = sys.argv[1:] if arguments is None else arguments
    for word in arguments:
        check_encodable(word)
    options, words = parser.parse_known_args(arguments)
    return options, dict(map(_reader_option, words))


def _reader_option(word):
    usage = f"options of readers are --KEY=VALUE with {', '.join(READER_OPTIONS)}"
    key, value = read_word(word, usage)
    if key not in READER_OPTIONS:
        raise UserError(f"{word} is not understood: {usage}")
    return key, value


def evaluate_run(
    run,
    data_folder,
    output_folder,
    name=None,
    clips="evaluate",
    cache_folder=None,
    on_bad_audio="stop",
    device=None,
    noprogressbar=False,
    reader_options=None,
):
    """Evaluate the trained model of a run on other data.

    Arguments
    ---------
    run : Path
        Output folder of the trained run; nothing is written there.
    data_folder : Path
        The data, in a layout that ``mil_asc.corpora.evaluation_set`` recognises.
    output_folder : Path
        Where the report, the predictions and the log go.
    name : str, optional
        Name of the data in the report; by default that of the folder.
    clips : str
        Which clips of data that have lists: ``evaluate``, ``train`` or ``all``.
    cache_folder : Path, optional
        Where waveform stores are; by default ``waveforms`` beside ``output_folder``.
    on_bad_audio : str
        ``stop`` or ``skip``.
    device : str, optional
        By default the GPU if there is one.
    noprogressbar : bool
        Whether to hide progress bars.
    reader_options : dict, optional
        Options of the data's reader.

    Returns
    -------
    dict
        The content of ``report.json``.

    Raises
    ------
    UserError
        The run is damaged, the data do not fit the model, or the output folder has something else in it.
    """
    device = hardware.find_device(device)
    hardware.tune(device.type)
    trained, model = Run(run), load_model(run)
    described = trained.provenance
    if described.get("weights_sha256", model.checksum) != model.checksum:
        raise UserError(f"{run}: {MODEL_WEIGHTS} is not the model of {REPORT}: give the training command again")
    corpus = read_evaluation_set(data_folder, model.labels, reader_options or {}, clips)
    source = {
        "folder": str(run.resolve()),
        "weights_sha256": model.checksum,
        "dataset": trained.dataset,
        "data_folder": described["data_folder"],
    }
    check_apart("output_folder", output_folder, data_folder)
    if cache_folder is not None:
        check_apart("cache_folder", cache_folder, data_folder)
    recordings = {"data_folder": os.path.abspath(corpus.folder), "clip_seconds": corpus.clip_seconds}
    with _opened(output_folder, run, source, recordings):
        corpus, store, bad = decode_clips(
            corpus, cache_folder or output_folder.parent / "waveforms", on_bad_audio, model.network, not noprogressbar
        )
        if not corpus.evaluate:
            raise UserError(f"{data_folder}: no usable clip is left to evaluate; fix the bad audio files")
        corpus.warnings = [*corpus.warnings, *_trained_on(run, corpus)]
        corpus.notes = [*corpus.notes, NO_FLOOR]
        if trained.debug:
            corpus.warnings.append(f"{run} is a debug run, whose results mean nothing")
        announce_corpus(corpus)
        data = place_clips(corpus, store, bad, model.network, device)
        network, batch_size = model.network.to(device), _batch_size(trained)
        predictions = predict(network, data.dataset("evaluate"), batch_size, device, not noprogressbar)
        outcome = Outcome(data.corpus.evaluate, predictions, data, network, _training_clips(run))
        results = {
            "experiment": trained.experiment,
            "dataset": name or data_folder.resolve().name,
            "model": source,
            "evaluation_of_best_on_validation": None,
            "history": [],
            "monitored_list": "evaluation",
            "floor": None,
            "run": described | recordings | {"evaluated_again": describe_evaluation(device)},
            **outcome.results(),
        }
        outcome.write(output_folder, results, device)
    return results


@torch.no_grad()
def predict(network, dataset, batch_size, device, progress=True):
    """``Predictions`` of a ``ClipDataset`` by a network, in batches of clips in the order of their lengths."""
    order, found = dataset.order_by_length(), {}
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    for batch in tqdm(batches, desc="evaluation", unit="batch", leave=False, disable=not progress):
        clips = dataset.__getitems__(batch).to(device)
        bags = network(clips.waveforms(), clips.length_B)
        logits_BIC, bag_logits_BC = bags.logits_BIC.float().cpu().numpy(), bags.bag_logits_BC.float().cpu().numpy()
        for row, (position, count) in enumerate(zip(batch, bags.mask_BI.sum(1).tolist())):
            found[position] = logits_BIC[row, :count], bag_logits_BC[row]
            if not all(np.isfinite(part).all() for part in found[position]):
                raise UserError(
                    f"{dataset.clips[position].path}: the model's scores are not finite, so it has no class"
                )
    logits, bag_logits = zip(*(found[position] for position in sorted(found)))
    return Predictions.of_clips(logits, bag_logits, network.decision)


def _batch_size(run):
    """The run's batch size, with which its own evaluation set gives the same scores bit for bit."""
    size = run.setting("batch_size")
    if not isinstance(size, int) or size < 1:
        raise UserError(f"{run.folder / SETTINGS} is damaged: it has no training.batch_size")
    return size


def _training_clips(run):
    """The clips that the run's model was trained on, none if that cannot be known."""
    folder = run / MANIFESTS
    return read_manifest(folder, ["train"]).evaluate if folder.is_dir() else []


def _trained_on(run, corpus):
    """A warning if clips of the evaluation set were trained on, or if that cannot be known."""
    folder = run / MANIFESTS
    if not folder.is_dir():
        return [f"whether the model was trained on these clips is unknown, because {folder} is missing"]
    trained = read_manifest(folder, ["train", "validation"])
    files = {os.path.realpath(trained.folder / clip.path) for clip in trained.evaluate}
    both = sum(os.path.realpath(corpus.folder / clip.path) in files for clip in corpus.evaluate)
    if both:
        return [f"the model was trained on {both} of these {len(corpus.evaluate)} recordings: the scores are too high"]
    names = {(clip.path, clip.label) for clip in trained.evaluate}
    alike = sum((clip.path, clip.label) in names for clip in corpus.evaluate)
    if alike:
        return [
            f"{alike} of these {len(corpus.evaluate)} recordings have the path and the class of one that the model was "
            "trained on: if they are copies, the scores are too high"
        ]
    return []


@contextlib.contextmanager
def _opened(folder, run, source, recordings):
    """Create and lock the output folder and log to it; refuse one that has anything but the same evaluation in it."""
    _check_output(folder, run, source, recordings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=0):
            handlers = start_log(folder / LOG)
            try:
                yield
            finally:
                for handler in handlers:
                    logging.getLogger().removeHandler(handler)
                    handler.close()
    except Timeout as error:
        raise UserError(f"{folder} is in use by another evaluation; wait for it or give another one") from error


def _check_output(folder, run, source, recordings):
    place, other = folder.resolve(), "give another --output_folder"
    if place.is_relative_to(run.resolve()):
        raise UserError(f"{folder} is in the folder of the trained run, which stays as it is: {other}")
    there = [part for part in (SETTINGS, LISTS, MODEL_WEIGHTS, CHECKPOINTS) if (folder / part).exists()]
    if there:
        raise UserError(f"{folder} holds a training run ({there[0]}): {other}")
    if not (folder / REPORT).is_file():
        return
    before = Run(folder)
    now = {"weights_sha256": source["weights_sha256"], "data_folder": recordings["data_folder"]}
    model = before.report["model"] if before.trained_on else {}
    if {"weights_sha256": model.get("weights_sha256"), "data_folder": str(before.data_folder)} != now:
        raise UserError(f"{folder} holds the report of another model or of other data: {other}")
