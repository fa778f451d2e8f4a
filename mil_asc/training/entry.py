"""From command line to report: ``main`` of every recipe's ``train.py``."""

import dataclasses
import sys

import torch
from tqdm import tqdm

from mil_asc.errors import UserError
from mil_asc.runtime import hardware
from mil_asc.training.command_line import HELP, parse_command_line
from mil_asc.training.config import load_hparams, refusals_of
from mil_asc.training.run_folder import RunFolder
from mil_asc.training.steps import TrainingRun

TORCH_WRITES = ("inline_container", "iostream error")
"""What ``torch.save`` says when a file cannot be written: it raises no ``OSError``."""


def main(arguments):
    """Train, evaluate and report as the command line says; returns the exit status.

    A ``UserError`` becomes one line on standard error and status 1, Ctrl-C one line and status 130.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return 0
    try:
        run(arguments)
    except UserError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)  # below a progress bar that is still there
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; the same command goes on from the last checkpoint, if there is one yet", file=sys.stderr)
        return 130
    return 0


def run(arguments):
    """As ``main``, but errors are raised and the content of ``report.json`` is returned."""
    options, hparams, settings = load_run(arguments)
    folder = RunFolder(hparams["output_folder"], debug=options.debug)
    try:
        folder.open(settings, training=not options.test_only)
        return TrainingRun(hparams, settings, options, folder).execute()
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from error
    except RuntimeError as error:
        if not any(place in str(error) for place in TORCH_WRITES):
            raise
        raise UserError(
            f"{folder.path}: a checkpoint cannot be written, most likely because the disk is full; "
            "make room and start again"
        ) from error
    finally:
        folder.close()


def load_run(arguments):
    """The run options, the built hyperparameters and the resolved YAML text of a command line, all checked."""
    path, options, overrides = parse_command_line(arguments)
    options = _with_device(options)
    hparams, settings = load_hparams(path, overrides)
    with refusals_of(path):
        TrainingRun.check_settings(hparams)
    return options, hparams, settings


def _with_device(options):
    """The run options with device and precision settled."""
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
