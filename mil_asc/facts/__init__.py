"""Published facts that come with the package: data sets and their archives, the paper's tables, other systems."""

import csv
import io
from importlib.resources import files

from ruamel.yaml import YAML


def read_text(name):
    """The text of one packaged file, such as ``published_systems.csv``."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def read_table(name):
    """The rows of a packaged ``.csv``, each a dictionary (column -> text)."""
    return list(csv.DictReader(io.StringIO(read_text(name), newline="")))


def read_datasets():
    """What is known of each official development set (lower-case name -> dictionary), archives included."""
    return YAML(typ="safe", pure=True).load(read_text("datasets.yaml"))
