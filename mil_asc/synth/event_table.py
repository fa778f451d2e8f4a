"""``events.csv`` of a set of synthetic scenes: when each event of each clip sounds, and which role it has."""

import math
from pathlib import Path

from mil_asc.corpora.delimited import normal_path, read_rows
from mil_asc.corpora.manifest import Clip, Event
from mil_asc.errors import UserError
from mil_asc.synth.events import AMBIGUOUS_EVENTS, DISTINCT_EVENTS

COLUMNS = ("filename", "onset", "offset", "kind", "role")
KINDS = {"distinct": DISTINCT_EVENTS, "ambiguous": AMBIGUOUS_EVENTS}
"""Role -> class -> the kinds of event that have this role there."""


def read_events(path: Path, clips: list[Clip], seconds: float) -> dict[str, list[Event]]:
    """The events of each clip, in the order of the table.

    Arguments
    ---------
    path : Path
        The table, separated by tabs, with the columns ``COLUMNS``.
    clips : list of Clip
        The clips that it may name.
    seconds : float
        Length of a clip (in seconds).

    Returns
    -------
    dict
        Path of a clip -> its events; a clip without events is not in it.

    Raises
    ------
    UserError
        A missing table or value, an unknown clip, times that are not 0 <= onset < offset <= ``seconds``, a role or a
        kind that the clip's class does not have: one line with file and line number.
    """
    labels = {clip.path: clip.label for clip in clips}
    events: dict[str, list[Event]] = {}
    for line, row in read_rows(path, *COLUMNS):
        where = f"{path}, line {line}"
        name = normal_path(row["filename"], where)
        if name not in labels:
            raise UserError(f"{where}: {name} is in none of the lists")
        onset, offset = (_seconds(row[key], key, where) for key in ("onset", "offset"))
        if not 0 <= onset < offset <= seconds:
            raise UserError(
                f"{where}: an event must begin at 0 s or later and end after that, at {seconds:g} s at the latest, "
                f"got {row['onset']} to {row['offset']}"
            )
        _check_kind(row["kind"], row["role"], labels[name], where)
        events.setdefault(name, []).append(Event(onset, offset, row["kind"], row["role"]))
    return events


def _seconds(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {column} must be a number of seconds, got {text!r}")
    return value


def _check_kind(kind: str, role: str, label: str, where: str) -> None:
    if role not in KINDS:
        raise UserError(f"{where}: unknown role {role!r}; legal: {', '.join(KINDS)}")
    legal = [known.name for known in KINDS[role].get(label, ())]
    if kind not in legal:
        raise UserError(f"{where}: {label} has no {role} event {kind!r}; legal: {', '.join(legal)}")
