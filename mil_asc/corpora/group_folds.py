"""Cross-validation: all clips of a data set divided into folds, each of which is the evaluation set once.

A group (``Clip.location``) is never split, and every fold gets about the same share of each class; or the folds are
those of the data set, where it has as many.
"""

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mil_asc.checks import check_count, check_fold
from mil_asc.corpora.leave_out import findings
from mil_asc.corpora.manifest import Clip, Corpus, inspect_lists, never_trained_on
from mil_asc.errors import UserError, name_some

DRAWS = 20
"""Divisions that are drawn at most until none has all clips of a class in one fold."""


def read_lists(data: Mapping) -> Corpus:
    """The lists of a built data block: those of its reader, or one fold of all its clips.

    Arguments
    ---------
    data : mapping
        ``corpus``, the reader; ``folds``, ``fold`` and ``split_seed``. A block without these three has no folds.

    Returns
    -------
    Corpus

    Raises
    ------
    ArgumentError, UserError
        As ``check_fold`` and ``choose_fold``; there are folds and none of them is named; what the reader raises.
    """
    folds, fold = data.get("folds", 0), data.get("fold", 0)
    check_fold(folds, fold)
    if not folds:
        return data["corpus"]()
    if not fold:
        raise UserError(f"--folds={folds} has {folds} pairs of lists: name one of them, such as --fold=1")
    return choose_fold(data["corpus"](), folds, fold, data["split_seed"])


def choose_fold(corpus: Corpus, folds: int, fold: int, seed: int = 1) -> Corpus:
    """A copy of a corpus with other lists: one fold is the evaluation set, all other clips are the training set.

    A group that is the only one of a class is in no fold: it is always trained on, and a warning says so.

    Arguments
    ---------
    corpus : Corpus
        All clips of its lists are divided.
    folds : int
        Number of folds, 2 or more.
    fold : int
        The one to evaluate on, from 1 to ``folds``.
    seed : int
        Of the division, 0 or more; it does not change with ``fold``.

    Returns
    -------
    Corpus
        Its notes and warnings are about the new lists.

    Raises
    ------
    UserError
        The user fixed the lists; there are fewer groups than folds.
    """
    check_count("split_seed", seed, least=0)
    if corpus.fixed_by:
        raise UserError(f"{corpus.folder}: {corpus.fixed_by}, so there is nothing to divide: leave out --folds")
    clips, only = corpus.clips, only_groups(corpus.clips)
    free = [clip for clip in clips if clip.location not in only]
    _check_enough(corpus, free, only, folds)
    block_of = _blocks(free, folds, corpus.official_folds)
    fold_of = divide(free, folds, seed, block_of)
    chosen = sorted({block_of[group] for group, number in fold_of.items() if number == fold}, key=natural)
    evaluate = [clip for clip in free if fold_of[clip.location] == fold]
    taken = {clip.path for clip in evaluate}
    found = findings(corpus)
    void = {*corpus.list_notes, *found.notes, *found.warnings}
    lists = replace(
        corpus,
        train=[clip for clip in clips if clip.path not in taken],
        validation=[],
        evaluate=evaluate,
        notes=[note for note in corpus.notes if note not in void],
        warnings=[warning for warning in corpus.warnings if warning not in void] + _always_trained_on(clips, only),
    )
    names = "" if set(chosen) == taken else f", {name_some(chosen)}"
    blocks = len(set(block_of.values()))
    about = f"fold {fold} of {folds}: {len(chosen)} of {blocks} groups are the evaluation set{names}"
    drawn = f" (seed {seed})" if blocks > folds else ""
    lists.list_notes = [f"{about}: {len(evaluate)} of {len(clips)} files{drawn}", *never_trained_on(lists)]
    lists.notes = lists.notes + lists.list_notes
    return inspect_lists(lists)


def only_groups(clips: list[Clip]) -> dict[str, list[str]]:
    """Groups that are the only one of a class -> these classes, sorted."""
    of_class: dict[str, set[str]] = {}
    for clip in clips:
        of_class.setdefault(clip.label, set()).add(clip.location)
    only: dict[str, list[str]] = {}
    for label, groups in sorted(of_class.items()):
        if len(groups) == 1:
            only.setdefault(min(groups), []).append(label)
    return only


def _blocks(clips: list[Clip], folds: int, official: dict[str, str]) -> dict[str, str]:
    """Group -> the official fold it belongs to, where there are as many of them as ``folds``; else the group itself."""
    groups = {clip.location for clip in clips}
    if len({official.get(group, group) for group in groups}) == folds:
        return {group: official.get(group, group) for group in groups}
    return {group: group for group in groups}


def divide(clips: list[Clip], folds: int, seed: int, block_of: dict[str, str] | None = None) -> dict[str, int]:
    """Group -> its fold, from 1 up.

    Groups are joined to blocks by ``block_of``, by default each to its own. As many blocks as folds are folds in the
    order of their names, ``fold-2`` before ``fold-10``. More of them are divided by ``StratifiedGroupKFold`` of
    scikit-learn, which gives every fold about the same share of each class. Of up to ``DRAWS`` such divisions the first
    is taken that leaves every class clips in two folds, else the first.
    """
    block_of = block_of or {clip.location: clip.location for clip in clips}
    blocks = sorted(set(block_of.values()), key=natural)
    if len(blocks) == folds:
        return {group: 1 + blocks.index(block) for group, block in block_of.items()}
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second to import, and few runs need it

    clips = sorted(clips, key=lambda clip: clip.path)
    label_N, group_N = np.array([clip.label for clip in clips]), np.array([clip.location for clip in clips])
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=random)
    fold_N, first_N = np.zeros(len(clips), dtype=int), None
    for _ in range(DRAWS):
        with warnings.catch_warnings():  # of classes with fewer clips than folds
            warnings.simplefilter("ignore", UserWarning)
            for number, (_, rows) in enumerate(splitter.split(label_N, label_N, group_N), 1):
                fold_N[rows] = number
        first_N = fold_N.copy() if first_N is None else first_N
        if all(len(np.unique(fold_N[label_N == label])) > 1 for label in np.unique(label_N)):
            return dict(zip(group_N.tolist(), fold_N.tolist()))
    return dict(zip(group_N.tolist(), first_N.tolist()))


def natural(name: str) -> list:
    """A key that sorts names by the numbers in them.

    Example
    -------
    >>> sorted(["fold-10", "fold-2"], key=natural)
    ['fold-2', 'fold-10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [*((int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts), (-1, name)]


def _check_enough(corpus, free, only, folds):
    """Raise a ``UserError`` where the clips cannot be divided into so many folds."""
    groups = sorted({clip.location for clip in free}, key=natural)
    if len(groups) < folds:
        rest = f"; {name_some(sorted(only, key=natural), 5)}: the only group of a class" if only else ""
        raise UserError(
            f"{corpus.folder}: --folds={folds} needs {folds} groups or more, and there are {len(groups)} "
            f"({name_some(groups, 5) or 'none'}{rest}): give fewer folds, or the classes more groups"
        )
    counts = Counter(clip.label for clip in free)
    (label, most), *_ = counts.most_common(1)
    if len(groups) > folds > most:
        raise UserError(
            f"{corpus.folder}: --folds={folds} needs a class with {folds} files or more, and the largest one ({label}) "
            f"has {most}: give fewer folds"
        )


def _always_trained_on(clips, only):
    """A warning for each group that is the only one of a class."""
    counts = Counter(clip.location for clip in clips)
    return [
        f"{', '.join(labels)}: the only group is {group}, which is trained on in every fold and never evaluated "
        f"({counts[group]} files)"
        for group, labels in only.items()
    ]
