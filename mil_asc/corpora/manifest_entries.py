"""The entries of manifests in SpeechBrain's form, read and checked."""

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mil_asc.corpora.manifest import Event, alike
from mil_asc.errors import UserError, is_storable
from mil_asc.runtime.remote_files import is_url

FILES = {"train": "train.json", "validation": "valid.json", "evaluate": "test.json"}
"""List of a corpus -> its manifest."""
CORPUS = "corpus.json"
KEYS = ("wav", "duration", "label", "city", "location", "device")
"""What every clip of a manifest must have."""
PARTS = ("start", "stop", "begin", "end", "offset", "frame_offset", "num_frames")
"""Keys that choose a part of a file in manifests of other programs."""
DATA_ROOT = "{data_root}/"


def read_facts(folder: Path) -> dict:
    """The content of ``corpus.json``; nothing where there is none.

    Raises a ``UserError`` if it is unfinished, or if one of its values cannot be used.
    """
    path = folder / CORPUS
    if not path.is_file():
        return {}
    facts = _read_json(path)
    if facts.get("finished") is not True:
        raise UserError(f"{path}: the manifests are unfinished; write them again with the same command")
    root, seconds = facts.get("data_root"), facts.get("clip_seconds", 0.0)
    if root is not None and not (isinstance(root, str) and (os.path.isabs(root) or is_url(root))):
        raise UserError(f"{path}: data_root must be an absolute path or a URL, got {root!r:.80}")
    labels = facts.get("labels")
    if not _are_texts(labels) or not labels or len(set(labels)) < len(labels):
        raise UserError(f"{path}: labels must be a list of different names")
    for key in ("notes", "warnings"):
        if not _are_texts(facts.get(key, [])):
            raise UserError(f"{path}: {key} must be a list of lines of text")
    if not _is_number(seconds) or seconds < 0:
        raise UserError(f"{path}: clip_seconds must be a number from 0 up, got {seconds!r:.80}")
    return facts


def _are_texts(value):
    return isinstance(value, list) and all(isinstance(text, str) and text and is_storable(text) for text in value)


def _without_duplicates(pairs):
    """An object of JSON, in which a name that stands twice would keep the last value only."""
    content = dict(pairs)
    if len(content) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} is in it twice")
    return content


def _read_json(path):
    """A JSON file whose content is an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
    except FileNotFoundError as error:
        names = ", ".join(FILES.values())
        raise UserError(f"{path} is missing; a folder of manifests holds {names}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: an object of clips by name is needed, not a {type(content).__name__}")
    return content


def read_entries(path: Path, root: str | None) -> list[tuple[str, dict]]:
    """(name, entry) of every clip of a manifest, ``{data_root}`` replaced by ``root`` and all values checked.

    Raises a ``UserError`` with file and clip where a value is missing or cannot be used.
    """
    clips = []
    for key, entry in _read_json(path).items():
        where = f"{path}: {key}"
        if not isinstance(entry, dict):
            raise UserError(f"{where}: an object with {', '.join(KEYS)} is needed")
        missing = [name for name in KEYS if name not in entry]
        if missing:
            raise UserError(f"{where} has no {missing[0]}; {', '.join(KEYS)} are needed")
        parts = [name for name in PARTS if name in entry]
        if parts:
            raise UserError(f"{where} has {parts[0]}, but files are used in full: cut the file, or leave the key out")
        clips.append((key, _check_entry(_filled(entry, root, where), where)))
    return clips


def _filled(value, root, where):
    """The value with ``{data_root}`` and doubled braces replaced in all its texts, as SpeechBrain does it."""
    if isinstance(value, Mapping):
        return {key: _filled(part, root, where) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, root, where) for part in value]
    if not isinstance(value, str):
        return value
    try:
        return value.format_map({} if root is None else {"data_root": root})
    except KeyError as error:
        hint = f"there is no {CORPUS} that names the data folder" if root is None else "only {data_root} is replaced"
        raise UserError(f"{where}: {value} names {{{error.args[0]}}}; {hint}") from error
    except (ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{where}: {value} is no text with replacements: {error}") from error


def _check_entry(entry, where):
    for name in ("wav", "label", "city", "location", "device"):
        if not _are_texts([entry[name]]):
            raise UserError(f"{where}: {name} must be text, got {entry[name]!r:.80}")
    if not _is_number(entry["duration"]) or entry["duration"] <= 0:
        raise UserError(f"{where}: duration must be a number of seconds above 0, got {entry['duration']!r:.80}")
    if not os.path.isabs(entry["wav"]) and not is_url(entry["wav"]):
        raise UserError(f"{where}: wav must begin with {DATA_ROOT} or be an absolute path, got {entry['wav']}")
    events = entry.get("events", [])
    for event in events if isinstance(events, list) else [events]:
        _check_event(event, where)
    return entry


def _check_event(event, where):
    fits = isinstance(event, dict) and event.keys() == Event.__annotations__.keys()
    if not fits or not (_are_texts([event["kind"], event["role"]]) and all(map(_is_number, _times(event)))):
        raise UserError(f"{where}: an event must have {', '.join(Event.__annotations__)}, got {event!r:.80}")
    if not 0 <= event["onset"] < event["offset"]:
        raise UserError(f"{where}: an event must begin at 0 s or later and end after that, got {event!r:.200}")


def _times(event):
    return event["onset"], event["offset"]


def labels_of(entries: list[dict], folder: Path) -> list[str]:
    """The classes of the entries, sorted; a ``UserError`` if two of them differ in case or spaces alone."""
    labels = sorted({entry["label"] for entry in entries})
    for names in alike(labels):
        raise UserError(
            f"{folder}: the classes {' and '.join(map(repr, names))} differ in case or spaces alone: use one of them, "
            f"or list the classes in {CORPUS}"
        )
    return labels


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
