"""From command line to report: ``main`` of every recipe's ``train.py``."""

import dataclasses
import sys

import torch
from tqdm import tqdm

from mil_asc.errors import UserError
from mil_asc.runtime import hardware
from mil_asc.training.command_line import HELP, parse_command_line
from mil_asc.training.config import load_hparams, one_line_errors
from mil_asc.training.run_folder import RunFolder
from mil_asc.training.steps import TrainingRun

TORCH_WRITE_ERRORS = ("inline_container", "iostream error")
"""Parts of the messages of ``torch.save`` when a file cannot be written: it does not raise an ``OSError``."""


def main(arguments):
    """Train, evaluate and report as given on the command line; returns the exit status.

    A ``UserError`` prints one line on standard error and gives status 1; Ctrl-C prints one line and gives status 130.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return 0
    try:
        run(arguments)
    except UserError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)  # below a progress bar that is still open
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; the same command resumes from the last checkpoint, if one exists", file=sys.stderr)
        return 130
    return 0


def run(arguments):
    """Like ``main``, but raises errors and returns the content of ``report.json``."""
    options, hparams, settings = load_run(arguments)
    folder = RunFolder(hparams["output_folder"], debug=options.debug)
    try:
        folder.open(settings, training=not options.test_only)
        return TrainingRun(hparams, settings, options, folder).execute()
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from error
    except RuntimeError as error:
        if not any(part in str(error) for part in TORCH_WRITE_ERRORS):
            raise
        raise UserError(
            f"{folder.path}: a checkpoint cannot be written, most likely because the disk is full; "
            "free some space and start again"
        ) from error
    finally:
        folder.close()


def load_run(arguments):
    """The run options, the built hyperparameters and the resolved YAML text of a command line, after all checks."""
    path, options, overrides = parse_command_line(arguments)
    options = _with_device(options)
    hparams, settings = load_hparams(path, overrides)
    with one_line_errors(path):
        TrainingRun.check_settings(hparams)
    return options, hparams, settings


def _with_device(options):
    """The run options with device and precision filled in."""
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch without CUDA
        raise UserError(f"--device={device}: no such device is available; use --device=cpu") from error
    if torch.device(device).type == "cpu" and "fp16" in (options.precision, options.eval_precision):
        raise UserError("fp16 does not work on the CPU: use --precision=bf16 or fp32")
    chosen = {"device": device}
    if "precision" not in options.overridden_args:
        chosen["precision"] = hardware.best_precision(torch.device(device).type)
    return dataclasses.replace(options, **chosen, overridden_args=options.overridden_args | set(chosen))
