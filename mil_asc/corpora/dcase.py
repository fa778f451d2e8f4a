"""Folders in the official layout of the TUT and TAU Urban Acoustic Scenes development sets.

``meta.csv`` (tab-separated, header filename, scene_label, identifier, source_label), the lists of fold 1 under
``evaluation_setup/`` (``fold1_train.csv`` with the header filename, scene_label; in the sets of 2018
``fold1_train.txt`` without a header), and ``audio/scene-city-location-segment-device.wav``. In the set of 2022 clips
last a second and their names have an index of 0 to 9 before the device. The subsets of DCASE 2024 are lists of its
training clips, ``split5.csv`` to ``split100.csv`` (tab-separated, column filename).
"""

import sys
from itertools import chain
from pathlib import Path

from mil_asc.checks import check_count, check_names, check_number
from mil_asc.corpora.data_layout import official_folder_near
from mil_asc.corpora.delimited import normal_path, read_rows
from mil_asc.corpora.manifest import Clip, Corpus, alike, check_label, inspect_lists, never_trained_on
from mil_asc.errors import ArgumentError, UserError, name_some

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


SUBSETS = (5, 10, 25, 50, 100)
"""Shares of the training set of 2022, in percent, of which DCASE 2024 published lists."""


def read_dcase_folder(folder, labels=SCENES, fold=1, expected=None, subset=0, subset_folder="", official_seconds=0.0):
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
    subset : int
        Train on the clips of ``split<subset>.csv`` only: one of ``SUBSETS`` (in percent), or 0 for all of the training
        set. The evaluation set stays.
    subset_folder : str or Path
        The folder of these lists; by default ``evaluation_setup/``.
    official_seconds : float
        Length of the clips (in seconds); longer ones are warned of when they are decoded. 0: any.

    Returns
    -------
    Corpus
        Its notes name files in neither list, and of cities and devices that are evaluated on but not
        trained on; the official sets have all three on purpose. Warnings name files whose names state another class or
        device than ``meta.csv``, and locations and devices that differ in case alone.

    Raises
    ------
    ArgumentError
        ``labels`` is no list of different names, ``fold`` no whole number, or ``subset`` none of the legal ones.
    UserError
        A missing folder, file or column, a class outside ``labels`` or other than in ``meta.csv``, a path that leads
        out of the folder, a file in both lists, a file of a subset that the training set lacks: with file and line.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_folder {folder} is not a folder; give the one that holds meta.csv: --data_folder=DIR")
    check_names("labels", labels)
    check_count("fold", fold)
    check_number("official_seconds", official_seconds, least=0)
    chosen = _subset_file(folder, subset, subset_folder)
    labels = list(labels)
    meta = _read_meta(_existing(folder, "meta.csv"))
    lists = {name: _read_list(_list_file(folder, f"fold{fold}_{name}"), meta, labels) for name in ("train", "evaluate")}
    listed, notes = len({clip.path for clips in lists.values() for clip in clips}), []
    if chosen is not None:
        count, lists["train"] = len(lists["train"]), _named_in(chosen, lists["train"])
        notes = [f"subset of {subset} %: {len(lists['train'])} of {count} training clips ({chosen.name})"]
        expected = {name: official for name, official in (expected or {}).items() if name != "train"}
    made = Corpus(folder=folder, labels=labels, **lists, notes=notes, official_seconds=official_seconds)
    corpus = inspect_lists(made, expected)
    if listed < len(meta):
        corpus.notes.append(f"{len(meta) - listed} of {len(meta)} files are in neither list")
    corpus.list_notes = never_trained_on(corpus)
    corpus.notes += corpus.list_notes
    corpus.warnings += [*_other_names(corpus), *_alike_places(corpus)]
    return corpus


def _other_names(corpus):
    """A warning about names, SCENE-...-DEVICE in the official sets, that state something else than the table."""
    legal, found = set(corpus.labels), []
    for clip in chain(corpus.train, corpus.evaluate):
        scene, *others = clip.path.rpartition("/")[2].rpartition(".")[0].split("-")
        if len(others) > 2 and scene in legal and (scene, others[-1]) != (clip.label, clip.source_device):
            found.append(f"{clip.path} ({clip.label}, {clip.source_device})")
    words = "file(s) have a name of another class or device than meta.csv states"
    return [f"{len(found)} {words}: {name_some(found, 3)}"] if found else []


def _alike_places(corpus):
    """Warnings about locations and devices whose names differ in case or spaces alone, and count as different ones."""
    told = []
    for by, words in (("location", "locations"), ("source_device", "devices")):
        names = {getattr(clip, by) for clip in chain(corpus.train, corpus.evaluate)}
        told += [f"the {words} {' and '.join(map(repr, own))} count as different ones" for own in alike(sorted(names))]
    return told


def _subset_file(folder, subset, subset_folder):
    """The list of a subset; None for all of the training set."""
    if not isinstance(subset, int) or isinstance(subset, bool) or subset not in (0, *SUBSETS):
        legal = ", ".join(map(str, SUBSETS))
        raise ArgumentError(f"subset must be one of {legal} (in percent; 0: all training clips), got {subset!r:.80}")
    if subset_folder and not isinstance(subset_folder, str | Path):
        raise ArgumentError(f"subset_folder must be the path of a folder, got {subset_folder!r:.80}")
    if not subset:
        if subset_folder:
            raise UserError(f"subset_folder {subset_folder} has no effect without --subset=5 (10, 25, 50 or 100)")
        return None
    path = (Path(subset_folder) if subset_folder else folder / "evaluation_setup") / f"split{subset}.csv"
    if not path.is_file():
        raise UserError(
            f"{path} is missing: --subset={subset} reads this list of DCASE 2024; name its folder: --subset_folder=DIR"
        )
    return path


def _named_in(path, clips):
    """Those of the training clips that a list names, in their own order."""
    known, names = {clip.path: clip.label for clip in clips}, set()
    for line, row in read_rows(path, "filename"):
        where = f"{path}, line {line}"
        name = normal_path(row["filename"], where)
        if name not in known:
            raise UserError(f"{where}: {name} is not in the training set")
        if row.get("scene_label", known[name]) != known[name]:
            raise UserError(f"{where}: {name} is {row['scene_label']!r:.80} here and {known[name]} in the training set")
        names.add(name)
    if not names:
        raise UserError(f"{path} names no file")
    return [clip for clip in clips if clip.path in names]


def _list_file(folder, stem):
    """The list with a header, or the one without (``.txt``) where only that is there."""
    with_header = f"evaluation_setup/{stem}.csv"
    without = folder / f"evaluation_setup/{stem}.txt"
    return without if without.is_file() and not (folder / with_header).is_file() else _existing(folder, with_header)


def _read_meta(path):
    """Path of a file -> its class (None where the table has no such column), location and device."""
    meta, places = {}, {}
    for line, row in read_rows(path, "filename", "identifier", "source_label"):
        name = normal_path(row["filename"], f"{path}, line {line}")
        facts = row.get("scene_label"), row["identifier"], row["source_label"]
        facts = places.setdefault(facts, facts)  # kept once for all files of a place
        if meta.setdefault(name, facts) != facts:
            raise UserError(f"{path}, line {line}: {name} is further up too, with other values ({_text(meta[name])})")
    return meta


def _text(facts):
    return ", ".join(filter(None, facts))


def _read_list(path, meta, labels):
    clips, index = {}, {label: label for label in labels}
    for line, row in read_rows(path, "filename", "scene_label", header=path.suffix != ".txt"):
        where = f"{path}, line {line}"
        name, label = normal_path(row["filename"], where), row["scene_label"]
        check_label(label, labels, where)
        if name not in meta:
            raise UserError(f"{where}: {name} is not listed in meta.csv")
        if name in clips and clips[name].label != label:
            raise UserError(f"{where}: {name} is {label} here and {clips[name].label} further up")
        known, identifier, device = meta[name]
        if known not in (None, label):
            raise UserError(f"{where}: {name} is {label} here and {known} in meta.csv")
        city = identifier.rpartition("-")[0] or identifier
        clips[name] = Clip(name, index[label], sys.intern(city), identifier, device)
    if not clips:
        raise UserError(f"{path} names no file")
    return list(clips.values())


def _existing(folder, name):
    if not (folder / name).is_file():
        raise UserError(
            f"{folder / name} is missing: the data folder must have the official layout "
            f"(meta.csv, evaluation_setup/, audio/){official_folder_near(folder)}"
        )
    return folder / name
