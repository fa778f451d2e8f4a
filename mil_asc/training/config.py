"""A recipe's YAML file with overrides: strict keys, resolved text, built objects.

What a value must be is checked by the class or function that takes it; nothing here knows the keys of a block.
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
from mil_asc.training.blocks import choose_blocks
from mil_asc.training.keys import check_keys, nest, whole_keys

SECTIONS = ("experiment", "seed", "output_folder", "data", "model", "objective", "training")
"""Keys that the YAML file of a recipe must have."""
MANIFESTS, DATA_FOLDER = "manifests", "data_folder"
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, ImportError, OSError)
"""What classes raise for values they cannot use, and a YAML file that names what does not exist."""


def load_hparams(path, overrides):
    """Load a recipe's YAML file with overrides that must all match a key, at any depth.

    A key may be shortened to its end, such as ``n_mels`` for ``model.features.n_mels``: of several keys that end so
    the one nearest the top is meant. A section is given a block by its name: ``{"model": "bc_resnet"}``.

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
        A file that is no recipe's; an override that matches no key (with the nearest legal one) or no value;
        a ``!PLACEHOLDER`` without a value; a value that the class it goes to refuses.
    """
    resolved = resolve_settings(path, overrides)
    with refusals_of(path), modules_beside(path):
        hparams = load_hyperpyyaml(resolved)
        hparams["training"]["brain"].check_settings(hparams["training"])
        return hparams, resolved


def resolve_settings(path, overrides):
    """The resolved YAML text of ``load_hparams``, and its errors, except those of building objects."""
    with refusals_of(path):
        text = path.read_text(encoding="utf-8")
        if MANIFESTS in overrides:  # they name their audio themselves
            overrides = {DATA_FOLDER: str(overrides[MANIFESTS]), **overrides}
        text, overrides = choose_blocks(text, path, overrides)
        tree = _load(_resolve(text.replace("!PLACEHOLDER", '""'), path, {}))
        overrides = whole_keys(overrides, tree)
        check_keys(overrides, tree, path)
        resolved = _resolve(text, path, nest(overrides))
        _check_frame(_load(resolved), path)
        return resolved


@contextlib.contextmanager
def modules_beside(path):
    """Let a recipe's YAML file name classes of modules that lie beside its ``train.py``.

    Such a module is forgotten afterwards: another recipe may have one of the same name.
    """
    folder, known = path.resolve().parents[1], set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in sys.modules.keys() - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == folder:
                del sys.modules[name]


@contextlib.contextmanager
def refusals_of(path):
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


def _check_frame(tree, path):
    """The keys that every recipe has, and those of them that no class takes."""
    missing = [section for section in SECTIONS if section not in tree]
    if missing:
        raise UserError(f"{path} has no key {missing[0]}: name a recipe's YAML file, such as hparams/fuse_pnl.yaml")
    seed = tree["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 4294967295, got {seed!r}")
    for key, value in flatten(tree).items():
        if key in ("experiment", "output_folder", DATA_FOLDER, "data.cache_folder"):
            check_text(key, value)


class _NamedText:
    """A text stream with the name of the file it came from, against which includes are resolved."""

    def __init__(self, text, name):
        self.text, self.name = text, name

    def read(self, size=-1):
        """The whole text at the first call, nothing after."""
        text, self.text = self.text, ""
        return text
