"""Were two runs evaluated on the same clips? What is known of the recordings is compared, without audio."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from mil_asc.corpora.manifest import LIST_NAMES, Clip
from mil_asc.errors import UserError
from mil_asc.results.run import LISTS, Run


def check_named_once(folders: Iterable[Path], advice: str) -> None:
    """Refuse a run that is named twice, in whatever way: it would count twice, or be compared with itself."""
    seen: dict[Path, Path] = {}
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(f"{folder} is named twice: name each run once{advice}")
        seen[folder.resolve()] = folder


def check_same_clips(own: dict[str, Clip], first: dict[str, Clip], names: tuple[object, object], advice: str) -> None:
    """Refuse clips that differ, or of which different things are known: class, location, city, device.

    Arguments
    ---------
    own, first : dict
        Path -> ``Clip``.
    names : tuple
        The folders of both, for the message.
    advice : str
        What the reader can do.

    Raises
    ------
    UserError
        A clip is missing on one side, or differs: one line with the path.
    """
    words = f"{names[0]} and {names[1]} were evaluated on"
    lacking = sorted(own.keys() ^ first.keys())
    if lacking:
        raise UserError(f"{words} other clips, such as {lacking[0]}: {advice}")
    for path, clip in own.items():
        one, two = asdict(clip), asdict(first[path])
        differing = [name for name in one if one[name] != two[name]]
        if differing:
            name = differing[0]
            raise UserError(f"{words} other data: the {name} of {path} is {one[name]!r}, and {two[name]!r}: {advice}")


def other_recordings(run: Run, first: Run) -> list[str]:
    """A warning where the samples of two runs differ though their lists are the same, as their ``lists.json`` state."""
    one, two = (_lists(each) for each in (run, first))
    same = all(one.get(name) == two.get(name) for name in (*LIST_NAMES, "clip_seconds"))
    if not same or "audio" not in one or "audio" not in two or one["audio"] == two["audio"]:
        return []
    return [
        f"the recordings of {run.folder} and {first.folder} have the same names and not the same samples: other data, "
        "or decoded by other versions"
    ]


def _lists(run: Run) -> dict:
    """The record of a run's lists; empty where it has none, as an evaluation on other data."""
    path = run.folder / LISTS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from error
    return found if isinstance(found, dict) else {}
