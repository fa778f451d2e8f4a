"""The command line of a recipe: a YAML file, SpeechBrain's run options, and values of YAML keys."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import dataclasses
import typing
from difflib import get_close_matches
from pathlib import Path

import ruamel.yaml
from speechbrain.utils.run_opts import RunOptions

from mil_asc.checks import check_count, check_number
from mil_asc.errors import UserError

NO_OPTIONS = set(
    "param_file overridden_args tqdm_barcolor tqdm_colored_bar skip_nonfinite_grads nonfinite_patience log_config"
    " distributed_launch profile_training profile_warmup profile_steps auto_mix_prec bfloat16_mix_prec"
    " optimizer_step_limit".split()
)
"""Run options of SpeechBrain that have no effect on this training loop, and are therefore refused."""
RUN_OPTIONS = {field.name for field in dataclasses.fields(RunOptions)} - NO_OPTIONS
FLAGS = {field.name for field in dataclasses.fields(RunOptions) if field.default is False} & RUN_OPTIONS
HELP = """usage: python train.py HPARAMS.yaml [--KEY=VALUE ...]

Any value of the YAML file can be set: --number_of_epochs=20, --model.num_blocks=2. The end of a key is
enough: --n_mels=128 sets model.features.n_mels.
Blocks of hparams/ are chosen by name: --model=bc_resnet --objective=gt --training=sgd_small.
Manifests that <set>_prepare.py wrote: --manifests=SAVE_FOLDER.
Run options: --device=cpu|cuda|cuda:1, --precision=fp32|bf16, --debug (two batches, two epochs),
--test_only (evaluate a trained run), --noprogressbar, --ckpt_interval_minutes=10 (and the others of
SpeechBrain). Bad audio: --on_bad_audio=skip. Hold out locations: --data.validation_fraction=0.1.
A run that was stopped resumes if the same command is given again."""


def parse_command_line(arguments):
    """Split a command line into the YAML file, the run options and the overrides.

    Arguments
    ---------
    arguments : list of str
        The words after the program's name. ``--key=value`` and ``--key value`` mean the same; a dot reaches a
        nested key.

    Returns
    -------
    (Path, RunOptions, dict)
        The YAML file, the run options, and the overrides: YAML values by key, as given.

    Raises
    ------
    UserError
        There is no YAML file or more than one, an option has no value, or a flag has one.
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
                raise UserError(f"--{key} is a switch and takes no value")
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
            overrides[key] = _yaml_value(key, value)
    path = _the_one_file(files)
    return path, RunOptions(**options, param_file=str(path), overridden_args=set(options)), overrides


def _the_one_file(files):
    if len(files) != 1:
        example = "python train.py hparams/fuse_pnl.yaml --data_folder=DIR"
        raise UserError(f"one YAML file is needed, got {', '.join(files) or 'none'}: {example}")
    path = Path(files[0])
    if not path.is_file():
        raise UserError(f"{path} is not a file: name a YAML file such as hparams/fuse_pnl.yaml")
    return path


def _run_option(name, text):
    """The value of a run option, in the type that SpeechBrain declares for it."""
    kind = typing.get_type_hints(RunOptions)[name]
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else None
    if choices and text not in choices:
        raise UserError(f"--{name} must be one of {', '.join(choices)}; got {text!r}")
    if choices:
        return text
    kind = (typing.get_args(kind) or (kind,))[0]  # Optional[int] becomes int
    if typing.get_origin(kind) is list:
        return text.split(",")
    try:
        value = kind(text)
    except ValueError as error:
        raise UserError(f"--{name} must be a {'whole ' if kind is int else ''}number; got {text!r}") from error
    try:
        _check_run_option(name, value)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return value


def _check_run_option(name, value):
    if name in ("debug_batches", "debug_epochs", "grad_accumulation_factor"):
        check_count(name, value)
    if name == "max_grad_norm":
        check_max_grad_norm(value)


def check_max_grad_norm(value):
    """Refuse norms that would stop or reverse the training (``ValueError``); -1 means no clipping."""
    check_number("max_grad_norm", value)
    if value == 0:
        raise ValueError("max_grad_norm must be a number above 0, or -1 for no clipping; 0 would stop the training")


def _yaml_value(key, text):
    """Parse numbers, booleans, null, and bracketed or quoted values as YAML; everything else is plain text."""
    structured = text.startswith(("[", "{", "'", '"'))
    try:
        value = ruamel.yaml.YAML(typ="safe").load(text)
    except ruamel.yaml.YAMLError as error:
        if structured:
            raise UserError(f"--{key}: {text!r} is not a YAML value") from error
        return text
    return value if structured or value is None or isinstance(value, (bool, int, float)) else text
