"""Audio files that cannot be used: which of a list are missing, and how bad ones are named in messages."""

import os
from collections.abc import Mapping
from itertools import islice

from mil_asc.corpora.manifest import Corpus

NAMED = 20
"""Bad files that a message names; it counts them all."""


def missing_files(corpus: Corpus) -> dict[str, str]:
    """The clips whose files do not exist: path -> reason. It takes a few seconds for a million of them."""
    folder = os.fspath(corpus.folder)
    return {clip.path: "no such file" for clip in corpus.clips if _is_missing(os.path.join(folder, clip.path))}


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # something is there that cannot be opened: the decoder says why
        return False
    return False


def describe_bad(folder: str | os.PathLike, bad: Mapping[str, str]) -> str:
    """One line that counts the bad files and names the first ``NAMED`` of them.

    Example
    -------
    >>> describe_bad("data", {"a.wav": "empty (0 bytes)", "b.wav": "no such file"})
    '2 bad audio file(s): data/a.wav: empty (0 bytes); data/b.wav: no such file'
    """
    named = [f"{os.path.join(folder, path)}: {reason}" for path, reason in islice(bad.items(), NAMED)]
    more = f" (and {len(bad) - NAMED} more)" if len(bad) > NAMED else ""
    return f"{len(bad)} bad audio file(s): {'; '.join(named)}{more}"
