"""The command line of a recipe: a YAML file, SpeechBrain's run options, and values of YAML keys.

Nothing large is imported here, so that a mistake is reported at once.
"""

from dataclasses import dataclass
from pathlib import Path

import ruamel.yaml

from mil_asc.errors import UserError
from mil_asc.results.settings import read_settings
from mil_asc.runtime.key_value import check_encodable
from mil_asc.training.config import resolve_settings
from mil_asc.training.habits import advice
from mil_asc.training.run_options import RUN_OPTIONS, read_run_option, refuse_option


@dataclass(frozen=True)
class Command:
    """A command line whose options and keys are legal.

    ``path``: the YAML file; ``options``: run options by name; ``settings``: the resolved YAML text.
    """

    path: Path
    options: dict
    settings: str

    @property
    def folds(self):
        """Number of folds of a cross-validation that are all to be trained; 0 for a run, which may be one of them."""
        settings = read_settings(self.settings)
        return 0 if settings.get("data.fold") else settings.get("data.folds", 0)


def read_command(arguments):
    """The ``Command`` of the words after the program's name; ``UserError`` if one of them is not legal."""
    path, options, overrides = parse_command_line(arguments)
    return Command(path, options, resolve_settings(path, overrides))


def parse_command_line(arguments):
    """Split a command line into the YAML file, the run options and the overrides.

    Arguments
    ---------
    arguments : list of str
        The words after the program's name. ``--key=value`` and ``--key value`` mean the same; a dot reaches a
        nested key.

    Returns
    -------
    (Path, dict, dict)
        The YAML file, the run options that were given by name, and the overrides: YAML values by key, as given.

    Raises
    ------
    UserError
        There is no YAML file or more than one, an option has no value, a switch has one, or a run option does not
        work here.
    """
    files, options, overrides = [], {}, {}
    rest = list(arguments)
    for word in rest:
        check_encodable(word)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            files.append(word)
            continue
        key, given, value = word.removeprefix("--").partition("=")
        refuse_option(key)
        if not word.startswith("--"):
            raise UserError(f"unknown option {word}: options begin with --, such as --learning_rate=0.01")
        if key in RUN_OPTIONS and RUN_OPTIONS[key].kind is bool:
            if given or (rest and rest[0].lower() in ("true", "false")):
                raise UserError(f"--{key} is a switch and takes no value")
            options[key] = True
            continue
        if not given:
            value = _next_value(key, rest)
        if key in RUN_OPTIONS:
            options[key] = read_run_option(key, value)
        else:
            overrides[key] = _yaml_value(key, value)
    return _the_one_file(files), options, overrides


def _next_value(key, rest):
    """Remove the value of ``--key value`` from the ``rest`` of the words, and return it."""
    if not rest or rest[0].startswith("--"):
        hint = "" if key in RUN_OPTIONS else advice(key, {name: name for name in RUN_OPTIONS})
        raise UserError(f"--{key} needs a value: --{key}=VALUE{'; ' if hint else ''}{hint}")
    return rest.pop(0)


def _the_one_file(files):
    if len(files) != 1:
        example = "python train.py hparams/fuse_pnl.yaml --data_folder=DIR"
        raise UserError(f"one YAML file is needed, got {', '.join(files) or 'none'}: {example}")
    path = Path(files[0])
    if not path.is_file():
        raise UserError(f"{path} is not a file: name a YAML file such as hparams/fuse_pnl.yaml")
    return path


def _yaml_value(key, text):
    """Parse numbers, booleans, null, and bracketed or quoted values as YAML; everything else is plain text."""
    structured = text.startswith(("[", "{", "'", '"'))
    try:
        value = ruamel.yaml.YAML(typ="safe").load(text)
    except (ruamel.yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: thousands of digits
        if structured or not isinstance(error, ruamel.yaml.YAMLError):
            raise UserError(f"--{key}: {text!r:.80} is not a YAML value") from error
        return text
    if value is None and text.strip().lower() not in ("", "~", "null"):  # a comment, such as a folder called #1
        return text
    return value if structured or value is None or isinstance(value, (bool, int, float)) else text
