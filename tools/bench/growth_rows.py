"""The rows of ``tools/growth.py``, a CSV file that grows by one with each measured step, and their exponents."""

import csv
import io
import math
import platform
from importlib.metadata import PackageNotFoundError, version

import mil_asc
from mil_asc.errors import UserError
from mil_asc.runtime import hardware
from mil_asc.runtime.files import write_atomically
from mil_asc.studies.rows_file import rows_as_text

NUMBERS = ("seconds", "cpu_seconds", "peak_mib")
PACKAGES = ("torch", "onnxruntime", "pyarrow", "soundfile")
FACTS = ("settings", "machine", "versions")
COLUMNS = ("step", "files", *NUMBERS, *FACTS)


def facts_here(settings):
    """What the numbers of a row depend on, by column."""
    versions = [f"mil_asc {mil_asc.__version__}", f"python {platform.python_version()}", *map(_with_version, PACKAGES)]
    return {"settings": settings, "machine": hardware.processor_name(), "versions": ", ".join(versions)}


def _with_version(package):
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def read_rows(path, steps):
    """(step, number of files) -> column -> value, numbers as float; empty where there is no file.

    Raises
    ------
    UserError
        The file cannot be read; a row lacks columns, has another step than ``steps``, a number that is none, or is
        there twice; rows differ in settings, machine or versions.
    """
    rows, found = rows_as_text(path), {}
    for line, row in enumerate(rows, 2):
        where = f"{path}, line {line}"
        if tuple(row) != COLUMNS or None in row.values():
            raise UserError(f"{where}: not a row of growth.py, whose columns are {', '.join(COLUMNS)}")
        if row["step"] not in steps:
            raise UserError(f"{where}: unknown step {row['step']!r:.80}; legal: {', '.join(steps)}")
        row |= {name: _number(row[name], name, where) for name in (*NUMBERS, "files")}
        key = row["step"], int(row["files"])
        if key in found:
            raise UserError(f"{where}: a second row of {key[0]}, {key[1]} files")
        found[key] = row
        check_facts(path, found, {name: rows[0][name] for name in FACTS})
    return found


def _number(text, name, where):
    try:
        if 0 < float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise UserError(f"{where}: {name} must be a number above 0, got {text!r:.80}")


def check_facts(path, rows, facts):
    """Refuse rows of other settings, of another machine or of other versions (``UserError``)."""
    for (step, files), row in rows.items():
        for name in FACTS:
            if row[name] != facts[name]:
                raise UserError(
                    f"{path}: the row of {step}, {files} files has the {name} {row[name]!r}, not {facts[name]!r}: "
                    "remove it, or give another file with --csv"
                )


def write_rows(path, rows, steps):
    """Write all rows, by step and number of files."""
    order = list(steps)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for (step, files), row in sorted(rows.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        numbers = {name: f"{row[name]:.4g}" for name in NUMBERS}
        writer.writerow({**row, "step": step, "files": files, **numbers})
    write_atomically(path, text.getvalue())


class Curve:
    """The numbers of a step over the numbers of files, the smallest first."""

    def __init__(self, rows, step):
        self.rows = [row for (name, _), row in sorted(rows.items(), key=lambda item: item[0][1]) if name == step]
        self.files = [int(row["files"]) for row in self.rows]

    def values(self, name):
        """One of ``NUMBERS`` at each number of files."""
        return [row[name] for row in self.rows]

    def exponents(self, name):
        """Of each size to the next: 1 where the number grows as the files do, 0 where it stays.

        Example
        -------
        >>> rows = {("list", n): {"files": n, "seconds": 0.5 + n / 100} for n in (100, 1000)}
        >>> [round(exponent, 2) for exponent in Curve(rows, "list").exponents("seconds")]
        [0.85]
        """
        values, files = self.values(name), self.files
        pairs = zip(values, values[1:], files, files[1:])
        return [math.log(more / less) / math.log(many / few) for less, more, few, many in pairs]

    def per_file(self, name):
        """What a further file takes, between each size and the next."""
        values, files = self.values(name), self.files
        return [(more - less) / (many - few) for less, more, few, many in zip(values, values[1:], files, files[1:])]

    def constant(self, name):
        """What is left at the smallest size without its files, at the price of a further file after it."""
        return max(self.values(name)[0] - self.files[0] * self.per_file(name)[0], 0.0)
