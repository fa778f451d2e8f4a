"""From command line to report: ``main`` of every recipe's ``train.py``.

A wrong command line is refused before PyTorch and SpeechBrain, which take seconds to import, are needed.
"""

import os
import sys

from mil_asc.errors import UserError
from mil_asc.training.command_line import read_command
from mil_asc.training.one_voice import ENDED, RanksLost, first_to_end, listen_to_torchrun, say, say_lost
from mil_asc.training.options_help import help_text, wants_help


def main(arguments):
    """Train, evaluate and report as given on the command line; returns the exit status.

    A ``UserError`` prints one line on standard error and gives status 1; Ctrl-C prints one line and gives status 130.
    Of several ranks, the first that ends so prints its line.
    """
    listen_to_torchrun()
    try:
        if wants_help(arguments):
            print_help(arguments)
        else:
            run(arguments)
    except UserError as error:
        return end_with(error)
    except KeyboardInterrupt:
        say(f"stopped; {ENDED}")
        return 130
    except Exception:  # a fault of the program, which all ranks may meet: the first shows its traceback
        if not first_to_end():
            return 1
        raise
    return 0


def end_with(error):
    """Print a ``UserError``; returns the exit status."""
    if isinstance(error, RanksLost):
        say_lost(str(error))
    else:
        say(f"error: {error}")
    return 1


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
