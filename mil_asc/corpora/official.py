"""The official development sets: archives, counts, oddities (``official.yaml``)."""

from importlib.resources import files

from ruamel.yaml import YAML


def read_datasets():
    """What is known of each official development set (lower-case name -> dictionary), archives included."""
    text = files("mil_asc.corpora").joinpath("official.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe", pure=True).load(text)
