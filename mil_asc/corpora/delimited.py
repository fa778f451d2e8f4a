"""Text tables with one line per clip."""

import csv

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
        Not UTF-8, no such column, or a line with a value missing: one line with file and line number.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    names = None if header else columns
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, names, delimiter=delimiter, quoting=quoting)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise UserError(
                    f"{path}, line 1: no column {missing[0]!r}; "
                    f"a {DELIMITERS[delimiter]}-separated header with {', '.join(columns)} is needed"
                )
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise UserError(f"{path} is no {DELIMITERS[delimiter]}-separated text: {error}") from error
    for line, row in rows:
        if any(not row[column] for column in columns):
            raise UserError(
                f"{path}, line {line}: {len(columns)} {DELIMITERS[delimiter]}-separated values are needed "
                f"({', '.join(columns)})"
            )
    return rows
