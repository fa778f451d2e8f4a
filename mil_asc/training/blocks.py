"""The shared blocks of ``hparams/``: those that a recipe's YAML file includes, and those chosen by name."""

import io
import re
from pathlib import Path

import ruamel.yaml

from mil_asc.errors import UserError
from mil_asc.results.settings import tag_of

INCLUDE = "!include:"
NESTED = re.compile(r"!include:(?:\S*/)?([^/\s]+)\.yaml")


def choose_blocks(text, path, overrides):
    """Replace blocks of a recipe's YAML text by other blocks of the same folder.

    Arguments
    ---------
    text : str
        The recipe's YAML text, in which a section such as ``model`` is an ``!include:`` of a file of ``hparams/``.
    path : Path
        The recipe's file; includes are relative to it.
    overrides : dict
        Values by key; text as the value of a section names a block: ``{"model": "bc_resnet"}``.

    Returns
    -------
    (str, dict)
        The text with the new blocks, and the overrides without them. If no ``experiment`` is given, the blocks' names
        are appended to the experiment's name, so that its results get their own folder. What the recipe sets of a part
        that the new block has another file for, such as ``n_mels`` where a model takes the waveform, is left out.

    Raises
    ------
    UserError
        There is no block of that name (the message lists the legal ones), or the recipe sets a key that it lacks.
    """
    tree = ruamel.yaml.YAML().load(text)
    tree = tree if isinstance(tree, dict) else {}
    files = {key: path.parent / tag[len(INCLUDE) :] for key, node in tree.items() if (tag := _include(node))}
    chosen = {key: name for key, name in overrides.items() if key in files and isinstance(name, str)}
    for key, name in chosen.items():
        _check_name(key, name, files[key])
        if name != files[key].stem:
            if _drop_foreign_values(tree[key], files[key], files[key].with_name(f"{name}.yaml")):
                text = _with_section(text, key, tree[key])
            old = re.escape(files[key].name)
            text = re.sub(rf"(?m)^({key}:\s*{INCLUDE}\S*?){old}", rf"\g<1>{name}.yaml", text)
            files[key] = files[key].with_name(f"{name}.yaml")
    for key, file in files.items():
        _check_body(key, tree[key], file, path)
    overrides = {key: value for key, value in overrides.items() if key not in chosen}
    added = [name for key, name in chosen.items() if name != Path(_include(tree[key])).stem]
    if added and "experiment" not in overrides:
        overrides["experiment"] = "-".join([str(tree.get("experiment", path.stem)), *added])
    return text, overrides


def legal_names(folder):
    """Names of the blocks in a folder, without files that other files of the folder include as parts."""
    files = sorted(folder.glob("*.yaml"))
    parts = {name for file in files for name in NESTED.findall(file.read_text(encoding="utf-8"))}
    return [file.stem for file in files if file.stem not in parts]


def blocks_with(key, path):
    """Blocks that have a value of this name, such as ``training/sgd_pruned``, beside those of a recipe's YAML file."""
    tree = _load(path)
    folders = {
        (path.parent / tag[len(INCLUDE) :]).parent.resolve() for node in tree.values() if (tag := _include(node))
    }
    files = sorted(file for root in {folder.parent for folder in folders} for file in root.glob("*/*.yaml"))
    return [f"{file.parent.name}/{file.stem}" for file in files if key in _load(file)]


def _include(node):
    """The tag of a node that includes a file, else an empty text."""
    tag = tag_of(node) or ""
    return tag if tag.startswith(INCLUDE) else ""


def _drop_foreign_values(section, old_file, new_file):
    """Remove values of a ``section`` that only the old block's parts have, where the new block includes other parts.

    Returns whether there were any.
    """
    old, new = (_load(file) for file in (old_file, new_file))
    found = False
    for key in [key for key, values in section.items() if isinstance(values, dict)]:
        before, after = _include(old.get(key)), _include(new.get(key))
        if before and after and before != after:
            legal = [_load(file.parent / tag[len(INCLUDE) :]) for file, tag in ((old_file, before), (new_file, after))]
            for name in [name for name in section[key] if name in legal[0] and name not in legal[1]]:
                del section[key][name]
                found = True
            if not section[key]:
                del section[key]
    return found


def _with_section(text, key, section):
    """The YAML text with another content of a section."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump({key: section}, stream)
    return re.sub(rf"(?m)^{key}:.*(?:\n[ \t].*)*", lambda _: stream.getvalue().rstrip("\n"), text)


def _load(file):
    tree = ruamel.yaml.YAML().load(file.read_text(encoding="utf-8"))
    return tree if isinstance(tree, dict) else {}


def _check_name(key, name, file):
    names = legal_names(file.parent)
    if name not in names:
        raise UserError(f"--{key}: there is no block {name!r} in {file.parent.name}/; legal: {', '.join(names)}")


def _check_body(where, node, file, path):
    """Refuse keys below an include that the included file lacks: they would be set and never read."""
    if not isinstance(node, dict) or not file.is_file():
        return
    block = ruamel.yaml.YAML().load(file.read_text(encoding="utf-8"))
    for key, value in node.items():
        if key not in block:
            raise UserError(f"{path}: {where}.{key} is set, but {file.name} has no such key")
        tag = _include(block[key])
        if tag and isinstance(value, dict):
            _check_body(f"{where}.{key}", value, file.parent / tag[len(INCLUDE) :], path)
