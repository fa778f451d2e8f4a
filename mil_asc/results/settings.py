"""Resolved settings, the YAML text that a run keeps: its keys, and what two of them differ in."""

import ruamel.yaml
from ruamel.yaml.comments import CommentedBase

IGNORED_KEYS = (
    *("data_folder", "manifests", "output_folder", "cache_folder", "folder", "subset_folder"),
    "on_bad_audio",
)
"""Last parts of the keys that may change between two starts of a run: where things are, what to do with bad files."""
LATER_KEYS = {"data.folds": "0", "data.fold": "0", "data.split_seed": "1"}
"""Keys that not all earlier runs have -> the value that these runs were trained with."""


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """Every node of a tree under its dotted key: ``{"a": {"b": 1}}`` as ``{"a": {"b": 1}, "a.b": 1}``."""
    flat = {}
    for key, value in tree.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
    return flat


def tag_of(node: object) -> str | None:
    """The tag of a YAML node, such as ``!new:mil_asc.model.classifier.MILClassifier``; None for plain values."""
    return node.tag.value if isinstance(node, CommentedBase) else None


def class_of(node: object) -> str:
    """Name of the class or function that a YAML node builds or names; empty for plain values."""
    return (tag_of(node) or "").rpartition(".")[2]


def read_settings(text: str) -> dict[str, object]:
    """The nodes of a resolved YAML text by dotted key, as ``flatten`` gives them."""
    return flatten(ruamel.yaml.YAML().load(text))


def setting_texts(nodes: dict[str, object]) -> dict[str, str]:
    """Values of all settings as text, tags included, by dotted key; without ``IGNORED_KEYS`` and empty values.

    A group's own text is its tag alone: its values have keys of their own. ``LATER_KEYS`` that are missing are added.
    """
    texts = dict(LATER_KEYS)
    for key, node in nodes.items():
        text = f"{tag_of(node) or ''} {'' if isinstance(node, dict) else node}".strip()
        if text and key.rpartition(".")[2] not in IGNORED_KEYS:
            texts[key] = text
    return texts


def changed_settings(old: str, new: str) -> dict[str, tuple[str | None, str | None]]:
    """Keys, sorted, that two resolved YAML texts differ in: key -> (value in ``old``, value in ``new``).

    A value is text, tags included, or None where there is no such key. ``IGNORED_KEYS`` do not count.

    Example
    -------
    >>> changed_settings("seed: 1\\ndata_folder: a", "seed: 2\\ndata_folder: b")
    {'seed': ('1', '2')}
    """
    if old == new:
        return {}
    before, now = setting_texts(read_settings(old)), setting_texts(read_settings(new))
    keys = sorted(before.keys() | now.keys())
    return {key: (before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)}
