"""Formats that libsndfile does not read, decoded by the ffmpeg program where it is installed."""

import errno
import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import PurePath
from typing import BinaryIO

from mil_asc.audio.containers import TooLong, Undecodable, UnusableAudio
from mil_asc.errors import UserError
from mil_asc.runtime.tied_program import tied

FFMPEG_SUFFIXES = (".m4a", ".aac", ".mp4", ".webm")
"""Endings of files that ffmpeg decodes, in upper or lower case (libsndfile reads ``.opus`` itself)."""
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac"
"""What ffmpeg may take a file for, by its own names."""
TIME_LIMIT = 600
"""Longest time for one file (in seconds)."""
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_REASON_CHARACTERS = 200  # of what ffmpeg says, in a message
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


def needs_ffmpeg(path: str | os.PathLike) -> bool:
    """True for files that only ffmpeg decodes, by the ending of their name.

    Example
    -------
    >>> needs_ffmpeg("park/a.M4A"), needs_ffmpeg("park/a.opus")
    (True, False)
    """
    return PurePath(path).suffix.lower() in FFMPEG_SUFFIXES


def has_ffmpeg() -> bool:
    """True where the program is installed."""
    return shutil.which("ffmpeg") is not None


def conversion_command(path: str | os.PathLike) -> str:
    """The command that converts a file to WAV.

    Example
    -------
    >>> conversion_command("park/a.m4a")
    'ffmpeg -i park/a.m4a park/a.wav'
    """
    return shlex.join(["ffmpeg", "-i", str(path), str(PurePath(path).with_suffix(".wav"))])


@functools.cache
def ffmpeg_version() -> str:
    """First line of ``ffmpeg -version``; empty where it is not installed."""
    if not has_ffmpeg():
        return ""
    done = subprocess.run(["ffmpeg", "-version"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return done.stdout.decode(errors="replace").partition("\n")[0]


def convert(path: str | os.PathLike, max_seconds: float) -> BinaryIO:
    """First audio stream of a file as a WAV file of float samples, at its own rate and channels.

    The WAV file has no name, and is gone when it is closed. It is in memory where the system can do that (Linux), and
    in the folder of temporary files elsewhere.

    Arguments
    ---------
    path : str or Path
        A local file; ffmpeg may open no other.
    max_seconds : float
        Longer recordings are cut off there.

    Returns
    -------
    BinaryIO
        At its start; to be closed by the caller.

    Raises
    ------
    UnusableAudio
        ffmpeg is not installed, cannot decode the file, or takes longer than ``TIME_LIMIT``.
    OSError
        There is no room for the WAV file.
    UserError
        There is no folder for temporary files.
    TooLong
        Decoded, the file is larger than this process may write (``RLIMIT_FSIZE``).
    """
    if not has_ffmpeg():
        command = conversion_command(PurePath(path).name)
        raise Undecodable(f"needs ffmpeg, which is not installed here: install it, or convert the file ({command})")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-xerror", "-protocol_whitelist", "file"]
    command += ["-format_whitelist", CONTAINERS, "-i"]  # no play lists, which name other files
    command += ["file:" + os.fsdecode(path), "-map", "0:a:0", "-t", f"{max_seconds:.0f}"]
    command += ["-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
    wav = _nameless_file()
    try:
        _run(command, wav, "file:" + os.fsdecode(path))
        wav.seek(0)
    except BaseException:
        wav.close()
        raise
    return wav


def _nameless_file() -> BinaryIO:
    memfd_create = getattr(os, "memfd_create", None)  # only Linux has it, and not every build of Python there
    if memfd_create is not None:
        return os.fdopen(memfd_create("wav"), "w+b", buffering=0)
    try:
        return tempfile.TemporaryFile(prefix="mil_asc_", buffering=0)
    except FileNotFoundError as error:  # not the recording, which an OSError would be taken for
        raise UserError(f"ffmpeg needs a folder for temporary files: set TMPDIR ({error.strerror})") from error


def _run(command: list[str], output: BinaryIO, source: str) -> None:
    try:
        done = subprocess.run(
            tied(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=TIME_LIMIT,
            check=False,
            start_new_session=True,  # an interrupt from the keyboard is not an error of the file
        )
    except subprocess.TimeoutExpired as error:
        raise UnusableAudio(f"ffmpeg did not decode it within {TIME_LIMIT} s") from error
    if os.fstat(output.fileno()).st_size == _most_bytes():
        raise TooLong("decoded, it takes more memory than is allowed: cut it into parts")
    said = " ".join(_ADDRESS.sub("", done.stderr.decode(errors="replace").replace(source, "the file")).split())
    for number in _DISK_FULL_ERRNOS:
        if os.strerror(number) in said:
            raise OSError(number, os.strerror(number))
    if done.returncode or "ended prematurely" in said:
        raise Undecodable(f"ffmpeg cannot decode it ({said[:_REASON_CHARACTERS] or f'status {done.returncode}'})")


def _most_bytes() -> int:
    """Largest file that this process and those that it starts may write; below 0: any."""
    import resource  # missing on Windows

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0]
