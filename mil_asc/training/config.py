"""A recipe's YAML file with overrides: checked keys, resolved text, built objects.

Values are checked by the class or function that takes them; this file does not know the keys of a block.
"""

import contextlib
import re
import sys
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references

from mil_asc.checks import check_text
from mil_asc.errors import UserError
from mil_asc.results.settings import flatten
from mil_asc.runtime.remote_files import refuse_url
from mil_asc.training.blocks import choose_blocks
from mil_asc.training.fold_options import folder_of_folds
from mil_asc.training.keys import check_keys, full_keys, nest

SECTIONS = ("experiment", "seed", "output_folder", "data", "model", "objective", "training")
"""Required keys of a recipe's YAML file."""
MANIFESTS, DATA_FOLDER, OUTPUT_FOLDER = "manifests", "data_folder", "output_folder"
TEXTS = ("experiment", OUTPUT_FOLDER, DATA_FOLDER, "data.name", "data.data_folder", "data.cache_folder")
"""Keys whose values are text, which no class checks."""
LOCAL = (OUTPUT_FOLDER, "data.cache_folder")
"""Folders that are written to."""
WITH_MANIFESTS = (MANIFESTS, DATA_FOLDER, "cache_folder", "on_bad_audio", "validation_fraction", "name")
"""Keys of a data block that have an effect when manifests give the lists; the others are for the set's reader."""
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, ImportError, OSError)
"""Exceptions of classes that refuse a value, and of YAML files that name something that does not exist."""


def load_hparams(path, overrides):
    """Load a recipe's YAML file with overrides; each of them must match a key, at any depth.

    The end of a key is enough, such as ``n_mels`` for ``model.features.n_mels``; if several keys have this end, the one
    of fewest parts is chosen. The name of a block replaces a section: ``{"model": "bc_resnet"}``.

    Arguments
    ---------
    path : Path
        The file.
    overrides : dict
        Values by key.

    Returns
    -------
    (dict, str)
        The built hyperparameters, and the resolved YAML text they were built from.

    Raises
    ------
    UserError
        The file is not a recipe's; an override matches no key (the message states the nearest one) or has no value; a
        ``!PLACEHOLDER`` has no value; a class refuses its value.
    """
    resolved = resolve_settings(path, overrides)
    return build_hparams(path, resolved), resolved


def build_hparams(path, resolved):
    """The hyperparameters of ``load_hparams``, built from the resolved YAML text of the file at ``path``."""
    with one_line_errors(path), modules_beside(path):
        hparams = load_hyperpyyaml(resolved)
        hparams["training"]["brain"].check_settings(hparams["training"])
        return hparams


def resolve_settings(path, overrides):
    """The resolved YAML text of ``load_hparams``; raises the same errors, except those of building objects."""
    with one_line_errors(path):
        text, overrides = checked_overrides(path, overrides)
        resolved = _resolve(text, path, nest(overrides))
        tree = _load(resolved)
        _check_top_level(tree, path)
        own = folder_of_folds(tree, overrides)
        return _resolve(text, path, nest(overrides | {OUTPUT_FOLDER: own})) if own else resolved


def settings_tree(path, overrides):
    """The tree of all values that a recipe's YAML file has with overrides; ``REQUIRED`` if one has to be given."""
    with one_line_errors(path):
        text, overrides = checked_overrides(path, overrides)
        return _load(_resolve(_filled(text), path, nest(overrides)))


def checked_overrides(path, overrides):
    """The YAML text with the blocks that ``overrides`` name, and the other overrides by dotted key, which are legal."""
    text = path.read_text(encoding="utf-8")
    if MANIFESTS in overrides:  # these contain the paths of their audio
        check_text(MANIFESTS, overrides[MANIFESTS])
        overrides = {DATA_FOLDER: str(overrides[MANIFESTS]), **overrides}
    text, overrides = choose_blocks(text, path, overrides)
    tree = _load(_resolve(_filled(text), path, {}))
    overrides = full_keys(overrides, tree)
    check_keys(overrides, tree, path)
    _check_manifest_options(overrides)
    return text, overrides


@contextlib.contextmanager
def modules_beside(path):
    """Allow a recipe's YAML file to name classes of modules next to its ``train.py``.

    These modules are removed from ``sys.modules`` afterwards: another recipe may have one of the same name.
    """
    folder, known = path.resolve().parents[1], set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in sys.modules.keys() - known:
            file = vars(sys.modules[name]).get("__file__")  # not getattr: SpeechBrain's lazy modules import on it
            if file and Path(file).parent == folder:
                del sys.modules[name]


@contextlib.contextmanager
def one_line_errors(path):
    """Turn the exceptions of YAML and of classes into a ``UserError`` of one line that names the file."""
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


def _check_manifest_options(overrides):
    """Refuse options for the set's reader where manifests replace it: the settings would record what was not used."""
    if not overrides.get(f"data.{MANIFESTS}", overrides.get(MANIFESTS)):
        return
    for key in overrides:
        section, _, rest = key.partition(".")
        if section == "data" and rest.partition(".")[0] not in WITH_MANIFESTS:
            raise UserError(f"--{rest} has no effect with --manifests, which give the lists: leave out one of them")


def _filled(text):
    """A YAML text with the text ``REQUIRED`` for every ``!PLACEHOLDER``."""
    return text.replace("!PLACEHOLDER", "REQUIRED")


def _resolve(text, path, overrides):
    """The text of a YAML file with overrides, includes and references resolved; no objects are built."""
    return resolve_references(_NamedText(text, path), overrides).getvalue()


def _load(text):
    tree = ruamel.yaml.YAML().load(text)
    return tree if isinstance(tree, dict) else {}


def _check_top_level(tree, path):
    """Check the keys that every recipe has, and the values of those that no class takes."""
    missing = [section for section in SECTIONS if section not in tree]
    if missing:
        raise UserError(f"{path} has no key {missing[0]}: name a recipe's YAML file, such as hparams/fuse_pnl.yaml")
    seed = tree["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 4294967295, got {seed!r}")
    for key, value in flatten(tree).items():
        if key in TEXTS or (key == f"data.{MANIFESTS}" and value != ""):
            check_text(key, value)
        if key in LOCAL:
            refuse_url(key, value)


class _NamedText:
    """A text stream with the name of its file; includes are resolved relative to it."""

    def __init__(self, text, name):
        self.text, self.name = text, name

    def read(self, size=-1):
        """The complete text at the first call, then an empty text."""
        text, self.text = self.text, ""
        return text
