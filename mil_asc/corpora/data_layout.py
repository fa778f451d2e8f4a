"""Which folder was meant: data folders that are one level too deep or too shallow are recognised by what is near."""

import re
from pathlib import Path

from mil_asc.corpora.folder_tree import files_beside, is_audio, sub_folders
from mil_asc.corpora.manifest_entries import FILES
from mil_asc.errors import UserError, name_some
from mil_asc.runtime.remote_files import is_url, refuse_url

EVALUATE = ("evaluate", "eval", "test")
"""Names, beside ``train``, of the folder that holds the evaluation set."""
OTHER_LISTS = ("training", "testing", "evaluation", "validation", "valid", "val", "dev", "development")
"""Further names of folders that hold lists in data sets at large, not classes."""
FOLD = re.compile(r"(fold|split)[ _-]?\d+")
META = "meta.csv"
DEEPEST = 3  # levels below the folder that are searched


def ready_lists(folder):
    """{"train": ..., "evaluate": ...} where the folder is split already, else nothing."""
    names = [name for name in ("train", *EVALUATE) if (folder / name).is_dir() and sub_folders(folder / name)]
    if "train" not in names or len(names) < 2:
        return {}
    if len(names) > 2:
        raise UserError(f"{folder}: one list to evaluate on is needed beside train/, found {', '.join(names[1:])}")
    return {"train": folder / "train", "evaluate": folder / names[1]}


def check_no_lists(folder, labels):
    """Raise a ``UserError`` where what would be read as classes are lists by their names, with classes inside."""
    lists = {"train", *EVALUATE, *OTHER_LISTS}
    named = all(label.lower() in lists or FOLD.fullmatch(label.lower()) for label in labels)
    if named and all(sub_folders(folder / label) for label in labels):
        raise UserError(
            f"{folder}: {', '.join(labels)} look like lists, not classes: call them train/ and evaluate/ (or eval/, "
            "test/), name the one that holds the class folders with --data_folder, or name the classes with --classes"
        )


def check_apart(name, place, data_folder):
    """Raise a ``UserError`` where what is written to ``place`` would be taken for a class at the next start, or where
    ``place`` is a URL.

    Arguments
    ---------
    name : str
        The option that names it.
    place : str or Path
        Where something will be written.
    data_folder : str or Path
        The data; nothing lies in a URL. What else is in it does not matter if it has the official layout, or
        manifests.
    """
    refuse_url(name, place)
    if is_url(data_folder):
        return
    data, target = Path(data_folder).resolve(), Path(place).resolve()
    has_lists = any((data / name).is_file() for name in (META, FILES["evaluate"]))
    if target == data or (target.is_relative_to(data) and data.is_dir() and not has_lists):
        raise UserError(
            f"{name} {place} lies in the data folder, where it would be taken for a class: give another one"
        )


def official_folder_near(folder, option="--data_folder="):
    """A hint at the folders near this one that hold ``meta.csv``, as ``option`` names them; empty without any."""
    around = [parent for parent in list(folder.resolve().parents)[:DEEPEST] if (parent / META).is_file()][:1]
    return _hint(around or _below(folder, lambda inner: (inner / META).is_file()), option)


def class_folders_near(folder):
    """A hint for a folder with less than two class folders: the folder around it, or one inside; else empty."""
    if any(is_audio(file.name) for file in files_beside(folder)):
        parent = folder.resolve().parent
        return _hint([parent] if len(_names(parent)) > 1 else [])
    return _hint(_below(folder, lambda inner: len(_names(inner)) > 1))


def warn_of_depth(folder):
    """Warnings where the folder around this one looks like the data folder that was meant."""
    place = folder.resolve()
    parent, own = place.parent, sub_folders(folder)
    if (parent / "groups.csv").is_file() and not (folder / "groups.csv").is_file():
        return [f"{parent} holds a groups.csv that is not used: if it was meant, give --data_folder={parent}"]
    lists = ("train", *EVALUATE)
    if place.name in lists and any((parent / name).is_dir() for name in lists if name != place.name):
        return [f"{place} is one list of {parent}, which has another: if both are meant, give --data_folder={parent}"]
    beside = _names(parent)
    if len(beside) > 1 and all(_names(parent / name) == own for name in beside):
        return [
            f"every sub-folder of {parent} holds {name_some(own, 5)}: if these are groups and {place.name} is one "
            f"class, give --data_folder={parent}"
        ]
    return []


def _below(folder, fits):
    """The folders below that fit, of the first level on which there are any."""
    level = [Path(folder)]
    for _ in range(DEEPEST):
        level = [inner / name for inner in level for name in _names(inner)]
        found = [inner for inner in level if fits(inner)]
        if found:
            return found
    return []


def _names(folder):
    """Sub-folders for a hint: none where the folder cannot be read."""
    try:
        return sub_folders(folder)
    except UserError:
        return []


def _hint(folders, option="--data_folder="):
    return f"; did you mean {option}{name_some(folders, 3, ' or ')}?" if folders else ""
