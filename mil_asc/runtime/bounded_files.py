"""Files of a stranger: read only if they are plain files of a bounded size."""

import os
import stat
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.runtime.files import size_text


def check_plain_file(path: Path, most_bytes: int) -> None:
    """Refuse what is no plain file (a pipe would never end), or a file of more than ``most_bytes``.

    A link is followed. A file that is missing is refused too.

    Raises
    ------
    UserError
        One line with the path and the limit.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} has no {path.name} ({path.name} is missing)") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is no plain file")
    if found.st_size > most_bytes:
        raise UserError(f"{path} has {size_text(found.st_size)}: at most {size_text(most_bytes)} are legal")


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a plain file of at most ``most_bytes``; a ``UserError`` of one line for anything else."""
    check_plain_file(path, most_bytes)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size  # read() takes the memory that it is asked for
            content = file.read(min(size, most_bytes) + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > most_bytes:
        raise UserError(f"{path} has more than {size_text(most_bytes)}, which are legal")
    return content
