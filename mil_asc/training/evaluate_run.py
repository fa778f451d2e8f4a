"""Evaluate a trained model on other data: the model stays as it is, the report goes to a folder of its own.

    python tools/evaluate.py MODEL --data_folder DIR --output_folder OUT

MODEL is the output folder of a trained run, or a model folder.

DIR is a folder in the official layout (its evaluation set), ESC-50, a folder of class sub-folders (all of it, or its
evaluate/ if it has train/ and evaluate/), or a folder of manifests (test.json). Its classes must be classes of the
model. --KEY=VALUE are options of the reader: classes, clip_seconds, groups, evaluate_groups, evaluate_fraction and
split_seed of class folders, fold of the official layout, evaluate_fold and subset of ESC-50, data_root of manifests.
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
from mil_asc.errors import ArgumentError, UserError
from mil_asc.results.predictions import Predictions
from mil_asc.results.run import CHECKPOINTS, LISTS, LOCK, LOG, MODEL_WEIGHTS, REPORT, SETTINGS, Run
from mil_asc.runtime import hardware
from mil_asc.runtime.key_value import check_encodable, read_word
from mil_asc.training.console import announce_corpus, start_log
from mil_asc.training.environment import describe_evaluation
from mil_asc.training.evaluated_model import open_run
from mil_asc.training.outcome import Outcome
from mil_asc.training.run_data import ON_BAD_AUDIO, decode_clips, place_clips
from mil_asc.training.seen_clips import seen_warnings

NO_FLOOR = (
    "no floor: it is trained on the training set that belongs to an evaluation set, and here nothing is trained; "
    "the report of the training run has one"
)
READER_OPTIONS = sorted({name for names in OPTIONS.values() for name in names})


def main(arguments=None, open_model=open_run):
    """Evaluate as given on the command line; returns the exit status. ``open_model`` opens the folder of the model."""
    try:
        options, reader_options = parse_arguments(arguments)
        evaluate_run(**vars(options), reader_options=reader_options, open_model=open_model)
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
    add("run", type=Path, metavar="MODEL", help="output folder of a trained run, or a model folder")
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
    return options, read_reader_options(words)


def read_reader_options(words):
    """Options of the data's reader by name, of words ``--KEY=VALUE``; a ``UserError`` for any other word."""
    return dict(map(_reader_option, words))


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
    open_model=open_run,
):
    """Evaluate a trained model on other data.

    Arguments
    ---------
    run : Path
        Folder of the model, as ``open_model`` takes it; nothing is written there.
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
    open_model : callable
        Makes an ``EvaluatedModel`` of the folder; by default, the folder is that of a run.

    Returns
    -------
    dict
        The content of ``report.json``.

    Raises
    ------
    UserError
        The model is damaged, the data do not fit the model, or the output folder has something else in it.
    """
    with hardware.memory_errors("evaluate on a machine with more, or on shorter recordings"):
        device = hardware.find_device(device)
        hardware.tune(device.type)
        model = open_model(run)
        corpus = read_evaluation_set(data_folder, model.labels, reader_options or {}, clips)
        check_apart("output_folder", output_folder, data_folder)
        if cache_folder is not None:
            check_apart("cache_folder", cache_folder, data_folder)
        recordings = {"data_folder": os.path.abspath(corpus.folder), "clip_seconds": corpus.clip_seconds}
        with _opened(output_folder, run, model.source, recordings):
            corpus, store, bad = decode_clips(
                corpus,
                cache_folder or output_folder.parent / "waveforms",
                on_bad_audio,
                model.network,
                not noprogressbar,
            )
            if not corpus.evaluate:
                raise UserError(f"{data_folder}: no usable clip is left to evaluate; fix the bad audio files")
            corpus.warnings = [*corpus.warnings, *seen_warnings(model.folder, corpus), *model.warnings]
            corpus.notes = [*corpus.notes, NO_FLOOR]
            announce_corpus(corpus)
            data = place_clips(corpus, store, bad, model.network, device)
            network = model.network.to(device)
            predictions = predict(network, data.dataset("evaluate"), model.batch_size, device, not noprogressbar)
            outcome = Outcome(data.corpus.evaluate, predictions, data, network, model.training_clips)
            results = {
                "experiment": model.experiment,
                "dataset": name or data_folder.resolve().name,
                "model": model.source,
                "evaluation_of_best_on_validation": None,
                "history": [],
                "monitored_list": "evaluation",
                "floor": None,
                "run": model.described | recordings | {"evaluated_again": describe_evaluation(device)},
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
    place, other = folder.resolve(), "give another folder for the output"
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
