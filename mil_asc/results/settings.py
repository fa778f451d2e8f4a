"""Resolved settings of a run: YAML text, its nodes by dotted key, their tags."""

from ruamel.yaml.comments import CommentedBase


def flatten(tree, prefix=""):
    """Every node of a tree under its dotted key: ``{"a": {"b": 1}}`` as ``{"a": {"b": 1}, "a.b": 1}``."""
    flat = {}
    for key, value in tree.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
    return flat


def tag_of(node):
    """The tag of a YAML node, such as ``!new:mil_asc.model.classifier.MILClassifier``; None for plain values."""
    return node.tag.value if isinstance(node, CommentedBase) else None
