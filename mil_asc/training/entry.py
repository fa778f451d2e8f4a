"""From command line to report: ``main`` of every recipe's ``train.py``.

A wrong command line is refused before PyTorch and SpeechBrain, which take seconds to import, are needed.
"""

import os
import sys

from tqdm import tqdm

from mil_asc.errors import UserError
from mil_asc.training.command_line import read_command
from mil_asc.training.options_help import help_text, wants_help


def main(arguments):
    """Train, evaluate and report as given on the command line; returns the exit status.

    A ``UserError`` prints one line on standard error and gives status 1; Ctrl-C prints one line and gives status 130.
    """
    try:
        if wants_help(arguments):
            print_help(arguments)
        else:
            run(arguments)
    except UserError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)  # below a progress bar that is still open
        return 1
    except KeyboardInterrupt:
        tqdm.write("stopped; the same command resumes from the last checkpoint, if one exists", file=sys.stderr)
        return 130
    return 0


def print_help(arguments):
    """Print the help; a reader such as ``head`` may close the pipe before its end."""
    text = help_text(arguments)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at exit


def run(arguments):
    """Like ``main``, but raises errors and returns the content of ``report.json``."""
    command = read_command(arguments)
    from mil_asc.training.cross_validate import cross_validate  # these import PyTorch and SpeechBrain
    from mil_asc.training.execution import execute

    return cross_validate(arguments) if command.folds else execute(command)
