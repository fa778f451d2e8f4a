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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mil_asc.cli.found_recordings import is_folder
from mil_asc.cli.held_results import (
    FOLDER,
    FOLDERS,
    START_ANEW,
    changed,
    complete_file,
    locked_settings,
    named,
    recording_of,
)
from mil_asc.cli.path_marks import PathMarks
from mil_asc.cli.results_taker import Results
from mil_asc.errors import UserError
from mil_asc.presentation.scene_formats import PER_RECORDING, Formatting, header, row_name
from mil_asc.runtime.remote_files import absolute, is_url

RESUMABLE = ("csv", "jsonl", "dcase")
SETTINGS_ENDING = ".settings.json"
SETTINGS_NAME = "mil-asc.settings.json"
"""Model and options of the results, in a file beside a file of rows, or in the folder of a file per recording."""
PARTIAL = ".mil-asc.partial"
JSON_PATH = '{"path": '


@contextlib.contextmanager
def open_results(
    to: str | None,
    how: Formatting,
    settings: dict[str, Any],
    force: bool,
    paths: Sequence[str] = (),
    part_rows: int | None = None,
) -> Iterator[Results]:
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
    paths : sequence of str
        What is classified, as the command line names it: rows and files are named after it.
    part_rows : int, optional
        Rows of a file of ``parts``.

    Raises
    ------
    UserError
        The place is taken, or holds the results of another model, of other options or of other recordings.
    """
    if to is None:
        yield Printed(how)
        return
    place = Path(to)
    if how.form in PER_RECORDING:
        settings = settings | {FOLDERS: folders_of(paths)}
        with locked_settings(place, place / SETTINGS_NAME, settings, force) as (started, before):
            known = before.get(FOLDERS, settings[FOLDERS])
            known = list(map(str, known)) if isinstance(known, list) else []
            yield FilePerRecording(place, PER_RECORDING[how.form], started, known)
    elif how.form == "parts":
        from mil_asc.cli.parquet_parts import open_parts

        with open_parts(place, how, settings | {FOLDER: folder_of_rows(paths)}, force, part_rows) as parts:
            yield parts
    elif how.form in RESUMABLE:
        _check_folder_of(place)
        settings = settings | {FOLDER: folder_of_rows(paths)}
        with locked_settings(place, Path(f"{place}{SETTINGS_ENDING}"), settings, force) as (_, before):
            with open_rows(place, how, before.get(FOLDER)) as rows:
                yield rows
    else:
        _check_folder_of(place)
        if place.exists() and not force:
            raise UserError(f"{place} is there already: name another --to, or replace it with --force")
        with complete_file(place, force) as partial:
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
        self._head = header(how)
        if self._form != "table":
            self._write_head()

    def add(self, name: str, content: Any) -> None:
        """Write a row."""
        self._write_head()
        before = ("[\n" if self._rows == 0 else ",\n") if self._form == "json" else ""
        after = "" if self._form == "json" or content.endswith("\n") else "\n"
        self._file.write(f"{before}{content}{after}" if content else "")
        self._file.flush()
        self._rows += 1

    def _write_head(self) -> None:
        """Write the header once; that of a table for people waits for its first row."""
        self._file.write(self._head)
        self._head = ""

    def finish(self) -> None:
        """Close the list of JSON."""
        if self._form == "json":
            self._file.write("\n]\n" if self._rows else "[]\n")
        self._file.flush()


class Rows(Results):
    """Rows of a format of ``RESUMABLE``, each flushed, behind those that are there; ``open_rows`` makes them."""

    def __init__(self, file: IO[bytes], done: PathMarks, form: str, written: int):
        self._file, self._done, self._form, self._written = file, done, form, written
        self._newer: list[str] = []

    @property
    def newer(self) -> Sequence[str]:
        """Paths of recordings that are newer than their rows."""
        return self._newer

    def has(self, path: str, name: str) -> bool:
        """Whether there was a row of this recording."""
        row = row_name(path, name, self._form)
        found = (row if self._form == "dcase" else recording_of(row, None)) in self._done
        if found and changed(path) > self._written:
            self._newer.append(path)
        return found

    def add(self, name: str, content: Any) -> None:
        """Write a row."""
        self._file.write(content.encode() + b"\n")
        self._file.flush()


@contextlib.contextmanager
def open_rows(place: Path, how: Formatting, folder: str | None) -> Iterator[Rows]:
    """A file of rows without a last row that is cut off, at its end; the paths of the rows are read, 8 bytes each.

    ``folder`` is what they are relative to, by default the working folder.
    """
    written = changed(place)
    with named(place), open(place, "ab+") as file:
        cut_off(file)
        file.seek(0)
        lines = (line.decode("utf-8") for line in file)
        first = header(how)
        try:
            if first and next(lines, first) != first:
                raise ValueError("the columns are others")
            paths = (_path_of(line, how.form) for line in lines)
            done = PathMarks(paths if how.form == "dcase" else (recording_of(path, folder) for path in paths))
        except (ValueError, IndexError, csv.Error, RecursionError) as error:
            raise UserError(f"{place} does not hold rows of mil-asc classify ({error}): {START_ANEW}") from error
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            file.write(first.encode())
            file.flush()
        yield Rows(file, done, how.form, written)


def cut_off(file: IO[bytes]) -> None:
    """Remove what stands behind the last end of a line: a row that was being written when the program was killed."""
    whole = end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(end - (1 << 20), 0)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        end = begin + found + 1 if found >= 0 else begin
        if found >= 0:
            break
    if end < whole:  # a file that stays as it is keeps its time
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
    if not isinstance(path, str):
        raise ValueError("the path of a row is no text")
    return path


class FilePerRecording(Results):
    """A file per recording in a folder, each written atomically; those since ``started`` (in ns) were done before.

    They are files of recordings below the folders of ``known``, as ``folders_of`` gives them.
    """

    def __init__(self, folder: Path, ending: str, started: int, known: Sequence[str]):
        self._folder, self._ending, self._started, self._known = folder, ending, started, known

    def _place(self, name: str) -> Path:
        return self._folder / f"{name}{self._ending}"

    def has(self, path: str, name: str) -> bool:
        """Whether the recording's file is there, and not older than the settings and the recording.

        Raises
        ------
        UserError
            It may be the file of another recording, which has the same name in another folder.
        """
        place = self._place(name)
        if not place.exists() or place.stat().st_mtime_ns < max(self._started, changed(path)):
            return False
        is_own = is_url(path) and path.partition("://")[2] == name
        if not is_own and not any(absolute(path) == os.path.join(folder, name) for folder in self._known):
            known = ", ".join(map(str, self._known))
            raise UserError(f"{place} is there already, from recordings in {known:.300}, not for {path}: {START_ANEW}")
        return True

    def add(self, name: str, content: Any) -> None:
        """Write the file of a recording."""
        place, partial = self._place(name), self._folder / PARTIAL
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with named(place):
                partial.write_text(content, encoding="utf-8")
            os.replace(partial, place)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


# -- places


def _check_folder_of(place: Path) -> None:
    if place.is_dir():
        raise UserError(f"{place} is a folder: name a file for --to")
    if not place.parent.is_dir():
        raise UserError(f"{place.parent} is no folder: make it first, or name another --to")


def folders_of(paths: Sequence[str]) -> list[str]:
    """The folders that the names of ``find_recordings`` are relative to: files of one name in others are others."""
    one_folder = len(paths) == 1 and is_folder(paths[0])
    return sorted({absolute(path) if one_folder else os.path.dirname(absolute(path)) for path in paths})


def folder_of_rows(paths: Sequence[str]) -> str | None:
    """What the paths of rows are relative to; None where all are absolute."""
    return None if all(os.path.isabs(path) or is_url(path) for path in paths) else os.getcwd()
