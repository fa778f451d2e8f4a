"""The lists of a data folder at a URL, read by the readers of local folders.

What lies below the URL is listed once. The tables that a reader needs are copied, and every other object whose name
matters to it becomes an empty file, so that the reader finds the same tree as in a local folder; no recording is read.
All of this is kept below the cache folder, and later runs start from it without the network.
"""

import functools
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path

import filelock

from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.esc50 import read_esc50
from mil_asc.corpora.manifest import Corpus
from mil_asc.corpora.remote_folder import RemoteFolder
from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.remote_files import fetched, is_url, object_url, objects_below

logger = logging.getLogger(__name__)

TABLES = {
    read_class_folders: ("groups.csv",),
    read_dcase_folder: ("meta.csv", "evaluation_setup/*.csv", "evaluation_setup/*.txt"),
    read_esc50: ("meta/esc50.csv",),
}
"""Reader -> the tables that it reads, by their paths below the data folder."""
NAMES = {read_class_folders: "*", read_dcase_folder: "*meta.csv", read_esc50: ""}
"""Reader -> the objects whose names matter to it; the other readers find recordings by their tables."""
FOLDER = "remote"
"""Below the cache folder."""
RECORD, TREE = "objects.json", "files"


def reader_of_url(reader: Callable[..., Corpus], url: str, cache_folder: str | os.PathLike) -> Callable[[], Corpus]:
    """The reader of a data block for a data folder at a URL: called, it returns a corpus of this ``RemoteFolder``.

    Arguments
    ---------
    reader : functools.partial
        Of one of the readers of ``TABLES``; its argument ``folder`` is replaced.
    url : str
        The data folder.
    cache_folder : str or Path
        A local folder.

    Raises
    ------
    UserError
        The reader is another one.
    """
    own = getattr(reader, "func", reader)
    if own not in TABLES:
        names = ", ".join(known.__name__ for known in TABLES)
        called = getattr(own, "__name__", own)
        raise UserError(f"data_folder {url}: {called} needs a local folder; URLs work with {names}")
    if is_url(cache_folder):
        raise UserError(f"cache_folder {cache_folder}: it must be a local folder")
    return functools.partial(_read, reader, own, url.rstrip("/"), cache_folder)


def _read(reader, own, url, cache_folder):
    key = hashlib.sha256(json.dumps([url, own.__name__]).encode()).hexdigest()[:20]
    place = Path(cache_folder) / FOLDER / key
    try:
        facts = _listed(url, own, place)
    except OSError as error:
        raise UserError(f"{place}: what is at {url} cannot be kept there: {error.strerror or error}") from error
    tree = str(place.resolve() / TREE)
    try:
        corpus = reader(folder=tree)
    except UserError as error:
        raise type(error)(f"{error.args[0].replace(tree, url)} ({_age(url, facts, place)})") from error
    corpus = replace(corpus, folder=RemoteFolder(url, facts["objects"], str(place), facts["listed"]))
    for name in ("notes", "warnings", "list_notes"):
        corpus = replace(corpus, **{name: [line.replace(tree, url) for line in getattr(corpus, name)]})
    corpus.notes.append(_age(url, facts, place))
    return corpus


def _age(url, facts, place):
    return f"{url} as listed on {facts['listed']}; remove {place} to list it anew"


def _listed(url, own, place):
    """What was at the URL, listed now if it was not before: one process does, others wait."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(place.with_name(f"{place.name}.lock")):
        if not (place / RECORD).is_file():
            _list(url, own, place)
    try:
        facts = json.loads((place / RECORD).read_text(encoding="utf-8"))
        kinds = isinstance(facts["objects"], dict), isinstance(facts["listed"], str), (place / TREE).is_dir()
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{place / RECORD} is damaged: remove {place}") from error
    if not all(kinds):
        raise UserError(f"{place} is damaged: remove it")
    return facts


def _list(url, own, place):
    """List, and make the tree; its record is written last."""
    shutil.rmtree(place, ignore_errors=True)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    logger.info("listing %s", url)
    (place / TREE).mkdir(parents=True)
    objects = {}
    for found in objects_below(url):
        is_table = any(fnmatch(found.name, table) for table in TABLES[own])
        if is_table or fnmatch(found.name, NAMES[own]):
            _make(object_url(url, found.name), place / TREE / found.name, is_table)
        objects[found.name] = (found.size, found.version or now)
    if not objects:
        raise UserError(f"data_folder {url}: there is no folder with objects")
    write_atomically(place / RECORD, json.dumps({"url": url, "listed": now, "objects": objects}))


def _make(url, target, is_table):
    """A copy of a table, or an empty file for any other object."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            if is_table:
                with fetched(url) as copy, open(copy, "rb") as source:
                    shutil.copyfileobj(source, file)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{url}: an object and a folder have this name: rename one of them") from error
