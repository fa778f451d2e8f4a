"""Manifests in SpeechBrain's form: ``train.json``, ``valid.json`` and ``test.json``, written and read.

Each maps a clip's name to what is known of it; train and valid together are the list to train on, test is the
evaluation set:

    {"audio/park-lisbon-1-0-a.wav": {
        "wav": "{data_root}/audio/park-lisbon-1-0-a.wav", "duration": 10.0, "label": "park",
        "city": "lisbon", "location": "lisbon-1", "device": "a"}, ...}

``DynamicItemDataset.from_json(path, replacements={"data_root": DIR})`` reads them. SpeechBrain formats every text of
a manifest, so that a brace in a name is doubled there. A clip whose sound events are known has a list ``events``
too. ``corpus.json`` beside them holds what the three do not: the data folder, the classes in the order of the
model's outputs, and the notes of the reader that found the lists.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from mil_asc.audio.decode import read_duration
from mil_asc.corpora.bad_files import describe_bad, missing_files
from mil_asc.corpora.manifest import Clip, Corpus, Event, check_label, inspect_lists
from mil_asc.corpora.manifest_entries import CORPUS, DATA_ROOT, FILES, labels_of, read_entries, read_facts
from mil_asc.corpora.remote_folder import RemoteFolder, as_folder
from mil_asc.errors import AudioError, UserError
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.remote_files import is_url


class Written(NamedTuple):
    """What ``write_manifests`` did: clips by file name, seconds by file name, and whether anything changed."""

    clips: dict[str, int]
    seconds: dict[str, float]
    changed: bool


def write_manifests(corpus: Corpus, folder: str | os.PathLike, durations: Mapping[str, float] | None = None) -> Written:
    """Write the three lists of a corpus, and ``corpus.json``; what is there already is not written again.

    Arguments
    ---------
    corpus : Corpus
        The lists, before recordings are cut; ``validation`` becomes ``valid.json``, which may be empty.
    folder : str or Path
        Where the manifests go; made if it is missing.
    durations : mapping, optional
        Length of each clip (in seconds) by its path; read from the headers of the files when left out.

    Returns
    -------
    Written

    Raises
    ------
    AudioError
        Recordings that are missing, empty, truncated or no audio: up to 20 by name, and how many there are.
    UserError
        A clip in two lists; a folder that cannot be written or that holds manifests of another origin.

    Example
    -------
    >>> import tempfile, soundfile
    >>> root = Path(tempfile.mkdtemp())
    >>> soundfile.write(root / "a.wav", [0.1] * 8000, 16000)
    >>> clip = Clip("a.wav", "park", "lisbon", "lisbon-1", "a")
    >>> write_manifests(Corpus(root, ["park"], train=[clip], evaluate=[]), root / "manifests").seconds
    {'train.json': 0.5, 'valid.json': 0.0, 'test.json': 0.0}
    """
    folder, lists = Path(folder), {name: getattr(corpus, name) for name in FILES}
    _check_once(lists, corpus.folder)
    durations, bad = measure_durations(corpus) if durations is None else (durations, {})
    if bad:
        raise AudioError(describe_bad(corpus.folder, bad))
    texts = {FILES[name]: _as_manifest(_entries(lists[name], corpus, durations)) for name in lists}
    return Written(
        clips={FILES[name]: len(clips) for name, clips in lists.items()},
        seconds={FILES[name]: sum((durations[clip.path] for clip in clips), 0.0) for name, clips in lists.items()},
        changed=_write(folder, texts, _facts(corpus)),
    )


def measure_durations(corpus: Corpus) -> tuple[dict[str, float], dict[str, str]]:
    """Length of each clip by its header (path -> seconds), and the files that have none (path -> reason)."""
    durations, bad = {}, missing_files(corpus)
    for clip in corpus.without(bad).clips:
        path = Path(corpus.folder) / clip.path
        try:
            durations[clip.path] = read_duration(path)
        except AudioError as error:
            bad[clip.path] = error.args[0].removeprefix(f"{path}: ")
    return durations, bad


def read_manifests(folder: str | os.PathLike, data_root: str | os.PathLike | None = None) -> Corpus:
    """Read ``train.json``, ``valid.json`` and ``test.json`` of a folder.

    Arguments
    ---------
    folder : str or Path
        As ``write_manifests`` leaves it. Without ``corpus.json`` the classes are those of the three lists, sorted
        by name.
    data_root : str or Path, optional
        What ``{data_root}`` stands for; by default the folder that ``corpus.json`` names.

    Returns
    -------
    Corpus
        ``folder`` is the data root, or where audio lies outside it, the deepest folder around all audio;
        ``validation`` is the list of ``valid.json``.

    Raises
    ------
    UserError
        A file that is missing, unfinished or no manifest; a clip without one of the ``KEYS`` or with a value that
        cannot be used; a clip in two lists: one line with file and clip. The recordings are at a URL.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    root = facts.get("data_root") if data_root is None else os.path.abspath(data_root)
    found = {name: read_entries(folder / file, root) for name, file in FILES.items()}
    labels = facts.get("labels") or labels_of([entry for own in found.values() for _, entry in own], folder)
    for name, own in found.items():
        for key, entry in own:
            check_label(entry["label"], labels, f"{folder / FILES[name]}: {key}")
    base = _folder_of([entry["wav"] for own in found.values() for _, entry in own], root)
    if isinstance(base, RemoteFolder):
        raise UserError(f"{folder}: its recordings are at {base}: give --data_folder=DIR, the folder of a copy")
    lists = {name: [_as_clip(entry, base) for _, entry in own] for name, own in found.items()}
    _check_once(lists, folder)
    corpus = Corpus(folder=base, labels=labels, clip_seconds=facts.get("clip_seconds", 0.0), **lists)
    for own in found.values():
        corpus.events |= {_path(e, base): [Event(**event) for event in e["events"]] for _, e in own if e.get("events")}
        corpus.durations |= {_path(entry, base): entry["duration"] for _, entry in own}
    corpus.notes, corpus.warnings = list(facts.get("notes", [])), list(facts.get("warnings", []))
    return _inspected(corpus)


def read_manifest(folder: str | os.PathLike, names: list[str], data_root: str | os.PathLike | None = None) -> Corpus:
    """Read some of the three manifests of a folder, to evaluate on their clips.

    Arguments
    ---------
    folder : str or Path
        It must have these manifests only.
    names : list of str
        Which, as in ``FILES``.
    data_root : str or Path, optional
        As for ``read_manifests``.

    Returns
    -------
    Corpus
        Its evaluation set has the clips of these manifests, its other lists are empty. ``folder`` is a
        ``RemoteFolder`` without a list of objects where the recordings are at a URL.

    Raises
    ------
    UserError
        As ``read_manifests``.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    root = facts.get("data_root") if data_root is None else os.path.abspath(data_root)
    found = {name: read_entries(folder / FILES[name], root) for name in names}
    entries = [entry for own in found.values() for _, entry in own]
    if not entries:
        raise UserError(f"{folder}: there is no clip in {', '.join(FILES[name] for name in names)}")
    base = _folder_of([entry["wav"] for entry in entries], root)
    lists = {name: [_as_clip(entry, base) for _, entry in own] for name, own in found.items()}
    _check_once(lists, folder)
    labels = facts.get("labels") or labels_of(entries, folder)
    return Corpus(
        base,
        labels,
        train=[],
        evaluate=[clip for clips in lists.values() for clip in clips],
        events={_path(e, base): [Event(**event) for event in e["events"]] for e in entries if e.get("events")},
        durations={_path(entry, base): entry["duration"] for entry in entries},
        clip_seconds=facts.get("clip_seconds", 0.0),
    )


def _inspected(corpus):
    """The corpus with the notes that an inspection of its lists adds to those it has."""
    notes, warnings = corpus.notes, corpus.warnings
    corpus.notes, corpus.warnings = [], []
    inspect_lists(corpus)
    corpus.notes = list(dict.fromkeys([*notes, *corpus.notes]))
    corpus.warnings = list(dict.fromkeys([*warnings, *corpus.warnings]))
    return corpus


def _check_once(lists, where):
    """No clip may be in two lists, nor twice in one."""
    seen = {}
    for name, clips in lists.items():
        for clip in clips:
            if clip.path in seen:
                raise UserError(f"{where}: {clip.path} is in {FILES[seen[clip.path]]} and again in {FILES[name]}")
            seen[clip.path] = name


# -- writing


def _entries(clips, corpus, durations):
    """(name, entry) of each clip."""
    for clip in clips:
        entry = {
            "wav": DATA_ROOT + _escape(clip.path),
            "duration": durations[clip.path],
            "label": _escape(clip.label),
            "city": _escape(clip.city),
            "location": _escape(clip.location),
            "device": _escape(clip.source_device),
        }
        if corpus.events:
            events = [asdict(event) for event in corpus.events.get(clip.path, [])]
            entry["events"] = [event | {key: _escape(event[key]) for key in ("kind", "role")} for event in events]
        yield clip.path, entry


def _facts(corpus):
    return {
        "data_root": str(as_folder(corpus.folder)),
        "labels": list(corpus.labels),
        "clip_seconds": corpus.clip_seconds,
        "notes": corpus.notes,
        "warnings": corpus.warnings,
    }


def _escape(text):
    return text.replace("{", "{{").replace("}", "}}")


def _as_text(content):
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _as_manifest(entries):
    """What ``_as_text`` makes of the entries (name, entry) as an object, without two kilobytes of memory per clip."""
    lines = [f"{_as_text(name)[:-1]}: {_as_text(entry)[:-1]}".replace("\n", "\n ") for name, entry in entries]
    return "{\n " + ",\n ".join(lines) + "\n}\n" if lines else "{}\n"


def _write(folder, texts, facts):
    """Write what differs; until all of it is written ``corpus.json`` says so. Returns whether anything did."""
    finished = _as_text({"finished": True, **facts})
    wanted = {**texts, CORPUS: finished}
    try:
        there = {name: path.read_bytes() for name in wanted if (path := folder / name).is_file()}
        if there == {name: text.encode() for name, text in wanted.items()}:
            return False
        if there and CORPUS not in there:
            raise UserError(f"{folder} holds a {min(there)} of another origin: give another folder for the manifests")
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CORPUS, _as_text({"finished": False}))
        for name, text in wanted.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise UserError(f"{folder}: the manifests cannot be written: {error.strerror or error}") from error
    return True


# -- reading


def _folder_of(paths, root):
    """The data root where it holds all of these files, else the deepest folder that does."""
    if any(map(is_url, paths)):
        return _remote_folder_of(paths, root)
    paths = [os.path.normpath(path) for path in paths]
    if root is not None and all(path.startswith(os.path.join(root, "")) for path in paths):
        return Path(root)
    return Path(os.path.commonpath([os.path.dirname(path) for path in paths] or [os.sep]))


def _remote_folder_of(paths, root):
    """The data root, which is a URL above all of these URLs."""
    outside = [path for path in paths if root is None or not path.startswith(f"{root}/")]
    if outside:
        raise UserError(f"{outside[0]} does not lie below data_root, as recordings at URLs must")
    return RemoteFolder(root)


def _path(entry, base):
    if isinstance(base, RemoteFolder):
        return entry["wav"].removeprefix(f"{base}/")
    return Path(os.path.relpath(os.path.normpath(entry["wav"]), base)).as_posix()


def _as_clip(entry, base):
    return Clip(_path(entry, base), entry["label"], entry["city"], entry["location"], entry["device"])
