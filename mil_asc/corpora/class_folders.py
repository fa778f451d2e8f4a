"""A folder of class sub-folders with audio of any length, split so that no group is in both lists.

Four ways to lay it out (a group is whatever must not be split: a recording, a place, a session, a fold):

    DIR/train/<class>/...  DIR/evaluate/<class>/...    the lists are there already (eval and test mean evaluate)
    DIR/<class>/...        DIR/groups.csv              the group of each file in a table: path, group
    DIR/<class>/<group>/...                            the sub-folder is the group, the same in all classes
    DIR/<class>/...                                    each file is a group of its own

Shapes: G groups, C classes.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mil_asc.checks import check_count, check_number
from mil_asc.corpora.data_layout import check_no_lists, class_folders_near, ready_lists, warn_of_depth
from mil_asc.corpora.delimited import DELIMITERS, normal_path, read_rows
from mil_asc.corpora.folder_tree import FolderTree, files_beside, sub_folders
from mil_asc.corpora.manifest import Corpus, alike, check_label, inspect_lists
from mil_asc.errors import ArgumentError, UserError, name_some


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
    ArgumentError
        An option that is not legal.
    UserError
        A folder that is missing, empty or of one class alone; a table or a group that does not fit; no way to
        split.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"data_folder {folder} is not a folder; give the one of the class folders: --data_folder=DIR")
    check_number("clip_seconds", clip_seconds, least=0)
    check_number("evaluate_fraction", evaluate_fraction, above=0, below=1)
    check_count("split_seed", seed, least=0)
    if not isinstance(groups, str | Path):
        raise ArgumentError(f"groups must be the path of a table, got {groups!r}")
    halves = ready_lists(folder)
    roots = halves or {"": folder}
    labels, notes = _choose_labels(folder, roots, classes)
    table = _table(folder, groups)
    tree = FolderTree(folder, [root / name for root in roots.values() for name in sub_folders(root)])
    clips = {name: _read_classes(tree, root, labels) for name, root in roots.items()}
    left_out = tree.left_out + _strays(folder, [folder, *halves.values()], table)
    if left_out:
        notes.append(
            f"{len(left_out)} file(s) left out, hidden, no audio or in no class folder: {name_some(left_out, 5)}"
        )
    if table is not None:
        clips = _with_groups(clips, table, notes)
    groups = sorted({clip.location for own in clips.values() for clip in own})
    wanted = as_names("evaluate_groups", evaluate_groups, groups)
    if halves and wanted:
        raise UserError(f"{folder}: train/ and {halves['evaluate'].name}/ decide the lists: leave out evaluate_groups")
    warnings = warn_of_depth(folder) + tree.warnings + _warn_of_groups([clip for own in clips.values() for clip in own])
    if halves:
        fixed_by, list_notes = f"train/ and {halves['evaluate'].name}/ decide the lists", []
    else:
        fixed_by = "evaluate_groups names the evaluation set" if wanted else ""
        clips, list_notes = _split(folder, clips[""], wanted, evaluate_fraction, seed, notes)
    facts = {"notes": notes + list_notes, "list_notes": list_notes, "warnings": warnings, "fixed_by": fixed_by}
    corpus = Corpus(folder, labels, clip_seconds=float(clip_seconds), **facts, **clips)
    return inspect_lists(corpus)


def _read_classes(tree, root, labels):
    """The clips of all classes that ``root`` has a folder for."""
    return [clip for label in labels if (root / label).is_dir() for clip in tree.read(root / label)]


def _warn_of_groups(clips):
    """Warnings of groups whose names differ too little, and of classes with one group alone."""
    groups = sorted({clip.location for clip in clips})
    told = [f"the groups {' and '.join(map(repr, own))} count as different ones" for own in alike(groups)]
    of_class = {}
    for clip in clips:
        of_class.setdefault(clip.label, set()).add(clip.location)
    for label, own in of_class.items():
        if len(own) == 1:
            told.append(f"class {label} has one group only ({min(own)}): a fair evaluation requires at least two")
    return told


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


def as_names(name, value, there):
    """A list of text, of a sequence of names or numbers or of one alone; each once.

    A number is the name in ``there`` that is written with this number: YAML reads ``02`` as 2, and ``1.10`` as 1.1.
    Other values, and numbers that may mean several names, are an ``ArgumentError``.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(each, str | int | float) for each in values):
        raise ArgumentError(f"{name} must be names, such as [dog, rain], got {value!r}")
    return list(dict.fromkeys(_as_name(name, each, there) for each in values))


def _as_name(argument, value, there):
    if isinstance(value, str | bool):
        return str(value)
    meant = [name for name in there if _is_number(name, value)]
    if len(meant) > 1:
        raise ArgumentError(
            f"{argument}: {value} may mean {' or '.join(map(repr, meant))}: put names in quotes, "
            f"""such as --{argument}="['{meant[0]}']\""""
        )
    return meant[0] if meant else str(value)


def _is_number(text, number):
    try:
        return float(text) == number
    except ValueError:
        return False


# -- the tree


def _choose_labels(folder, roots, classes):
    """The classes, and a note on sub-folders that are none."""
    there = sorted({name for root in roots.values() for name in sub_folders(root)})
    labels = as_names("classes", classes, there)
    chosen = labels or there
    for label in chosen:
        check_label(label, there, f"{folder}: no sub-folder for a class")
    if len(chosen) < 2:
        near = "" if labels else class_folders_near(folder)
        raise UserError(f"{folder}: at least two class folders are needed, found {', '.join(chosen) or 'none'}{near}")
    if not labels:
        _check_different(folder, chosen)
        if "" in roots:
            check_no_lists(folder, chosen)
    rest = set(there) - set(chosen)
    if "" not in roots:
        rest |= set(sub_folders(folder)) - {root.name for root in roots.values()}
    return chosen, [f"sub-folder(s) left out: {', '.join(sorted(rest))}"] if rest else []


def _check_different(folder, labels):
    for names in alike(labels):
        raise UserError(
            f"{folder}: the class folders {' and '.join(map(repr, names))} differ in case or spaces alone: make them "
            "one folder, or name the classes with --classes"
        )


def _strays(folder, roots, table):
    """Files that lie beside the class folders."""
    beside = [path for root in roots for path in files_beside(root) if path != table]
    return sorted(path.relative_to(folder).as_posix() for path in beside)


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
        where, group = f"{table}, line {line}", " ".join(row["group"].split())
        path = normal_path(row["path"].replace("\\", "/"), where)
        if groups.setdefault(path, group) != group:
            raise UserError(f"{where}: {path} is in group {group} here and {groups[path]} further up")
    return groups


def _split(folder, clips, evaluate_groups, fraction, seed, notes):
    """The two lists, ``evaluate_groups`` to evaluate on or groups that are drawn, and notes on them.

    What is true of any lists goes to ``notes``.
    """
    groups = sorted({clip.location for clip in clips})
    single = {clip.path for clip in clips} == set(groups)
    if single:
        notes.append("every file is a group of its own: files of one place may be in both lists")
    chosen = set(evaluate_groups)
    unknown = sorted(chosen - set(groups))
    if unknown:
        raise UserError(
            f"{folder}: evaluate_groups names {unknown[0]!r}, which is not a group; groups: {name_some(groups, 10)}"
        )
    if not chosen:
        chosen = _draw(folder, clips, groups, fraction, seed)
        count = sum(clip.location in chosen for clip in clips)
        names = "" if single else f", {name_some(sorted(chosen))}"
        share = f"{count} of {len(clips)} files (seed {seed})"
        note = f"{len(chosen)} of {len(groups)} groups drawn for the evaluation set{names}: {share}"
    else:
        note = f"groups of the evaluation set, of {len(groups)}: {name_some(sorted(chosen))}"
    lists = {
        "train": [clip for clip in clips if clip.location not in chosen],
        "evaluate": [clip for clip in clips if clip.location in chosen],
    }
    return lists, [note]


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
