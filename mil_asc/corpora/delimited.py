"""Text tables with one line per clip."""

import csv
import os
import posixpath
import unicodedata

from mil_asc.errors import UserError

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon"}


def read_rows(path, *columns, delimiter="\t", header=True):
    """Every line of a table, one after the other, as (line number, {column: text}).

    Arguments
    ---------
    path : Path
        The table, UTF-8 with or without a byte order mark.
    *columns : str
        Columns that it must have, with a value on every line; further ones are passed on as they are.
    delimiter : str
        A key of ``DELIMITERS``. Quotes mean something unless it is the tab.
    header : bool
        Whether the first line names the columns; without a header they are in the order of ``columns``.

    Raises
    ------
    UserError
        Not readable or not UTF-8, no such column or two of them, a line with a value missing or with one too many,
        a control character: one line with file and line number.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    where, word = os.fspath(path), DELIMITERS[delimiter]
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting)
            names = next(reader, []) if header else list(columns)
            _check_header(where, names, columns, word)
            for values in reader:
                if values:
                    yield reader.line_num, _as_row(names, values, columns, f"{where}, line {reader.line_num}", word)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise UserError(f"{path} is no {word}-separated text: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_header(where, names, columns, word):
    for column in columns:
        if column not in names:
            raise UserError(
                f"{where}, line 1: no column {column!r}; a {word}-separated header with {', '.join(columns)} is needed"
            )
        if names.count(column) > 1:
            raise UserError(f"{where}, line 1: {names.count(column)} columns are called {column!r}, one is needed")


def _as_row(names, values, columns, where, word):
    """The values by name, if each of ``columns`` has a printable one and none is left over."""
    row = dict(zip(names, values))
    needed = [row.get(column) for column in columns]
    if not all(needed):
        raise UserError(f"{where}: {len(columns)} {word}-separated values are needed ({', '.join(columns)})")
    if any(values[len(names) :]):
        raise UserError(f"{where}: {len(values)} {word}-separated values, the table has {len(names)} columns")
    text = " ".join(needed)
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        raise UserError(f"{where}: a control character in {text!r}")
    return row


def normal_path(name, where):
    """The path of a file in a table, without ``./`` and doubled slashes, so that a file has one name.

    Raises a ``UserError`` that begins with ``where`` if it leads out of the data folder: absolute, or with ``..``.

    Example
    -------
    >>> normal_path("./audio//a.wav", "meta.csv, line 2")
    'audio/a.wav'
    """
    path = posixpath.normpath(name)
    if name.startswith("/") or path == "." or ".." in name.split("/"):
        raise UserError(f"{where}: {name!r} must be a path below the data folder, without '..'")
    return path
