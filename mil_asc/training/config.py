"""The command line of a recipe: SpeechBrain's run options, and overrides of YAML values, both strict."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import contextlib
import dataclasses
import math
import re
import typing
from difflib import get_close_matches
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from speechbrain.utils.run_opts import RunOptions

from mil_asc.errors import UserError
from mil_asc.mil.pooling import POOLINGS
from mil_asc.model.heads import CONFIDENCES, GENERATORS
from mil_asc.model.normalization import INPUT_NORMS
from mil_asc.results.settings import flatten, tag_of

NO_OPTIONS = set(
    "param_file overridden_args tqdm_barcolor tqdm_colored_bar skip_nonfinite_grads nonfinite_patience log_config"
    " distributed_launch profile_training profile_warmup profile_steps auto_mix_prec bfloat16_mix_prec"
    " optimizer_step_limit".split()
)
"""Run options of SpeechBrain that mean nothing to this training loop, and are refused for it."""
RUN_OPTIONS = {field.name for field in dataclasses.fields(RunOptions)} - NO_OPTIONS
FLAGS = {field.name for field in dataclasses.fields(RunOptions) if field.default is False} & RUN_OPTIONS
SECTIONS = ("experiment", "seed", "output_folder", "data", "model", "objective", "training")
"""Keys that the YAML file of a recipe must have."""
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, ImportError, OSError)
"""What classes raise for values they cannot use, and a YAML file that names what is not there."""
HELP = """usage: python train.py HPARAMS.yaml [--KEY=VALUE ...]

Any value of the YAML file can be set: --number_of_epochs=20, --model.num_blocks=2. The end of a key is
enough: --n_mels=128 sets model.features.n_mels.
Run options: --device=cpu|cuda|cuda:1, --precision=fp32|bf16, --debug (two batches, two epochs),
--test_only (evaluate a trained run), --noprogressbar, --ckpt_interval_minutes=10 (and the others of
SpeechBrain). Bad audio: --on_bad_audio=skip. Hold out locations: --data.validation_fraction=0.1.
A run that was stopped resumes when it is started again with the same output folder."""


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value):
    return isinstance(value, str) and value != ""


def _are_sizes(value):
    return isinstance(value, list) and len(value) > 0 and all(_is_whole(size) and size > 0 for size in value)


def _are_names(value):
    return isinstance(value, list) and all(map(_is_text, value)) and 0 < len(set(value)) == len(value)


TEXT = """text (a number needs quotes of its own: "'7'")"""
LEGAL = {
    "number_of_epochs batch_size evaluate_every num_classes instance_dim n_mels sample_rate debug_batches debug_epochs"
    " grad_accumulation_factor train_clips evaluate_clips detectors bands c base_channels filters": (
        "a whole number from 1 up",
        lambda value: _is_whole(value) and value >= 1,
    ),
    "seed split_seed": ("a whole number from 0 to 4294967295", lambda value: _is_whole(value) and 0 <= value < 2**32),
    "precise_bn_clips num_blocks generator_seed": (
        "a whole number from 0 up",
        lambda value: _is_whole(value) and value >= 0,
    ),
    "frequency_kernel time_kernel": (
        "an odd whole number",
        lambda value: _is_whole(value) and value > 0 and value % 2 == 1,
    ),
    "learning_rate window_ms hop_ms log_floor seconds": (
        "a number above 0",
        lambda value: _is_number(value) and value > 0,
    ),
    "weight_decay warmup_epochs clip_seconds": ("a number from 0 up", lambda value: _is_number(value) and value >= 0),
    "momentum validation_fraction dropout": (
        "a number from 0 up, below 1",
        lambda value: _is_number(value) and 0 <= value < 1,
    ),
    "max_grad_norm": ("a number above 0, or -1 for no clipping", lambda value: _is_number(value) and value != 0),
    "on_bad_audio": ("stop or skip", lambda value: value in ("stop", "skip")),
    "experiment output_folder cache_folder": (TEXT, _is_text),
    "data_folder": (TEXT, lambda value: isinstance(value, str)),
    "instances": (f"one of {', '.join(GENERATORS)}", GENERATORS.__contains__),
    "pooling": (f"one of {', '.join(POOLINGS)}", POOLINGS.__contains__),
    "confidence": (f"one of {', '.join(CONFIDENCES)}", CONFIDENCES.__contains__),
    "input_norm": (f"one of {', '.join(INPUT_NORMS)}", INPUT_NORMS.__contains__),
    "channels blocks": ("a list of whole numbers from 1 up", _are_sizes),
    "labels": ("a list of different names", _are_names),
}
"""Keys whose values are checked wherever they stand, what they must be, and the test of it."""
RULES = {key: rule for keys, rule in LEGAL.items() for key in keys.split()}


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
    files, options, overrides = [], {}, {}
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
            options[key] = True
            continue
        if not given:
            if not rest or rest[0].startswith("--"):
                near = get_close_matches(key, sorted(FLAGS), n=1)
                hint = f"; did you mean --{near[0]}?" if near else ""
                raise UserError(f"--{key} needs a value: --{key}=VALUE{hint}")
            value = rest.pop(0)
        if key in RUN_OPTIONS:
            options[key] = _run_option(key, value)
        else:
            _set(overrides, key, value)
    if len(files) != 1:
        example = "python train.py hparams/fuse_pnl.yaml --data_folder=DIR"
        raise UserError(f"one YAML file is needed, got {', '.join(files) or 'none'}: {example}")
    path = Path(files[0])
    if not path.is_file():
        raise UserError(f"{path} is not a file: name a YAML file such as hparams/fuse_pnl.yaml")
    return path, RunOptions(**options, param_file=str(path), overridden_args=set(options)), overrides


def load_hparams(path, overrides):
    """Load a recipe's YAML file with overrides that must all match a key, at any depth.

    A key may be shortened to its end, such as ``n_mels`` for ``model.features.n_mels``: of several keys that end so
    the one that stands highest is meant.

    Returns
    -------
    (dict, str)
        The built hyperparameters, and the resolved YAML text they were built from.

    Raises
    ------
    UserError
        A file that is no recipe's; an override that names no key (with the nearest legal one) or no value;
        a ``!PLACEHOLDER`` without a value; a value that ``LEGAL`` or the class it goes to refuses.
    """
    resolved = resolve_settings(path, overrides)
    with _refusals_of(path):
        return load_hyperpyyaml(resolved), resolved


def resolve_settings(path, overrides):
    """The resolved YAML text of ``load_hparams``, and its errors, except those of building objects."""
    with _refusals_of(path):
        text = path.read_text(encoding="utf-8")
        tree = _load(_resolve(text.replace("!PLACEHOLDER", '""'), path, {}))
        overrides = _with_whole_keys(overrides, tree)
        _check_overrides(overrides, tree, path)
        resolved = _resolve(text, path, overrides)
        _check_values(_load(resolved), path)
        return resolved


@contextlib.contextmanager
def _refusals_of(path):
    """Turn what YAML and classes raise into a ``UserError`` of one line that names the file."""
    try:
        yield
    except (ruamel.yaml.YAMLError, *REFUSALS) as error:
        words = error.args if all(isinstance(part, str) for part in error.args) else [str(error)]
        message = " ".join(" ".join(words).split()) or type(error).__name__
        missing = re.search(r"'([^']+)' is a !PLACEHOLDER", message)
        if missing:
            key = missing[1].replace("[", ".").replace("]", "")
            raise UserError(f"{path}: {key} has no value: give --{key}=...") from error
        raise UserError(f"{path}: {message}") from error


def _resolve(text, path, overrides):
    """The text of a YAML file with overrides, includes and references resolved and objects not built."""
    return resolve_references(_NamedText(text, path), overrides).getvalue()


def _load(text):
    tree = ruamel.yaml.YAML().load(text)
    return tree if isinstance(tree, dict) else {}


def _with_whole_keys(overrides, tree):
    """The overrides with shortened keys written out; those that fit no key, or several, are left for the check."""
    legal, whole = flatten(tree), {}
    for key, value in flatten(overrides).items():
        if not isinstance(value, dict) or not value:
            _insert(whole, _whole_key(key, legal), value)
    return whole


def _whole_key(key, legal):
    """The key of fewest parts among those that end with ``key``; ``key`` itself where there is no such one.

    Arguments of code are left out: a value that is passed on to them stands elsewhere under a name of its own.
    """
    if key in legal:
        return key
    group, _, last = key.rpartition(".")
    if group and _is_open(legal.get(_whole_key(group, legal))):
        return f"{_whole_key(group, legal)}.{last}"
    ending = [name for name in legal if name.endswith(f".{key}") and not _is_argument(name, legal)]
    least = min((name.count(".") for name in ending), default=0)
    highest = [name for name in ending if name.count(".") == least]
    return highest[0] if len(highest) == 1 else key


def _is_argument(key, legal):
    """Whether ``key`` lies within a mapping that is passed to code."""
    parents = [key[:end] for end, letter in enumerate(key) if letter == "."]
    return any(tag_of(legal[parent]) for parent in parents)


def _nearest(key, legal):
    """The key or run option that looks most like ``key``, by its end where ``key`` is one word; None without any."""
    whole = {name: name for name in [*legal, *RUN_OPTIONS]}
    if "." not in key:
        ends = {name.rpartition(".")[2] for name in legal if not _is_argument(name, legal)}
        whole = {name: name for name in RUN_OPTIONS} | {end: _whole_key(end, legal) for end in ends}
    near = get_close_matches(key, sorted(whole), n=1, cutoff=0.0)
    return whole[near[0]] if near else None


def _is_open(node):
    """Whether a node is an empty mapping, which takes keys of any name."""
    return isinstance(node, dict) and not node and not tag_of(node)


def _check_overrides(overrides, tree, path):
    legal = flatten(tree)
    for key, value in flatten(overrides).items():
        if _is_open(legal.get(key.rpartition(".")[0])):
            continue
        if key not in legal:
            near = _nearest(key, legal)
            hint = f"did you mean --{near}? " if near else ""
            raise UserError(f"unknown option --{key}; {hint}(keys of {path} and run options are legal)")
        node = legal[key]
        if isinstance(node, dict) and node and not (isinstance(value, dict) and value):
            raise UserError(f"--{key} is a group of values: set one of them, such as --{key}.{next(iter(node))}=...")
        if tag_of(node) and not isinstance(node, dict):
            raise UserError(f"--{key} names code ({tag_of(node)}), which only a YAML file may change")


def _check_values(tree, path):
    missing = [section for section in SECTIONS if section not in tree]
    if missing:
        raise UserError(f"{path} has no key {missing[0]}: name a recipe's YAML file, such as hparams/fuse_pnl.yaml")
    for key, value in flatten(tree).items():
        if not tag_of(value):
            _check_value(key, value, f"{path}: {key}")


def _check_value(key, value, where):
    words, holds = RULES.get(key.rpartition(".")[2], (None, None))
    if words and not holds(value):
        raise UserError(f"{where} must be {words}, got {value!r}")


class _NamedText:
    """A text stream with the name of the file it came from, against which includes are resolved."""

    def __init__(self, text, name):
        self.text, self.name = text, name

    def read(self, size=-1):
        """The whole text at the first call, nothing after."""
        text, self.text = self.text, ""
        return text


def _run_option(name, text):
    """The value of a run option, of the type SpeechBrain declares for it."""
    kind = typing.get_type_hints(RunOptions)[name]
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else None
    if choices and text not in choices:
        raise UserError(f"--{name} must be one of {', '.join(choices)}; got {text!r}")
    if choices:
        return text
    kind = (typing.get_args(kind) or (kind,))[0]  # Optional[int] is int from here on
    if typing.get_origin(kind) is list:
        return text.split(",")
    try:
        value = kind(text)
    except ValueError as error:
        raise UserError(f"--{name} must be a {'whole ' if kind is int else ''}number; got {text!r}") from error
    _check_value(name, value, f"--{name}")
    return value


def _set(tree, key, text):
    _insert(tree, key, _yaml_value(key, text))


def _insert(tree, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"--{key}: {parent} was given a value and a part at once")
    tree[last] = value


def _yaml_value(key, text):
    """A number, boolean, null, bracketed or quoted value as YAML reads it; all else is the text as it stands."""
    structured = text.startswith(("[", "{", "'", '"'))
    try:
        value = ruamel.yaml.YAML(typ="safe").load(text)
    except ruamel.yaml.YAMLError as error:
        if structured:
            raise UserError(f"--{key}: {text!r} is not a YAML value") from error
        return text
    return value if structured or value is None or isinstance(value, (bool, int, float)) else text
