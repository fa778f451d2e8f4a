"""The recordings that paths on the command line stand for, one after the other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mil_asc.cli.path_marks import mark
from mil_asc.corpora.delimited import normal_path, read_rows
from mil_asc.corpora.folder_tree import entries_of, is_audio, is_hidden, is_other_sound
from mil_asc.errors import UserError
from mil_asc.runtime.remote_files import absolute, check_url, is_object, is_url, object_url, objects_below

AUDIO = "audio/"
"""What names in the lists of DCASE begin with, and those in its submissions do not."""


def find_recordings(paths: Sequence[str], passed: Counter[str] | None = None) -> Iterator[tuple[str, str]]:
    """Every recording as (path, name below the results' folder), in an order that is always the same.

    Arguments
    ---------
    paths : sequence of str
        Files, which are taken whatever their ending, and folders: their audio files, by the ending of the name, files
        of a folder before those of its sub-folders, sorted. Hidden ones are left out. Links are followed, but no folder
        is read twice on the way down. A URL with the ending of an audio file is one recording, any other a folder.
    passed : Counter, optional
        Counts the endings of files in local folders that are sound in a format that is not taken.

    A recording that is reached again by a later path is left out. The names are those below a folder, and with several
    paths begin with the last part of the path. Nothing is held but one folder's names at a time.
    """
    earlier: set[str] = set()
    passed = Counter() if passed is None else passed
    for path in paths:
        top = os.path.basename(absolute(path)) if len(paths) > 1 else ""
        found: Iterator[tuple[str, str]]
        if is_url(path):
            found = ((file, os.path.join(top, name)) for file, name in _below_url(path))
        elif os.path.isdir(path):
            found = ((file, os.path.join(top, os.path.relpath(file, path))) for file in _below(path, passed))
        else:
            found = iter([(path, os.path.basename(os.path.abspath(path)))])
        yield from ((file, name) for file, name in found if not _is_within(file, earlier))
        earlier.add(absolute(path))


def refuse_recording(to: str, inputs: Sequence[str]) -> None:
    """A ``UserError`` if results would be written over one of the ``inputs``, or have the name of a recording."""
    if os.path.isdir(to):
        return
    if is_audio(os.path.basename(to)):
        raise UserError(f"--to {to} is the name of a recording: name another file for the results")
    for path in inputs:
        if not is_url(path) and os.path.exists(to) and os.path.exists(path) and os.path.samefile(to, path):
            raise UserError(f"--to {to} is {path}, which is read: name another file for the results")


def is_folder(path: str) -> bool:
    """Whether a path on the command line is a folder; of a URL its ending says so."""
    return not is_audio(os.path.basename(path)) if is_url(path) else os.path.isdir(path)


def read_list(folder: str, file: str) -> Iterator[tuple[str, str]]:
    """The recordings of a list, such as that of an evaluation set without labels, as ``find_recordings`` gives them.

    The list is read once to check it, before this returns, and again as the recordings are taken, so that a long one
    needs little memory.

    Arguments
    ---------
    folder : str
        The folder, or the URL, that the list's names are relative to. A name that is a URL stands for itself.
    file : str
        Tab-separated, with the column ``filename``; other columns are not read. A ``.txt`` file has no header.

    Returns
    -------
    iterator of (str, str)
        Path and name of each, in the list's order; names are without ``audio/`` in front.

    Raises
    ------
    UserError
        The list cannot be read, names nothing, a path outside of the folder, or a recording twice; none of its
        recordings is there, if all are local; there is no file system for a URL.
    """
    marks = np.sort(np.fromiter((mark(name) for _, _, name in _lines(file)), np.uint64))
    if not len(marks):
        raise UserError(f"{file} names no recording")
    _check_differ(file, set(marks[1:][marks[1:] == marks[:-1]].tolist()))
    folder = folder.rstrip("/") if is_url(folder) else folder
    schemes = {inner.partition("://")[0]: inner for _, inner, _ in _lines(file) if is_url(inner)}
    for url in schemes.values():
        check_url(url)
    found = (_joined(folder, inner) for _, inner, _ in _lines(file))
    if not any(is_url(path) or os.path.isfile(path) for path in found):
        first = next(_lines(file))[1]
        raise UserError(f"{file}: no recording of the list is below {folder}, such as {os.path.join(folder, first)}")
    return ((_joined(folder, inner), name) for _, inner, name in _lines(file))


def _joined(folder: str, inner: str) -> str:
    return inner if is_url(inner) else os.path.join(folder, inner)


def _lines(file: str) -> Iterator[tuple[int, str, str]]:
    """Line number, path below the folder and name of every recording of a list."""
    for line, row in read_rows(Path(file), "filename", header=not file.endswith(".txt")):
        where, text = f"{file}, line {line}", row["filename"]
        if is_url(text):
            scheme, _, place = text.partition("://")
            inner = f"{scheme}://{normal_path(place.rstrip('/'), where)}"
            yield line, inner, inner.partition("://")[2]
        else:
            inner = normal_path(text, where)
            yield line, inner, inner.removeprefix(AUDIO)


def _check_differ(file: str, doubtful: set[int]) -> None:
    """Refuse a list that names a recording twice; ``doubtful`` are the marks that several names have."""
    seen: set[str] = set()
    for line, inner, name in _lines(file) if doubtful else ():
        if name in seen:
            raise UserError(f"{file}, line {line}: {inner} is further up too")
        if mark(name) in doubtful:
            seen.add(name)


def _is_within(file: str, places: set[str]) -> bool:
    """Whether a file is one of these absolute paths, or lies below one."""
    place = absolute(file)
    while places:
        if place in places:
            return True
        above = os.path.dirname(place)
        if above == place:
            break
        place = above
    return False


def _below_url(url: str) -> Iterator[tuple[str, str]]:
    """URL and name of the recordings at a URL."""
    if not is_folder(url):
        check_url(url)
        yield url, os.path.basename(url)
        return
    found, url = False, url.rstrip("/")
    for each in objects_below(url):
        found = True
        parts = each.name.split("/")
        if is_audio(parts[-1]) and not any(map(is_hidden, parts)):
            yield object_url(url, each.name), each.name
    if not found and is_object(url):
        yield url, os.path.basename(url)


def _below(folder: str, passed: Counter[str], around: tuple[tuple[int, int], ...] = ()) -> Iterator[str]:
    """Audio files below a folder; ``around`` are the device and inode of the folders that it lies in."""
    status = os.stat(folder)
    own = (status.st_dev, status.st_ino)
    if own in around:
        return
    files: list[str] = []
    folders: list[str] = []
    for entry in entries_of(folder):
        if not is_hidden(entry.name):
            (folders if _is_folder(entry) else files).append(entry.name)
    for name in sorted(files):
        if is_audio(name):
            yield os.path.join(folder, name)
        elif is_other_sound(name):
            passed[os.path.splitext(name)[1].lower()] += 1
    for name in sorted(folders):
        yield from _below(os.path.join(folder, name), passed, (*around, own))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False
