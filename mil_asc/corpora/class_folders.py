"""A folder of class sub-folders with audio of any length, split so that no group is in both lists.

Four ways to lay it out (a group is whatever must not be split: a recording, a place, a session, a fold):

    DIR/train/<class>/...  DIR/evaluate/<class>/...    the lists are there already (eval and test mean evaluate)
    DIR/<class>/...        DIR/groups.csv              the group of each file in a table: path, group
    DIR/<class>/<group>/...                            the sub-folder is the group, the same in all classes
    DIR/<class>/...                                    each file is a group of its own

Shapes: G groups, C classes.
"""

import math
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from mil_asc.corpora.delimited import DELIMITERS, read_rows
from mil_asc.corpora.manifest import Clip, Corpus, check_label, inspect_lists
from mil_asc.errors import UserError

AUDIO = ("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc", "au", "snd", "caf", "w64", "rf64", "voc")
"""Endings of the files that are taken for audio, in upper or lower case."""
EVALUATE = ("evaluate", "eval", "test")
"""Names, beside ``train``, of the folder that holds the evaluation set."""
ANYWHERE = "all"  # city and device of every clip: nothing is known of them


def read_class_folders(
    folder, classes=(), clip_seconds=10.0, groups="", evaluate_groups=(), evaluate_fraction=0.25, seed=1
):
    """Read the manifest of a folder of class sub-folders.

    Arguments
    ---------
    folder : str or Path
        The folder, laid out in one of the ways above.
    classes : sequence of str
        Classes in the order of the model's outputs; by default all sub-folders, sorted by name.
    clip_seconds : float
        Longer recordings are cut into pieces of this length (in seconds); 0 keeps them whole.
    groups : str or Path
        Table with the columns path (relative to ``folder``) and group; by default ``groups.csv`` in ``folder``,
        where there is one. It goes before groups that are sub-folders.
    evaluate_groups : sequence, or one group
        Groups to evaluate on; by default they are drawn.
    evaluate_fraction : float
        Share of each class's files to evaluate on when groups are drawn, above 0 and below 1.
    seed : int
        Of the draw.

    Returns
    -------
    Corpus

    Raises
    ------
    UserError
        A folder that is missing, empty or of one class alone; a table or a group that does not fit; no way to
        split.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_folder {folder} is not a folder; give the one of the class folders: --data_folder=DIR")
    if not (_is_number(clip_seconds) and clip_seconds >= 0):
        raise UserError(f"clip_seconds must be a number from 0 up, got {clip_seconds!r}")
    if not (_is_number(evaluate_fraction) and 0 < evaluate_fraction < 1):
        raise UserError(f"evaluate_fraction must be a number above 0 and below 1, got {evaluate_fraction!r}")
    halves = _ready_lists(folder)
    roots = halves or {"": folder}
    labels, notes = _choose_labels(folder, roots, _as_names(classes))
    table = _table(folder, groups)
    clips, left_out = {}, []
    for name, root in roots.items():
        found = [_read_class(root / label, folder, left_out) for label in labels if (root / label).is_dir()]
        clips[name] = [clip for own in found for clip in own]
    left_out += _strays(folder, [folder, *halves.values()], table)
    if left_out:
        some = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        notes.append(f"{len(left_out)} file(s) left out, hidden, no audio or in no class folder: {some}")
    if table is not None:
        clips = _with_groups(clips, table, notes)
    wanted = _as_names(evaluate_groups)
    if halves and wanted:
        raise UserError(f"{folder}: train/ and {halves['evaluate'].name}/ decide the lists: leave out evaluate_groups")
    if not halves:
        clips = _split(folder, clips[""], wanted, evaluate_fraction, seed, notes)
    corpus = Corpus(folder=folder, labels=labels, notes=notes, clip_seconds=float(clip_seconds), **clips)
    return inspect_lists(corpus)


def draw_groups(counts_GC, fraction, seed):
    """Choose groups that hold about ``fraction`` of each class, and leave each class something.

    Arguments
    ---------
    counts_GC : numpy.ndarray
        (G, C) int, files of each class in each group; every class has some.
    fraction : float
        Share to choose, above 0 and below 1.
    seed : int
        Decides the order in which groups are offered.

    Returns
    -------
    numpy.ndarray
        (G,) bool. A group is chosen when that brings the shares, summed over squares, nearer to ``fraction``;
        a class without any then gets the group that changes the shares least, if it keeps one for training.
    """
    total_C = counts_GC.sum(0)
    chosen_G = np.zeros(len(counts_GC), dtype=bool)
    taken_C = np.zeros_like(total_C)

    def distance(taken_C):
        return float(((taken_C / total_C - fraction) ** 2).sum())

    def can_spare(group):
        return bool((taken_C + counts_GC[group] < total_C).all())

    for group in np.random.default_rng(seed).permutation(len(counts_GC)):
        if distance(taken_C + counts_GC[group]) < distance(taken_C) and can_spare(group):
            chosen_G[group] = True
            taken_C = taken_C + counts_GC[group]
    for index in range(len(total_C)):
        fitting = [group for group in np.flatnonzero(counts_GC[:, index]) if can_spare(group)]
        if taken_C[index] == 0 and fitting:
            group = min(fitting, key=lambda group: distance(taken_C + counts_GC[group]))
            chosen_G[group] = True
            taken_C = taken_C + counts_GC[group]
    return chosen_G


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _as_names(value):
    """A list of text, of a sequence of names or numbers or of one alone; each once."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return list(dict.fromkeys(str(name) for name in values))


# -- the tree


def _is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def _sub_folders(folder):
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _ready_lists(folder):
    """{"train": ..., "evaluate": ...} where the folder is split already, else nothing."""
    names = [name for name in ("train", *EVALUATE) if (folder / name).is_dir() and _sub_folders(folder / name)]
    if "train" not in names or len(names) < 2:
        return {}
    if len(names) > 2:
        raise UserError(f"{folder}: one list to evaluate on is needed beside train/, found {', '.join(names[1:])}")
    return {"train": folder / "train", "evaluate": folder / names[1]}


def _choose_labels(folder, roots, labels):
    """The classes, and a note on sub-folders that are none."""
    there = sorted({name for root in roots.values() for name in _sub_folders(root)})
    chosen = labels or there
    for label in chosen:
        check_label(label, there, f"{folder}: no sub-folder for a class")
    if len(chosen) < 2:
        raise UserError(f"{folder}: at least two class folders are needed, found {', '.join(chosen) or 'none'}")
    rest = set(there) - set(chosen)
    if "" not in roots:
        rest |= set(_sub_folders(folder)) - {root.name for root in roots.values()}
    return chosen, [f"sub-folder(s) left out: {', '.join(sorted(rest))}"] if rest else []


def _read_class(root, folder, left_out):
    """The clips below a class folder; what is no audio is added to ``left_out``."""
    clips = []
    for parent, folders, files in os.walk(root, followlinks=True):
        left_out += [f"{_relative(parent, name, folder)}/" for name in sorted(filter(_is_hidden, folders))]
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            path = _relative(parent, name, folder)
            if _is_hidden(name) or Path(name).suffix.lower().lstrip(".") not in AUDIO:
                left_out.append(path)
                continue
            below = Path(parent).relative_to(root).parts
            clips.append(Clip(path, root.name, ANYWHERE, below[0] if below else path, ANYWHERE))
    if not clips:
        raise UserError(f"{root}: this class folder holds no audio file ({', '.join(AUDIO)})")
    return clips


def _relative(parent, name, folder):
    path = (Path(parent) / name).relative_to(folder).as_posix()
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path!r}: a file name that is not UTF-8; rename it") from error
    return path


def _strays(folder, roots, table):
    """Files that lie beside the class folders."""
    beside = [entry for root in roots for entry in root.iterdir() if entry.is_file() and entry != table]
    return sorted(entry.relative_to(folder).as_posix() for entry in beside)


# -- groups


def _table(folder, groups):
    path = Path(groups) if groups else folder / "groups.csv"
    if groups and not path.is_file():
        raise UserError(f"groups={groups}: no such file; a table with the columns path, group is needed")
    return path if path.is_file() else None


def _with_groups(clips, table, notes):
    """The clips with the groups that a table gives them."""
    group_of = _read_groups(table)
    paths = [clip.path for own in clips.values() for clip in own]
    missing = [path for path in paths if path not in group_of]
    if missing:
        more = f" (nor for {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(f"{table}: no line for {missing[0]}{more}; every audio file needs a group")
    unknown = len(group_of.keys() - set(paths))
    if unknown:
        notes.append(f"{unknown} line(s) of {table.name} name no audio file of these classes")
    return {name: [replace(clip, location=group_of[clip.path]) for clip in own] for name, own in clips.items()}


def _read_groups(table):
    """Path -> group."""
    try:
        with open(table, encoding="utf-8-sig") as file:
            header = file.readline()
    except UnicodeDecodeError as error:
        raise UserError(f"{table} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    delimiter = max(DELIMITERS, key=header.count)
    groups = {}
    for line, row in read_rows(table, "path", "group", delimiter=delimiter):
        path = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        group = groups.setdefault(path, row["group"])
        if group != row["group"]:
            raise UserError(f"{table}, line {line}: {path} is in group {row['group']} here and {group} further up")
    return groups


def _split(folder, clips, evaluate_groups, fraction, seed, notes):
    """The two lists: ``evaluate_groups`` to evaluate on, or groups that are drawn."""
    groups = sorted({clip.location for clip in clips})
    if {clip.path for clip in clips} == set(groups):
        notes.append("every file is a group of its own: files of one place may be in both lists")
    chosen = set(evaluate_groups)
    unknown = sorted(chosen - set(groups))
    if unknown:
        some = ", ".join(groups[:10]) + (", ..." if len(groups) > 10 else "")
        raise UserError(f"{folder}: evaluate_groups names {unknown[0]!r}, which is not a group; groups: {some}")
    if not chosen:
        chosen = _draw(folder, clips, groups, fraction, seed)
        count = sum(clip.location in chosen for clip in clips)
        share = f"{count} of {len(clips)} files (seed {seed})"
        notes.append(f"{len(chosen)} of {len(groups)} groups drawn for the evaluation set: {share}")
    else:
        some = ", ".join(sorted(chosen)[:10]) + (", ..." if len(chosen) > 10 else "")
        notes.append(f"groups of the evaluation set, of {len(groups)}: {some}")
    return {
        "train": [clip for clip in clips if clip.location not in chosen],
        "evaluate": [clip for clip in clips if clip.location in chosen],
    }


def _draw(folder, clips, groups, fraction, seed):
    labels = sorted({clip.label for clip in clips})
    rows = {group: row for row, group in enumerate(groups)}
    columns = {label: column for column, label in enumerate(labels)}
    counts_GC = np.zeros((len(groups), len(labels)), dtype=np.int64)
    for clip in clips:
        counts_GC[rows[clip.location], columns[clip.label]] += 1
    chosen = {groups[row] for row in np.flatnonzero(draw_groups(counts_GC, fraction, seed))}
    if not chosen:
        raise UserError(
            f"{folder}: no group can be evaluated on without leaving a class nothing to train on; "
            "give the classes more groups, or make the folders train/ and evaluate/"
        )
    return chosen
