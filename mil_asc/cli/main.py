"""The command ``mil-asc`` and its exit status.

Exit status: 0 all good; 1 an error, in one line; 2 wrong usage; 3 some recordings could not be classified; 130 stopped
by Ctrl-C; 141 the reader of the output ended first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import click

import mil_asc
from mil_asc.errors import UserError
from mil_asc.runtime.program import run_program

NAME = "mil-asc"
COMMANDS = ("classify", "explain", "live", "serve", "info", "evaluate", "ensemble", "pack", "push", "export")
COMPLETION = """Completion of commands and options by the Tab key: put the line of your shell into its start-up file.

\b
  bash   eval "$(_MIL_ASC_COMPLETE=bash_source mil-asc)"     ~/.bashrc
  zsh    eval "$(_MIL_ASC_COMPLETE=zsh_source mil-asc)"      ~/.zshrc
  fish   _MIL_ASC_COMPLETE=fish_source mil-asc | source      ~/.config/fish/config.fish
"""


class OutputClosed(Exception):
    """The reader of standard output, such as ``head``, ended; click would turn a ``BrokenPipeError`` into status 1."""


class Commands(click.Group):
    """The commands, whose modules are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"mil_asc.cli.{cmd_name}_command").command

    def invoke(self, ctx: click.Context) -> int:
        """Run a command; its exit status."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosed from error


@click.group(NAME, cls=Commands, epilog=COMPLETION, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mil_asc.__version__, "-V", "--version", prog_name=NAME, message="%(prog)s %(version)s")
def commands() -> None:
    """Acoustic scene classification with multiple-instance learning.

    Classify recordings, see which moments decided, and turn a training run into a model that others can use.

    \b
    Examples:
      mil-asc classify street.wav --model synthscenes-fuse-pnl
      mil-asc classify recordings/ --model my-model --to scenes.csv
      mil-asc explain street.wav --model my-model --to street.html
      mil-asc live --model my-model
      mil-asc serve --model my-model
      mil-asc pack results/fuse_pnl/seed-1 --to my-model
      mil-asc COMMAND --help
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default that of the process) and return its exit status."""
    return run_program(_catching(lambda: commands.main(arguments, prog_name=NAME, standalone_mode=False)))


def _catching(run: Callable[[], int | None]) -> Callable[[], int]:
    """``run`` with click's exceptions turned into a status, or into those of ``run_program``."""

    def caught() -> int:
        try:
            return run() or 0
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort as error:
            raise KeyboardInterrupt from error
        except OutputClosed as error:
            raise BrokenPipeError from error
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if name in ("", "mil_asc"):
                raise
            raise UserError(f"this needs the package {name}: install mil_asc with its dependencies") from error

    return caught


if __name__ == "__main__":
    sys.exit(main())
