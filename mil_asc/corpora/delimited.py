"""Text tables with one line per clip."""

import csv
import unicodedata
from pathlib import PurePosixPath

from mil_asc.errors import UserError

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon"}


def read_rows(path, *columns, delimiter="\t", header=True):
    """Every line of a table as (line number, {column: text}).

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
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, None if header else columns, delimiter=delimiter, quoting=quoting)
            _check_header(path, reader.fieldnames or [], columns, delimiter)
            return [(reader.line_num, _checked(row, columns, delimiter, path, reader)) for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise UserError(f"{path} is no {DELIMITERS[delimiter]}-separated text: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_header(path, names, columns, delimiter):
    for column in columns:
        if column not in names:
            raise UserError(
                f"{path}, line 1: no column {column!r}; "
                f"a {DELIMITERS[delimiter]}-separated header with {', '.join(columns)} is needed"
            )
        if names.count(column) > 1:
            raise UserError(f"{path}, line 1: {names.count(column)} columns are called {column!r}, one is needed")


def _checked(row, columns, delimiter, path, reader):
    """The row, if it has a printable value in each of ``columns`` and none beyond the header."""
    values = [row[column] for column in columns]
    if not all(values):
        raise UserError(
            f"{path}, line {reader.line_num}: {len(columns)} {DELIMITERS[delimiter]}-separated values are needed "
            f"({', '.join(columns)})"
        )
    if None in row and any(row[None]):
        raise UserError(
            f"{path}, line {reader.line_num}: {len(reader.fieldnames) + len(row[None])} "
            f"{DELIMITERS[delimiter]}-separated values, the table has {len(reader.fieldnames)} columns"
        )
    text = "".join(values)
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        raise UserError(f"{path}, line {reader.line_num}: a control character in {' '.join(values)!r}")
    return row


def normal_path(name, where):
    """The path of a file in a table, without ``./`` and doubled slashes, so that a file has one name.

    Raises a ``UserError`` that begins with ``where`` if it leads out of the data folder: absolute, or with ``..``.

    Example
    -------
    >>> normal_path("./audio//a.wav", "meta.csv, line 2")
    'audio/a.wav'
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"{where}: {name!r} must be a path below the data folder, without '..'")
    return path.as_posix()
