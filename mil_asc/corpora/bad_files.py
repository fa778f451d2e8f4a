"""Audio files that cannot be used: which of a list are missing, and how bad ones are named in messages."""

import os
from collections.abc import Mapping

from mil_asc.corpora.manifest import Corpus
from mil_asc.corpora.remote_folder import RemoteFolder
from mil_asc.errors import name_some


def missing_files(corpus: Corpus) -> dict[str, str]:
    """The clips whose files do not exist: path -> reason. It takes a few seconds for a million of them."""
    if isinstance(corpus.folder, RemoteFolder):
        there = corpus.folder.objects
        return {clip.path: "no such file" for clip in corpus.clips if clip.path not in there}
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
    """One line that counts the bad files and names the first 20 of them.

    Example
    -------
    >>> describe_bad("data", {"a.wav": "empty (0 bytes)", "b.wav": "no such file"})
    '2 bad audio file(s): data/a.wav: empty (0 bytes); data/b.wav: no such file'
    """
    reasons = (f"{os.path.join(folder, path)}: {reason}" for path, reason in bad.items())
    return f"{len(bad)} bad audio file(s): {name_some(reasons, separator='; ', count=len(bad))}"
