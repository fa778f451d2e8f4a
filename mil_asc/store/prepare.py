"""Preparation of a data set by one command: the manifests, and the waveform store if asked for.

Every ``recipes/<SET>/<set>_prepare.py`` calls ``main`` with the data block of its set:

    python tau2019_prepare.py DATA_FOLDER SAVE_FOLDER [--valid_fraction 0.1] [--waveforms] [--KEY=VALUE ...]

The reader that the block names finds the lists (and makes the set first, where it is made by code). ``KEY`` is a key
of the block, such as ``on_bad_audio`` or ``cache_folder``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml

from mil_asc.checks import check_count, check_text
from mil_asc.corpora.bad_files import describe_bad, missing_files
from mil_asc.corpora.data_layout import check_apart
from mil_asc.corpora.group_folds import read_lists
from mil_asc.corpora.json_manifests import Written, measure_durations, write_manifests
from mil_asc.corpora.leave_out import leave_out
from mil_asc.corpora.manifest import Corpus
from mil_asc.errors import UserError, printable
from mil_asc.runtime.key_value import check_no_reference, read_word
from mil_asc.runtime.program import run_program
from mil_asc.runtime.remote_files import refuse_url
from mil_asc.store.build import prepare_waveforms

SET_BY_ARGUMENTS = ("name", "data_folder", "manifests", "corpus", "validation_fraction")
"""Keys of a data block that are no options here."""


def main(block: str | os.PathLike, arguments: Sequence[str] | None = None) -> None:
    """Prepare a set as the command line says, and exit with its status; an error is one line and status 1.

    Arguments
    ---------
    block : str or Path
        The set's file in ``hparams/data/``.
    arguments : sequence of str, optional
        The command line, by default that of the process.
    """
    options, words = parse_arguments(arguments)
    sys.exit(run_program(lambda: _prepare_as_told(block, options, words)))


def _prepare_as_told(block, options, words) -> int:
    """Prepare a set as the command line says; returns the exit status."""
    try:
        refuse_url("DATA_FOLDER", options.data_folder)
        data = read_block(block, options.data_folder, words)
        check_apart("SAVE_FOLDER", options.save_folder, options.data_folder)
        if options.waveforms:
            check_text("cache_folder", data["cache_folder"])
            check_apart("cache_folder", data["cache_folder"], options.data_folder)
        prepare(data, options.save_folder, options.valid_fraction, options.seed, options.sample_rate, options.waveforms)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The options of every set, and the words that are left for its data block."""
    parser = argparse.ArgumentParser(
        description="Write train.json, valid.json and test.json of a data set, in SpeechBrain's form.",
        epilog="--KEY=VALUE sets any other key of the set's file in hparams/data/, as for train.py.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data_folder", metavar="DATA_FOLDER", help="the set, as train.py takes it with --data_folder")
    add("save_folder", metavar="SAVE_FOLDER", help="where the manifests go")
    add("--valid_fraction", type=float, default=0.1, help="share of the training locations in valid.json (0.1)")
    add("--seed", type=int, default=1, help="seed of the choice of these locations (1)")
    add("--waveforms", action="store_true", help="also decode every clip into the waveform store, below cache_folder")
    add("--sample_rate", type=int, default=16000, help="rate of the waveform store in Hz (16000)")
    return parser.parse_known_args(arguments)


def read_block(block: str | os.PathLike, data_folder: str, words: Sequence[str]) -> dict:
    """Build a set's data block with ``data_folder`` and the ``--KEY=VALUE`` words put in.

    Returns
    -------
    dict
        The block's values; ``corpus`` is the reader, called without arguments.

    Raises
    ------
    UserError
        A word that is no ``--KEY=VALUE``, or a key that is not in the block.
    """
    text = Path(block).read_text(encoding="utf-8")
    legal = [key for key in load_hyperpyyaml(text) if key not in SET_BY_ARGUMENTS]
    overrides = {"data_folder": data_folder}
    for word in words:
        key, value = read_word(word, f"give --KEY=VALUE with one of {', '.join(legal)}")
        if key not in legal:
            near = get_close_matches(key, legal, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"--{key} matches no key; {hint}legal: {', '.join(legal)}")
        if isinstance(value, dict):  # it would be merged into the block's value
            raise UserError(f"{word}: the value must not be a mapping")
        check_no_reference(f"--{key}", value)
        overrides[key] = value
    check_no_reference("DATA_FOLDER", data_folder)
    return load_hyperpyyaml(text, overrides)


def prepare(
    data: dict,
    save_folder: str | os.PathLike,
    valid_fraction: float = 0.1,
    seed: int = 1,
    sample_rate: int = 16000,
    waveforms: bool = False,
) -> Written:
    """Write the manifests of a set, and print what they hold.

    Arguments
    ---------
    data : dict
        A built data block: ``corpus``, ``folds``, ``fold``, ``split_seed``, ``on_bad_audio`` and ``cache_folder`` are
        used.
    save_folder : str or Path
        Where the manifests go.
    valid_fraction : float
        Share of each class's training locations that are held out for ``valid.json``, from 0 to below 1.
    seed : int
        Of the choice of these locations.
    sample_rate : int
        Rate of the waveform store (in Hz).
    waveforms : bool
        Whether to build the waveform store too; it is the one that ``train.py`` reads later.

    Returns
    -------
    Written

    Raises
    ------
    UserError
        What the reader raises; a fraction out of range; an unusable recording, unless ``on_bad_audio`` is ``skip``.
    """
    if not 0 <= valid_fraction < 1:
        raise UserError(f"--valid_fraction must be at least 0 and below 1, got {valid_fraction}")
    if data["on_bad_audio"] not in ("stop", "skip"):
        raise UserError(f"on_bad_audio must be stop or skip, got {data['on_bad_audio']!r}")
    check_count("--seed", seed, least=0)
    check_count("--sample_rate", sample_rate, least=1)
    corpus = read_lists(data)
    store = _build_store(corpus, data["cache_folder"], sample_rate) if waveforms else None
    durations, bad = measure_durations(corpus)
    corpus = _without_bad_audio(corpus, {**bad, **(store.bad if store else {})}, data["on_bad_audio"])
    corpus = corpus.hold_out(valid_fraction, seed)
    written = write_manifests(corpus, save_folder, durations)
    for line in [*corpus.notes, *(f"WARNING: {warning}" for warning in corpus.warnings)]:
        print(printable(line))
    for name, count in written.clips.items():
        print(f"{Path(save_folder) / name}: {count} clips, {written.seconds[name] / 3600:.2f} h")
    print("manifests written" if written.changed else "the manifests were there already")
    return written


def _build_store(corpus: Corpus, cache_folder: str, sample_rate: int):
    missing = missing_files(corpus)
    paths = [clip.path for clip in corpus.clips if clip.path not in missing]
    store = prepare_waveforms(corpus.folder, paths, cache_folder, sample_rate)
    print(f"{store.folder}: waveforms of {len(store)} clips, {sample_rate} Hz")
    return store


def _without_bad_audio(corpus: Corpus, bad: dict[str, str], on_bad_audio: str) -> Corpus:
    """The corpus without the clips that cannot be used; the first is named where they are not to be skipped."""
    if not bad:
        return corpus
    described = describe_bad(corpus.folder, bad)
    if on_bad_audio == "stop":
        raise UserError(f"{described}; fix them, or leave them out with --on_bad_audio=skip")
    corpus = leave_out(corpus, bad)
    corpus.notes = [*corpus.notes, f"left out: {described}"]
    return corpus
