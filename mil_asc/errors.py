"""Errors that a user can fix: the command line prints their message as one line and exits with 1."""

import unicodedata
from itertools import islice

UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of control and format characters, lone surrogates, line and paragraph separators."""


class UserError(Exception):
    """Something outside the program is wrong: a path, a value, a file.

    The message is one line that says what is wrong, where, and what is allowed. As text it is ``printable``.
    """

    def __str__(self):
        return printable(super().__str__())


class DoubtWarning(UserWarning):
    """A result would mean little, for a reason that the message names in one line; programs print it as a warning."""


class AudioError(UserError):
    """An audio file cannot be used: missing, corrupt, empty, silent, too short, or not finite."""


class ArgumentError(ValueError):
    """The value of an argument is not legal; the message is one line that names it and the legal values."""


def printable(text):
    r"""The text as one line that a terminal shows and does not obey: escape codes in it are spelt out.

    Example
    -------
    >>> printable("dog/\x1b[2Jbark\n.wav")
    'dog/\\x1b[2Jbark\\n.wav'
    """
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in UNPRINTABLE else c for c in text)


def is_storable(text):
    """Whether text can be a path and be written to a file: without NUL, and nothing that UTF-8 cannot encode.

    Example
    -------
    >>> is_storable("dog.wav"), is_storable("a" + chr(0)), is_storable(chr(0xDCFF))
    (True, False, False)
    """
    return "\0" not in text and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


def name_some(names, most=20, separator=", ", count=None):
    """The first ``most`` of a collection of names in one line, and how many more there are.

    With ``count``, the number of all names, ``names`` may be an iterator.

    Example
    -------
    >>> name_some(["a", "b", "c"], most=2)
    'a, b (and 1 more)'
    """
    count = len(names) if count is None else count
    more = f" (and {count - most} more)" if count > most else ""
    return separator.join(map(str, islice(names, most))) + more
