"""The ``model.yaml`` of a run, read as plain values into a ``ModelConfig``: nothing that the file names is run."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mil_asc.checks import check_names
from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.heads import Head
from mil_asc.model.model_config import FRONT_ENDS, HeadConfig, ModelConfig, all_arguments

MOST_YAML_BYTES = 150_000
MOST_DEPTH = 20
MOST_NODES = 15_000
"""Most bytes, levels and values of a ``model.yaml``; a value counts as often as aliases repeat it."""
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
PLAIN = "tag:yaml.org,2002:"
SCALARS = tuple(PLAIN + kind for kind in ("str", "int", "float", "bool", "null"))


class Built:
    """A class that the file names, and its arguments: nothing is built of it."""

    def __init__(self, cls: type, arguments: dict):
        self.cls = cls
        self.arguments = arguments


def read_model_yaml(content: bytes, where: object) -> ModelConfig:
    """The config that a run's ``model.yaml`` describes.

    Arguments
    ---------
    content : bytes
        The file. It may name the classes of ``FRONT_ENDS``, ``MILClassifier``, ``Head`` and the registered extractors.
    where : str or Path
        Its path, for messages.

    Raises
    ------
    UserError
        One line with ``where``: it is damaged, too large, or names anything else.
    """
    try:
        tree = _compose(content.decode("utf-8"), where)
        if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict):
            raise ValueError("it has no model.network")
        return _config_of(tree)
    except UserError:
        raise
    except (YAMLError, *REFUSALS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{where} is damaged: {reason[:300]}") from error


def _config_of(tree: dict) -> ModelConfig:
    """The config of the plain values of a file, with the defaults of all arguments that it leaves out."""
    labels: Any = tree.get("labels")
    check_names("labels", labels)
    unknown = [name for name in tree if name not in ("labels", "model")]
    if unknown:
        raise ArgumentError(f"unknown {unknown[0]!r:.80}; legal: labels, model")
    _, network = _opened("model.network", tree["model"].get("network"), [MILClassifier])
    front_ends = {cls: name for name, cls in FRONT_ENDS.items()}
    extractors = {cls: name for name, cls in registered_extractors().items()}
    front_end, front_values = _opened("front_end", network["front_end"], front_ends)
    extractor, arguments = _opened("extractor", network["extractor"], extractors)
    _, head = _opened("head", network["head"] or Built(Head, {}), [Head])
    classes = head.pop("num_classes")
    if type(classes) is not int or classes != len(labels):
        raise ArgumentError(f"{len(labels)} labels for a model of {classes!r:.80} classes")
    return ModelConfig(
        labels=list(labels),
        rule="smi" if head["pooling"] == "max" else "bag",
        front_end={"kind": front_ends[front_end]} | front_values,
        input_norm=network["input_norm"],
        extractor={"name": extractors[extractor], "arguments": arguments},
        head=HeadConfig(**head),
        batch_norm=network["batch_norm"],
    )


def _opened(name: str, value: object, legal: Iterable[type]) -> tuple[type, dict]:
    """(class, all its arguments) of a value that must name one of the ``legal`` classes."""
    if not isinstance(value, Built) or value.cls not in legal:
        names = ", ".join(sorted(cls.__name__ for cls in legal))
        raise ArgumentError(f"it has no {name} that is a {names}")
    return value.cls, all_arguments(value.cls, value.arguments)


# -- the tree of the file


def _compose(text: str, where: object) -> object:
    """The plain values of a YAML text, with ``Built`` in place of classes; its size is checked first."""
    if len(text) > MOST_YAML_BYTES:
        raise UserError(f"{where} is damaged: {len(text)} characters, at most {MOST_YAML_BYTES} are legal")
    depth = 0
    for count, event in enumerate(YAML(typ="safe", pure=True).parse(io.StringIO(text))):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_DEPTH or count > 2 * MOST_NODES:
            limits = f"{MOST_DEPTH} levels and {MOST_NODES} values"
            raise UserError(f"{where} is damaged: more than {limits}, which are legal")
    node = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    if node is None:
        return None
    classes = _class_tags()
    _check_tags(node, classes, where, set())
    _count(node, {}, where)
    return _plain(node, classes, YAML(typ="safe", pure=True).constructor)


def _class_tags() -> dict[str, type]:
    """The legal tags of classes."""
    classes = [*FRONT_ENDS.values(), MILClassifier, Head, *registered_extractors().values()]
    return {f"!new:{cls.__module__}.{cls.__qualname__}": cls for cls in classes}


def _check_tags(node: Node, classes: dict[str, type], where: object, seen: set[int]) -> None:
    """Refuse every tag but those of plain values and of the classes."""
    if id(node) in seen:
        return
    seen.add(id(node))
    tag = str(node.tag)
    plain = {MappingNode: [PLAIN + "map"], SequenceNode: [PLAIN + "seq"], ScalarNode: SCALARS}[type(node)]
    if tag not in plain and not (tag in classes and isinstance(node, MappingNode)):
        line = node.start_mark.line + 1
        raise UserError(f"{where}, line {line}: {tag:.100} is not allowed, only !new: of networks of mil_asc.model")
    for child in _children(node):
        _check_tags(child, classes, where, seen)


def _count(node: Node, known: dict[int, int], where: object) -> int:
    """Values of a node, each as often as aliases repeat it; a node within itself is refused."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MOST_NODES + 1  # until it is known: a node within itself is endless
    total = 1 + sum(_count(child, known, where) for child in _children(node))
    if total > MOST_NODES:
        raise UserError(f"{where} is damaged: its aliases stand for more than {MOST_NODES} values, which are legal")
    known[id(node)] = total
    return total


def _plain(node: Node, classes: dict[str, type], scalars: SafeConstructor) -> object:
    if isinstance(node, SequenceNode):
        return [_plain(child, classes, scalars) for child in node.value]
    if isinstance(node, ScalarNode):
        return scalars.construct_object(node)
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = _plain(key_node, classes, scalars)
        if not isinstance(key, str) or key in values:
            raise ArgumentError(f"line {key_node.start_mark.line + 1}: {key!r:.80} is no key, or stands twice")
        values[key] = _plain(value_node, classes, scalars)
    found = classes.get(str(node.tag))
    return values if found is None else Built(found, values)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, SequenceNode):
        yield from node.value
