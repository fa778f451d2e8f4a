"""The table of a study's results, a CSV file that grows by one row with each run that finishes."""

import csv
import io
import math

from mil_asc.errors import UserError
from mil_asc.results.settings import read_settings
from mil_asc.runtime.files import write_atomically


def rows_as_text(path):
    """Rows of a CSV file by column, as text; none where there is no file. ``UserError`` if it cannot be read."""
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_rows(path, study):
    """Rows of the file by their key (``Study.key``), as text by column; empty where there is no file.

    Raises
    ------
    UserError
        The file cannot be read, lacks columns, has scores that are no finite numbers, or a row twice.
    """
    measures, found = study.measures, {}
    needed = {*study.factors, "seed", *measures.settings, *measures.numbers}
    for line, row in enumerate(rows_as_text(path), 2):
        if None in row or None in row.values() or not needed <= row.keys():
            raise UserError(f"{path}, line {line}: not a row of the study {study.name}")
        for name in measures.numbers:
            if not _is_finite(row[name]):
                raise UserError(f"{path}, line {line}: {name} must be a finite number, got {row[name]!r:.80}")
        if study.key(row) in found:
            raise UserError(f"{path}, line {line}: a second row of {', '.join(study.key(row))}")
        found[study.key(row)] = row
    return found


def _is_finite(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def write_rows(path, study, rows):
    """Write ``rows`` (key -> column -> value), those of the study's runs in their order."""
    order = {key: position for position, key in enumerate(study.keys())}
    ordered = sorted(rows.items(), key=lambda item: order.get(item[0], len(order)))
    text = io.StringIO()
    columns = list(dict.fromkeys(column for _, row in ordered for column in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for _, row in ordered)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def check_current(path, study, rows, settings_of):
    """Refuse rows that were made with other settings than their command has now (``UserError``).

    ``settings_of`` maps a planned run to its resolved settings (YAML text).
    """
    for key, run in study.keys().items():
        if key not in rows:
            continue
        nodes = read_settings(settings_of(run))
        now = {name: _setting(nodes, name) for name in study.measures.settings}
        for name in study.measures.settings:
            if rows[key][name] != now[name]:
                raise UserError(
                    f"{path}: the row of {', '.join(key)} was made with {name} {rows[key][name]}, now it is "
                    f"{now[name]}: delete the row, or give another file with --csv"
                )


def _setting(nodes, name):
    """The value of the first setting called ``name`` as text, as ``Run.setting`` finds it."""
    values = (node for key, node in nodes.items() if key.rpartition(".")[2] == name)
    return str(next((node for node in values if not isinstance(node, dict)), None))
