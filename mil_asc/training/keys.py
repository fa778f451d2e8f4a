"""Keys on the command line: short keys are completed, unknown and forbidden keys are refused."""

from mil_asc.errors import UserError, name_some
from mil_asc.results.settings import flatten, tag_of
from mil_asc.runtime.key_value import check_no_reference
from mil_asc.training.blocks import blocks_with
from mil_asc.training.habits import advice
from mil_asc.training.run_options import RUN_OPTIONS


def full_keys(overrides, tree):
    """Complete shortened keys of overrides; keys that match none or several do not change, and fail the check later.

    A group of values, such as ``model={"num_blocks": 2}``, becomes its parts, so that it does not replace other values
    of the group that were given before it. The last of two values is used.

    Arguments
    ---------
    overrides : dict
        Values by key, as given on the command line.
    tree : dict
        The recipe's settings, resolved.

    Returns
    -------
    dict
        Values by dotted key.
    """
    legal, found = flatten(tree), {}
    for key, value in overrides.items():
        for name, part in _parts(_full_key(key, legal), value, legal):
            found.pop(name, None)  # to its place in the order
            found[name] = part
    return found


def _parts(key, value, legal):
    """The dotted keys and values that a value stands for: several for a group of values."""
    node = legal.get(key)
    if not (isinstance(value, dict) and value and isinstance(node, dict) and node):
        return [(key, value)]
    return [pair for name, part in value.items() for pair in _parts(f"{key}.{name}", part, legal)]


def check_keys(overrides, tree, path):
    """Raise a ``UserError`` if the file at ``path`` does not allow one of the overrides (values by dotted key)."""
    legal = flatten(tree)
    for key, value in overrides.items():
        if _is_open(legal.get(key.rpartition(".")[0])):
            continue
        if key not in legal:
            found = blocks_with(key.rpartition(".")[2], path)
            where = f"it is a value of {name_some(found, 3)}, which this experiment does not include" if found else ""
            hint = where or advice(key, _spellings(key, legal))
            raise UserError(
                f"unknown option --{key}{'; ' if hint else ''}{hint} (python train.py {path} --help lists all options)"
            )
        node = legal[key]
        if isinstance(node, dict) and node and not (isinstance(value, dict) and value):
            raise UserError(f"--{key} is a group of values: set one of them, such as --{key}.{next(iter(node))}=...")
        if isinstance(value, dict) and value and not isinstance(node, dict):
            raise UserError(f"--{key} takes a value, not a group of values; got {value!r:.80}")
        check_no_reference(f"--{key}", value)
        if tag_of(node) and not isinstance(node, dict):
            raise UserError(f"--{key} names code ({tag_of(node)}), which can only be changed in a YAML file")


def nest(flat):
    """Values by dotted key as nested mappings: ``{"a.b": 1}`` as ``{"a": {"b": 1}}``."""
    tree = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UserError(f"--{key}: {parent} is set both as a value and as a group of values")
        node[last] = value
    return tree


def _full_key(key, legal):
    """The key of fewest parts among those that end with ``key``; ``key`` itself if there is none, or more than one.

    Arguments of code do not count: their values have a separate key.
    """
    if key in legal:
        return key
    group, _, last = key.rpartition(".")
    if group and _is_open(legal.get(_full_key(group, legal))):
        return f"{_full_key(group, legal)}.{last}"
    ending = [name for name in legal if name.endswith(f".{key}") and not _is_argument(name, legal)]
    least = min((name.count(".") for name in ending), default=0)
    highest = [name for name in ending if name.count(".") == least]
    return highest[0] if len(highest) == 1 else key


def _is_argument(key, legal):
    """Whether ``key`` is inside a mapping that is passed to code."""
    parents = [key[:end] for end, letter in enumerate(key) if letter == "."]
    return any(tag_of(legal[parent]) for parent in parents)


def _spellings(key, legal):
    """What ``key`` may be meant to be: run options, and keys (their ends if ``key`` is one word) -> full keys.

    Groups of values are left out, except the sections, for which the name of a block is a value.
    """
    options = {name: name for name in RUN_OPTIONS}
    names = [name for name, node in legal.items() if not isinstance(node, dict) or "." not in name]
    if "." in key:
        return options | {name: name for name in names}
    ends = {name.rpartition(".")[2] for name in names if not _is_argument(name, legal)}
    return options | {end: _full_key(end, legal) for end in ends}


def _is_open(node):
    """Whether a node is an empty mapping, which accepts any key."""
    return isinstance(node, dict) and not node and not tag_of(node)
