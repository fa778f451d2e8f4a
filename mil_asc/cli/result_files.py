"""Where the scenes of many recordings go: standard output, a file of rows, or a file per recording.

What was written stays when the program is killed. CSV, JSON lines and submissions to DCASE go on where they stopped,
after their last complete row; a file per recording is there completely or not at all; the other files appear when they
are complete.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np

from mil_asc.cli.results_taker import Results
from mil_asc.cli.scene_formats import PER_RECORDING, Formatting, header, row_name
from mil_asc.errors import UserError

RESUMABLE = ("csv", "jsonl", "dcase")
SETTINGS_ENDING = ".settings.json"
SETTINGS_NAME = "mil-asc.settings.json"
"""Model and options of the results, in a file beside a file of rows, or in the folder of a file per recording."""
PARTIAL = ".mil-asc.partial"
JSON_PATH = '{"path": '
START_ANEW = "give the same, name another --to, or start anew with --force"


@contextlib.contextmanager
def open_results(to: str | None, how: Formatting, settings: dict[str, Any], force: bool) -> Iterator[Results]:
    """The results of a format.

    Arguments
    ---------
    to : str or None
        A file; for a format with a file per recording, a folder; None: standard output.
    how : Formatting
        The format.
    settings : dict
        What the results depend on, plain values: results that are there already are gone on with only if they were made
        with the same.
    force : bool
        Start anew.

    Raises
    ------
    UserError
        The place is taken, or holds the results of another model or of other options.
    """
    if to is None:
        yield Printed(how)
        return
    place = Path(to)
    if how.form in PER_RECORDING:
        with _locked_settings(place, place / SETTINGS_NAME, settings, force) as started:
            yield FilePerRecording(place, PER_RECORDING[how.form], started)
    elif how.form in RESUMABLE:
        _check_folder_of(place)
        with _locked_settings(place, Path(f"{place}{SETTINGS_ENDING}"), settings, force), open_rows(place, how) as rows:
            yield rows
    else:
        _check_folder_of(place)
        if place.exists() and not force:
            raise UserError(f"{place} is there already: name another --to, or replace it with --force")
        with _complete_file(place) as partial:
            if how.form == "parquet":
                from mil_asc.cli.parquet_rows import open_parquet

                with open_parquet(partial, how) as parquet:
                    yield parquet
            else:
                with open(partial, "w", encoding="utf-8", newline="") as file:
                    yield Printed(how, file)


class Printed(Results):
    """Text in the order of the recordings, on standard output or in a file."""

    def __init__(self, how: Formatting, file: IO[str] | None = None):
        self._form, self._file, self._rows = how.form, file or sys.stdout, 0
        self._file.write(header(how))

    def add(self, name: str, content: Any) -> None:
        """Write a row."""
        before = ("[\n" if self._rows == 0 else ",\n") if self._form == "json" else ""
        after = "" if self._form == "json" or content.endswith("\n") else "\n"
        self._file.write(f"{before}{content}{after}" if content else "")
        self._file.flush()
        self._rows += 1

    def finish(self) -> None:
        """Close the list of JSON."""
        if self._form == "json":
            self._file.write("\n]\n" if self._rows else "[]\n")
        self._file.flush()


class Rows(Results):
    """Rows of a format of ``RESUMABLE``, each flushed, behind those that are there; ``open_rows`` makes them."""

    def __init__(self, file: IO[bytes], done: np.ndarray, form: str):
        self._file, self._done, self._form = file, done, form

    def has(self, path: str, name: str) -> bool:
        """Whether there was a row of this recording."""
        mark = _mark(row_name(path, name, self._form))
        position = int(np.searchsorted(self._done, mark))
        return position < len(self._done) and self._done[position] == mark

    def add(self, name: str, content: Any) -> None:
        """Write a row."""
        self._file.write(content.encode() + b"\n")
        self._file.flush()


@contextlib.contextmanager
def open_rows(place: Path, how: Formatting) -> Iterator[Rows]:
    """A file of rows without a last row that is cut off, at its end; the paths of the rows are read, 8 bytes each."""
    with open(place, "ab+") as file:
        _cut_off(file)
        file.seek(0)
        lines = (line.decode("utf-8") for line in file)
        first = header(how)
        try:
            if first and next(lines, first) != first:
                raise ValueError("the columns are others")
            done = np.unique(np.fromiter((_mark(_path_of(line, how.form)) for line in lines), np.uint64))
        except (ValueError, IndexError) as error:
            raise UserError(f"{place} does not hold rows of mil-asc classify ({error}): {START_ANEW}") from error
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            file.write(first.encode())
            file.flush()
        yield Rows(file, done, how.form)


def _cut_off(file: IO[bytes]) -> None:
    """Remove what stands behind the last end of a line: a row that was being written when the program was killed."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(end - (1 << 20), 0)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        end = begin + found + 1 if found >= 0 else begin
        if found >= 0:
            break
    file.truncate(end)


def _path_of(line: str, form: str) -> str:
    if form == "csv":
        return next(csv.reader([line]))[0]
    if form == "dcase":
        first, tab, _ = line.partition("\t")
        if not tab:
            raise ValueError("a row has no columns")
        return first
    if not line.startswith(JSON_PATH):
        raise ValueError("a row has no path")
    path, _ = json.JSONDecoder().raw_decode(line, len(JSON_PATH))
    return path


def _mark(path: str) -> np.uint64:
    """A number that stands for a path: two of ten million paths share one with a chance of 1 in 300,000."""
    return np.uint64(int.from_bytes(blake2b(path.encode(), digest_size=8).digest(), "big"))


class FilePerRecording(Results):
    """A file per recording in a folder, each written atomically; those since ``started`` (in ns) were done before."""

    def __init__(self, folder: Path, ending: str, started: int):
        self._folder, self._ending, self._started = folder, ending, started

    def _place(self, name: str) -> Path:
        return self._folder / f"{name}{self._ending}"

    def has(self, path: str, name: str) -> bool:
        """Whether the recording's file is there, and not older than the settings."""
        place = self._place(name)
        return place.exists() and place.stat().st_mtime_ns >= self._started

    def add(self, name: str, content: Any) -> None:
        """Write the file of a recording."""
        place, partial = self._place(name), self._folder / PARTIAL
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")
        os.replace(partial, place)


# -- places


def _check_folder_of(place: Path) -> None:
    if place.is_dir():
        raise UserError(f"{place} is a folder: name a file for --to")
    if not place.parent.is_dir():
        raise UserError(f"{place.parent} is no folder: make it first, or name another --to")


@contextlib.contextmanager
def _complete_file(place: Path) -> Iterator[Path]:
    """A path to write to that becomes ``place`` when all went well, and is removed otherwise."""
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked_settings(place: Path, file: Path, settings: dict[str, Any], force: bool) -> Iterator[int]:
    """Hold the settings' file, which must be free and have these settings; the time that it was written (in ns).

    Results without such a file are those of something else and stay, unless ``force`` starts anew.
    """
    if file.name == SETTINGS_NAME:
        if place.exists() and not place.is_dir():
            raise UserError(f"{place} is a file: name a folder for --to")
        place.mkdir(parents=True, exist_ok=True)
    elif place.exists() and not file.exists() and not force:
        raise UserError(f"{place} is there already, and not from mil-asc classify (no {file.name}): {START_ANEW}")
    with open(file, "a+", encoding="utf-8") as held:
        _lock(held, place)
        held.seek(0)
        before = held.read()
        if force and file.name != SETTINGS_NAME:
            place.unlink(missing_ok=True)
        if force or not before:
            held.truncate(0)
            held.write(json.dumps(settings, indent=1) + "\n")
            held.flush()
        else:
            _check_same(place, before, settings)
        yield os.stat(file).st_mtime_ns


def _check_same(place: Path, before: str, settings: dict[str, Any]) -> None:
    try:
        found = json.loads(before)
        others = [key for key in settings if found.get(key) != settings[key]]
    except (ValueError, AttributeError):
        others = ["settings that are damaged"]
    if others:
        raise UserError(f"{place} has results of another run ({', '.join(others)} differ): {START_ANEW}")


def _lock(file: IO[str], place: Path) -> None:
    """Refuse a place that another process is writing to; the lock ends with the process."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{place} is being written by another mil-asc classify: wait for it") from error
