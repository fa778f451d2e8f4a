"""The end of every program: an exit status, and one line on standard error instead of a traceback."""

import os
import sys
import warnings

from mil_asc.errors import ArgumentError, DoubtWarning, UserError, printable

CLOSED_PIPE = 141
"""Exit status where the reader of the output, such as ``head``, ended first: that of a process that SIGPIPE ended."""


def run_program(main):
    """Call ``main()`` and return its exit status, or that of what went wrong.

    What standard output cannot show is escaped; output that cannot be written, because the disk is full or a pipe was
    closed, is no traceback.
    """
    prepare_output()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DoubtWarning)
            warnings.showwarning = _show
            status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except (UserError, ArgumentError) as error:
        return _fail(error)
    except OSError as error:
        _discard_output()
        return _fail(f"{error.filename or 'the output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


def prepare_output():
    """Escape what the encoding of standard output cannot show; a stream that is closed discards what is printed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _show(message, category, filename, lineno, file=None, line=None):
    """A ``DoubtWarning`` as a line for users, other warnings as Python shows them."""
    if issubclass(category, DoubtWarning):
        print(f"warning: {printable(str(message))}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


def _fail(error):
    print(f"error: {error}", file=sys.stderr)
    return 1


def _discard_output():
    """What is still in the buffer would be written, and fail, when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
