"""Names that end in the format of other content: only the ending says which program decodes a file."""

from __future__ import annotations

import os
from pathlib import PurePath

from mil_asc.audio.ffmpeg import needs_ffmpeg

_HEAD_BYTES = 16
_BY_MAGIC = (
    (0, b"RIFF", "WAV", ".wav"),
    (0, b"RF64", "WAV", ".wav"),
    (0, b"fLaC", "FLAC", ".flac"),
    (0, b"OggS", "Ogg", ".ogg"),
    (0, b"ID3", "MP3", ".mp3"),
    (0, b"\xff\xfb", "MP3", ".mp3"),
    (0, b"FORM", "AIFF", ".aiff"),
    (0, b"caff", "CAF", ".caf"),
    (4, b"ftyp", "MP4", ".m4a"),
    (0, b"\x1aE\xdf\xa3", "WebM", ".webm"),
    (0, b"\xff\xf1", "AAC", ".aac"),
    (0, b"\xff\xf9", "AAC", ".aac"),
)
"""Where a file has which bytes, its format, and an ending by which it is decoded."""


def ending_hint(path: str | os.PathLike, name: str) -> str:
    """What to say of a file that cannot be decoded where its ending is that of another decoder; else nothing.

    Arguments
    ---------
    path : str or Path
        The file.
    name : str
        What it is called: its ending chose the decoder.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
    ...     _ = file.write(b"\\xff\\xf1" + bytes(100)), file.flush()
    ...     ending_hint(file.name, "a.mp3"), ending_hint(file.name, "a.aac")
    ('; it looks like AAC, which the ending .mp3 does not say: name it .aac', '')
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):  # what is wrong with it has been said
        return ""
    for place, magic, form, ending in _BY_MAGIC:
        if head[place:].startswith(magic) and needs_ffmpeg(f"x{ending}") != needs_ffmpeg(name):
            suffix = PurePath(name).suffix
            said = f"which the ending {suffix} does not say" if suffix else "and its name has no ending"
            return f"; it looks like {form}, {said}: name it {ending}"
    return ""
