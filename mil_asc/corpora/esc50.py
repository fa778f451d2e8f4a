"""ESC-50: 2,000 clips of 50 sounds in five official folds, or its subset ESC-10.

K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015. ``meta/esc50.csv`` (comma,
header filename, fold, target, category, esc10, src_file, take) and the clips under ``audio/``.
The location of a clip is its recording (``src_file``) in its fold, over which intervals are drawn.
"""

import re
from pathlib import Path

from mil_asc.checks import check_choice, check_count
from mil_asc.corpora.delimited import normal_path, read_rows
from mil_asc.corpora.manifest import ANYWHERE, Clip, Corpus, inspect_lists
from mil_asc.errors import UserError, name_some

META = "meta/esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")
SUBSETS = {"esc50": 50, "esc10": 10}
"""Subset -> number of its classes."""
FOLDS, SECONDS = 5, 5.0
NAME = re.compile(r"(?P<fold>[1-5])-[0-9]+-[A-Z]-(?P<target>[0-9]{1,2})\.[^.]+")


def read_esc50(folder, subset="esc50", evaluate_fold=1):
    """Read the lists of ESC-50: one official fold is the evaluation set, the others that are there the training set.

    Arguments
    ---------
    folder : str or Path
        The folder that holds ``meta/`` and ``audio/``, as the archive unpacks. Some of the folds may be missing.
    subset : str
        ``esc50``, or ``esc10`` for the ten classes of ESC-10.
    evaluate_fold : int
        Official fold to evaluate on, from 1 to 5.

    Returns
    -------
    Corpus
        Its classes have the order of the column ``target``; warnings name recordings that are in two folds, and files
        whose names state another fold or class than the table.

    Raises
    ------
    ArgumentError
        ``subset`` or ``evaluate_fold`` is not legal.
    UserError
        A missing folder, file or column, a value that is not legal, a class with two numbers, a fold without clips:
        with file and line.
    """
    check_choice("subset", subset, SUBSETS)
    check_count("evaluate_fold", evaluate_fold)
    folder = Path(folder)
    meta = folder / META
    if not meta.is_file():
        raise UserError(f"data_folder {folder}: there is no {META}; give the folder that holds it: --data_folder=DIR")
    rows = [row for row in _rows(meta) if subset == "esc50" or row["esc10"].upper() == "TRUE"]
    labels, clips = _labels(meta, rows), {}
    for row in rows:
        clips.setdefault(row["fold"], []).append(row["clip"])
    if evaluate_fold not in clips or len(clips) < 2:
        there = ", ".join(map(str, sorted(clips))) or "none"
        raise UserError(f"{meta}: fold {evaluate_fold} and one more are needed; there are clips of the folds: {there}")
    train = [clip for fold in sorted(clips) if fold != evaluate_fold for clip in clips[fold]]
    official = {clip.location: f"fold-{fold}" for fold, own in clips.items() for clip in own}
    lists = {"train": train, "evaluate": clips[evaluate_fold]}
    corpus = inspect_lists(
        Corpus(folder=folder, labels=labels, official_folds=official, official_seconds=SECONDS, **lists)
    )
    corpus.notes += _missing_folds(clips)
    corpus.warnings += [*_split_recordings(rows), *_other_names(rows)]
    return corpus


def _rows(meta):
    """Rows of the table with numbers in place of text, and the ``Clip`` of each."""
    found, paths = [], set()
    for line, row in read_rows(meta, *COLUMNS, delimiter=","):
        where = f"{meta}, line {line}"
        path = normal_path(f"audio/{row['filename']}", where)
        row["fold"], row["target"] = _whole(row, "fold", where, 1, FOLDS), _whole(row, "target", where, 0, 49)
        if row["esc10"].upper() not in ("TRUE", "FALSE"):  # the archive has True and False, spreadsheets write capitals
            raise UserError(f"{where}: esc10 must be True or False, got {row['esc10']!r:.80}")
        if path in paths:
            raise UserError(f"{where}: {row['filename']} is there twice")
        paths.add(path)
        row["clip"] = Clip(path, row["category"], ANYWHERE, f"fold-{row['fold']}/{row['src_file']}", ANYWHERE)
        found.append(row)
    return found


def _whole(row, name, where, least, most):
    text = row[name]
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UserError(f"{where}: {name} must be a whole number from {least} to {most}, got {text!r:.80}")
    return int(text)


def _labels(meta, rows):
    """Classes in the order of their official numbers."""
    number_of = {}
    for row in rows:
        if number_of.setdefault(row["category"], row["target"]) != row["target"]:
            raise UserError(
                f"{meta}: the class {row['category']} has two numbers: {number_of[row['category']]} and {row['target']}"
            )
    if len(set(number_of.values())) < len(number_of):
        raise UserError(f"{meta}: two classes have the same number")
    return sorted(number_of, key=number_of.get)


def _missing_folds(clips):
    missing = [str(fold) for fold in range(1, FOLDS + 1) if fold not in clips]
    words = "these scores are not comparable with published ones, which are means over all five"
    return [f"no clips of the official fold(s) {', '.join(missing)}: {words}"] if missing else []


def _other_names(rows):
    """A warning about names, FOLD-CLIP-TAKE-TARGET in the archive, that state something else than the table."""
    found = []
    for row in rows:
        stated = NAME.fullmatch(row["filename"])
        if stated and (int(stated["fold"]), int(stated["target"])) != (row["fold"], row["target"]):
            found.append(f"{row['filename']} (fold {row['fold']}, target {row['target']})")
    words = f"file(s) have a name of another fold or class than {META} states"
    return [f"{len(found)} {words}: {name_some(found, 3)}"] if found else []


def _split_recordings(rows):
    folds = {}
    for row in rows:
        folds.setdefault(row["src_file"], set()).add(row["fold"])
    split = sorted(name for name, there in folds.items() if len(there) > 1)
    return [f"{len(split)} recording(s) have clips in two folds, {split[0]} for one"] if split else []
