"""Checks of arguments, shared by classes that take values from YAML files.

Each raises an ``ArgumentError``, which is a ``ValueError``: one line with the argument's name, the legal values and
the value that was given.
"""

import math
import operator

from mil_asc.errors import ArgumentError, is_storable

MAX_COUNT = 2**63 - 1
MIN_NUMBER, MAX_NUMBER = 1e-37, 1e37
"""Limits of counts, and of the size of numbers other than 0, which float32 holds with a margin."""


def check_count(name, value, least=1):
    """Accept only whole numbers of at least ``least``.

    Example
    -------
    >>> check_count("batch_size", 0)
    Traceback (most recent call last):
    mil_asc.errors.ArgumentError: batch_size must be a whole number from 1 up, got 0
    """
    if not _is_whole(value) or value < least:
        raise ArgumentError(f"{name} must be a whole number from {least} up, got {value!r:.80}")
    if value > MAX_COUNT:
        raise ArgumentError(f"{name} must be a whole number of at most {MAX_COUNT}, got {value:.0e}")


def check_counts(name, values, length=None):
    """Accept only a list (or tuple) of whole numbers from 1 up: ``length`` of them, or at least one."""
    legal = isinstance(values, list | tuple) and len(values) > 0 and length in (None, len(values))
    if not legal or not all(_is_whole(value) and value >= 1 for value in values):
        words = "whole numbers" if length is None else f"{length} whole numbers"
        raise ArgumentError(f"{name} must be a list of {words} from 1 up, got {values!r}")


def check_odd(name, value):
    """Accept only odd whole numbers from 1 up, such as sizes of kernels that keep the size of their input."""
    if not _is_whole(value) or value < 1 or value % 2 == 0:
        raise ArgumentError(f"{name} must be an odd whole number, got {value!r}")


def check_number(name, value, least=None, above=None, below=None):
    """Accept only finite numbers, at least ``least``, greater than ``above`` and less than ``below``.

    They must be numbers in float32 too, which the networks compute with: neither 0 nor infinite there.
    """
    possible = [("from", operator.ge, least), ("above", operator.gt, above), ("below", operator.lt, below)]
    bounds = [bound for bound in possible if bound[2] is not None]
    if not _is_number(value) or not all(holds(value, bound) for _, holds, bound in bounds):
        words = " and ".join(f"{word} {bound:g}{' up' if word == 'from' else ''}" for word, _, bound in bounds)
        raise ArgumentError(f"{name} must be {' '.join(['a number', words]).strip()}, got {value!r:.80}")
    if value and not MIN_NUMBER <= abs(value) <= MAX_NUMBER:
        raise ArgumentError(f"{name} must be a number of size {MIN_NUMBER:g} to {MAX_NUMBER:g}, got {value!r:.80}")


def check_choice(name, value, legal):
    """Accept only the members of ``legal``; the message lists them."""
    if not isinstance(value, str | bool) or value not in legal:
        raise ArgumentError(f"{name} must be one of {', '.join(map(str, legal))}; got {value!r}")


def check_text(name, value):
    """Accept only non-empty text."""
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"""{name} must be text (put a number in quotes: "'7'"), got {value!r}""")
    if not is_storable(value):
        raise ArgumentError(f"{name} must be text without NUL and of UTF-8, got {value!r}")


def check_names(name, values):
    """Accept only a list (or tuple) of at least one name, without duplicates."""
    legal = isinstance(values, list | tuple) and len(values) > 0 and all(isinstance(v, str) and v for v in values)
    if not legal or len(set(values)) < len(values):
        raise ArgumentError(f"{name} must be a list of different names, got {values!r}")


def check_fold(folds, fold):
    """Accept only a number of ``folds`` of a cross-validation and one ``fold`` of them, from 1 up; 0 stands for none.

    Example
    -------
    >>> check_fold(folds=5, fold=6)
    Traceback (most recent call last):
    mil_asc.errors.ArgumentError: fold must be a whole number from 1 to 5 (--folds=5), got 6
    """
    check_count("folds", folds, least=0)
    check_count("fold", fold, least=0)
    if folds == 1:
        raise ArgumentError("folds must be 2 or more (0: no cross-validation), got 1")
    if fold and not folds:
        raise ArgumentError(f"fold={fold} needs the number of folds too, such as --folds=5")
    if fold > folds:
        raise ArgumentError(f"fold must be a whole number from 1 to {folds} (--folds={folds}), got {fold}")


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    if isinstance(value, float):
        return math.isfinite(value)
    return _is_whole(value)
