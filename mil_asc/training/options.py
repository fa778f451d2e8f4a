"""The command line of a recipe: SpeechBrain's run options, and overrides of YAML values, both strict."""

import dataclasses
import re
from difflib import get_close_matches
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from speechbrain.utils.run_opts import RunOptions

from mil_asc.errors import UserError

FLAGS = {field.name for field in dataclasses.fields(RunOptions) if field.default is False}
RUN_OPTIONS = {field.name for field in dataclasses.fields(RunOptions)} - {"param_file", "overridden_args"}
HELP = """usage: python train.py HPARAMS.yaml [--KEY=VALUE ...]

Any value of the YAML file can be set: --number_of_epochs=20, --model.num_blocks=2.
Run options: --device=cpu|cuda|cuda:1, --precision=fp32|bf16, --debug (two batches, two epochs),
--test_only (evaluate a trained run), --noprogressbar, --ckpt_interval_minutes=10 (and the others of
SpeechBrain). A run that was stopped resumes when it is started again with the same output folder."""


def parse_command_line(arguments):
    """Split a command line into the YAML file, the run options and the overrides.

    Arguments
    ---------
    arguments : list of str
        What stands behind the program's name. ``--key=value`` and ``--key value`` mean the same; a dot
        reaches a nested key.

    Returns
    -------
    (Path, RunOptions, dict)
        The overrides are nested mappings of YAML values.

    Raises
    ------
    UserError
        No or several YAML files, an option without a value, a flag with one.
    """
    files, options, overrides = [], [], {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            files.append(word)
            continue
        key, given, value = word[2:].partition("=")
        if key in FLAGS:
            if given or (rest and rest[0].lower() in ("true", "false")):
                raise UserError(f"--{key} is a switch and takes no value: give it or leave it out")
            options.append(word)
            continue
        if not given:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"--{key} needs a value: --{key}=VALUE")
            value = rest.pop(0)
        if key in RUN_OPTIONS:
            options.extend([f"--{key}", value])
        else:
            _set(overrides, key, value)
    if len(files) != 1:
        raise UserError(f"one YAML file is needed, got {files or 'none'}: python train.py hparams/fuse_pnl.yaml --data_folder=DIR")
    path = Path(files[0])
    if not path.is_file():
        raise UserError(f"{path} is not a file: name a YAML file such as hparams/fuse_pnl.yaml")
    return path, _run_options(path, options), overrides


def load_hparams(path, overrides):
    """Load a recipe's YAML file with overrides that must all match a key, at any depth.

    Returns
    -------
    (dict, str)
        The built hyperparameters, and the resolved YAML text they were built from.

    Raises
    ------
    UserError
        An override that names no key (with the nearest legal one), a ``!PLACEHOLDER`` without a value, a
        value that the class it goes to refuses.
    """
    with open(path, encoding="utf-8") as file:
        legal = _flat_keys(_resolve(file, {}, placeholders=True))
    for key in _flat_keys(overrides, leaves=True):
        if key not in legal:
            known = sorted(legal | RUN_OPTIONS)
            near = get_close_matches(key, known, n=1, cutoff=0.0)
            raise UserError(f"unknown option --{key}; did you mean --{near[0]}? (keys of {path} and run options are legal)")
    try:
        with open(path, encoding="utf-8") as file:
            text = resolve_references(file, overrides).getvalue()
        return load_hyperpyyaml(text), text
    except (ValueError, TypeError) as error:
        message = " ".join(str(part) for part in error.args).strip()
        missing = re.search(r"'([^']+)' is a !PLACEHOLDER", message)
        if missing:
            key = missing[1].replace("[", ".").replace("]", "")
            raise UserError(f"{path}: {key} has no value: give --{key}=...") from error
        raise UserError(f"{path}: {message}") from error


def flatten(tree, prefix=""):
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _flat_keys(tree, prefix="", leaves=False):
    keys = set()
    for key, value in tree.items():
        nested = isinstance(value, dict) and len(value) > 0
        if not (leaves and nested):
            keys.add(f"{prefix}{key}")
        if nested:
            keys |= _flat_keys(value, f"{prefix}{key}.", leaves)
    return keys


def _resolve(file, overrides, placeholders):
    """The tree of a YAML file with includes and references resolved and objects not built."""
    text = file.read()
    if placeholders:
        text = text.replace("!PLACEHOLDER", '""')
    stream = _NamedText(text, file.name)
    return ruamel.yaml.YAML().load(resolve_references(stream, overrides))


class _NamedText:
    """A text stream with the name of the file it came from, against which includes are resolved."""

    def __init__(self, text, name):
        self.text, self.name = text, name

    def read(self, size=-1):
        """The whole text at the first call, nothing after."""
        text, self.text = self.text, ""
        return text


def _run_options(path, options):
    try:
        _, run_options, _ = RunOptions.from_command_line_args([str(path), *options])
    except SystemExit as error:
        raise UserError(f"a run option has a value of the wrong kind: {' '.join(options)}") from error
    return run_options


def _set(tree, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"--{key}: {parent} was given a value and a part at once")
    try:
        tree[last] = ruamel.yaml.YAML(typ="safe").load(value)
    except ruamel.yaml.YAMLError as error:
        raise UserError(f"--{key}: {value!r} is not a YAML value") from error
