"""Leaving clips out of a corpus: what was found in its lists is judged again on the lists that remain."""

from collections.abc import Collection
from dataclasses import replace

from mil_asc.corpora.manifest import LIST_NAMES, Corpus, inspect_lists
from mil_asc.errors import UserError


def leave_out(corpus: Corpus, paths: Collection[str]) -> Corpus:
    """A copy of a corpus without some clips, its notes and warnings about the lists renewed.

    Arguments
    ---------
    corpus : Corpus
        The lists as they were read; without a training set there is nothing to judge.
    paths : collection of str
        Paths of the clips to leave out, such as unusable recordings.

    Returns
    -------
    Corpus

    Raises
    ------
    UserError
        No clip is left in the training set or in the evaluation set.
    """
    if not paths:
        return corpus
    rest = corpus.without(paths)
    for name in ("train", "evaluate"):
        if getattr(corpus, name) and not getattr(rest, name):
            raise UserError(
                f"{corpus.folder}: no usable clip is left in the {LIST_NAMES[name]}; fix the bad audio files"
            )
    if not corpus.train:
        return rest
    before, after = findings(corpus), findings(rest)
    notes = [note for note in corpus.notes if note not in before.notes]
    warnings = [warning for warning in corpus.warnings if warning not in before.warnings]
    return replace(rest, notes=notes + after.notes, warnings=warnings + after.warnings)


def findings(corpus: Corpus) -> Corpus:
    """A copy whose notes and warnings are those of an inspection of its lists, and no others."""
    return inspect_lists(replace(corpus, notes=[], warnings=[]))
