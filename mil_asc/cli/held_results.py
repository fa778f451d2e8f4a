"""Results that one process writes at a time, and that belong to one model with one set of options."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from mil_asc.errors import UserError
from mil_asc.presentation.scene_formats import plain
from mil_asc.runtime.remote_files import absolute, is_url

FOLDER, FOLDERS = "working folder", "folders of the recordings"
"""Names in the settings: what paths of rows are relative to, and names of files."""
START_ANEW = "give the same, name another --to, or start anew with --force"


@contextlib.contextmanager
def named(place: str | Path) -> Iterator[None]:
    """Let the error of a write, such as that of a full disk, name the file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(place)
        raise


def recording_of(row: str, folder: str | None) -> str:
    """What a row's path names: a URL, or a full path; ``folder``, by default the working folder, is where it starts.

    Two spellings of a path are one recording.
    """
    return absolute(row if is_url(row) else os.path.join(plain(folder or os.getcwd()), row))


def changed(path: str | Path) -> int:
    """When a file was last written (in ns); 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@contextlib.contextmanager
def complete_file(place: Path, force: bool) -> Iterator[Path]:
    """A path to write to that becomes ``place`` when all went well, and is removed otherwise, by the next if killed."""
    partial = place.with_name(f".{place.name}.partial")
    with open(partial, "a", encoding="utf-8") as held:
        _lock(held, place)
        if changed(partial) == 0 or os.fstat(held.fileno()).st_ino != os.stat(partial).st_ino:
            raise UserError(f"{place} was written by another mil-asc classify just now: name another --to")
        try:
            with named(place):
                yield partial
            if not force and place.exists():
                os.replace(partial, other := Path(f"{place}.new"))
                raise UserError(f"{place} was made by another program meanwhile: the results are in {other}")
            os.replace(partial, place)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def locked_settings(
    place: Path, file: Path, settings: dict[str, Any], force: bool, clear: Callable[[], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Hold the settings' file, which must be free and have these settings.

    Results without such a file are those of something else and stay, unless ``force`` starts anew: before the settings
    change, ``clear`` removes the results, by default the file at ``place``. The block gets the time that the settings
    were written (in ns), and those of before, empty if there were none.
    """
    is_folder = file.parent == place
    if is_folder:
        if place.exists() and not place.is_dir():
            raise UserError(f"{place} is a file: name a folder for --to")
        place.mkdir(parents=True, exist_ok=True)
    elif place.exists() and not file.exists() and not force:
        raise UserError(f"{place} is there already, and not from mil-asc classify (no {file.name}): {START_ANEW}")
    with open(file, "a+", encoding="utf-8", errors="replace") as held:
        _lock(held, place)
        held.seek(0)
        before = "" if force else held.read()
        if force and clear is not None:
            clear()
        elif force and not is_folder:
            place.unlink(missing_ok=True)
        found = _check_same(place, before, settings) if before else {}
        if not before:
            held.truncate(0)
            held.write(json.dumps(settings, indent=1) + "\n")
            held.flush()
        try:
            yield os.stat(file).st_mtime_ns, found
        finally:
            if not place.exists():
                file.unlink(missing_ok=True)


def _check_same(place: Path, before: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of before, which must be the same."""
    try:
        found = json.loads(before)
        others = [key for key in settings if key not in (FOLDER, FOLDERS) and found.get(key) != settings[key]]
        folder, own = found.get(FOLDER), settings.get(FOLDER)
        if not isinstance(folder, str | None):
            raise ValueError("the folder is no text")
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{place} has results of another run (settings that are damaged): {START_ANEW}") from None
    if others:
        names = ", ".join(name.removeprefix("--") for name in others)
        raise UserError(f"{place} has results of another run (another {names}): {START_ANEW}")
    if folder is not None and own is not None and folder != own:
        raise UserError(f"{place} has paths relative to {folder}, not to {own}: go on from there, or with full paths")
    if folder is None and own is not None and FOLDER in found:
        raise UserError(f"{place} has full paths: give full paths, name another --to, or start anew with --force")
    return dict(found)


def _lock(file: IO[str], place: Path) -> None:
    """Refuse a place that another process is writing to; the lock ends with the process."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{place} is being written by another mil-asc classify: wait for it") from error
