"""Folders in the official layout of the TAU Urban Acoustic Scenes development sets.

``meta.csv`` (tab-separated: filename, scene_label, identifier, source_label), the lists of fold 1 under
``evaluation_setup/``, and ``audio/scene-city-location-segment-device.wav``.
"""

import csv
from pathlib import Path

from mil_asc.data.manifest import Clip, Corpus, check_label, inspect_lists
from mil_asc.errors import UserError

SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)


def read_dcase_folder(folder, labels=SCENES, fold=1, expected=None):
    """Read the manifest of a data set in the official layout.

    Arguments
    ---------
    folder : str or Path
        The folder that holds ``meta.csv``.
    labels : sequence of str
        The legal classes, in the order of the model's outputs.
    fold : int
        Which lists of ``evaluation_setup`` to read.
    expected : dict, optional
        Official number of clips of ``train`` and ``evaluate``; another number is noted, not refused.

    Returns
    -------
    Corpus

    Raises
    ------
    UserError
        A missing folder, file or column, or a class outside ``labels``, with file and line.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_folder {folder} is not a folder; give the one that holds meta.csv: --data_folder=DIR")
    labels = list(labels)
    meta = {row["filename"]: row for _, row in _rows(folder / "meta.csv", "filename", "identifier", "source_label")}
    lists = {
        name: _read_list(folder / "evaluation_setup" / f"fold{fold}_{name}.csv", meta, labels)
        for name in ("train", "evaluate")
    }
    return inspect_lists(Corpus(folder=folder, labels=labels, **lists), expected)


def _read_list(path, meta, labels):
    clips = {}
    for line, row in _rows(path, "filename", "scene_label"):
        name, label = row["filename"], row["scene_label"]
        check_label(label, labels, f"{path}, line {line}")
        if name not in meta:
            raise UserError(f"{path}, line {line}: {name} is not listed in meta.csv")
        if name in clips and clips[name].label != label:
            raise UserError(f"{path}, line {line}: {name} is {label} here and {clips[name].label} further up")
        identifier = meta[name]["identifier"]
        city = identifier.rpartition("-")[0] or identifier
        clips[name] = Clip(name, label, city, identifier, meta[name]["source_label"])
    return list(clips.values())


def _rows(path, *columns):
    """(line number, row) of every line of a tab-separated file that must have ``columns``."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing: the data folder must have the official layout (meta.csv, evaluation_setup/, audio/)"
        )
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise UserError(
                    f"{path}, line 1: no column {missing[0]!r}; "
                    f"a tab-separated header with {', '.join(columns)} is needed"
                )
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise UserError(f"{path} is no tab-separated text: {error}") from error
    for line, row in rows:
        if any(not row[column] for column in columns):
            raise UserError(
                f"{path}, line {line}: {len(columns)} tab-separated values are needed ({', '.join(columns)})"
            )
    return rows
