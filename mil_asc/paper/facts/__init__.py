"""Published facts that come with the package: the paper's tables, and the systems it compares with."""

import csv
import io
from importlib.resources import files


def read_table(name):
    """The rows of a packaged ``.csv``, such as ``published_systems.csv``, each a dictionary (column -> text)."""
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))
