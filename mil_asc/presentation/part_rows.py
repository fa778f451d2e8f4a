"""A recording as a row of a partitioned table: a line of JSON with the table's columns."""

from __future__ import annotations

import json
from typing import Any

from mil_asc.inference.scene import Scene
from mil_asc.presentation.scene_formats import DIGITS, Formatting, moments, plain

MOMENT = ("start", "end", "confidence")


def column_kinds(how: Formatting) -> dict[str, str]:
    """Column -> ``text``, ``number``, ``count``, ``truth``, ``scores`` (one number per class) or ``moments``.

    ``label`` is the class decided under the rule ``assumption``, ``score`` its score; then, for every rule of
    ``how.rules``, the class decided under it and the scores of all classes.
    """
    kinds = {"path": "text", "duration": "number", "label": "text", "assumption": "text", "score": "number"}
    kinds |= {"probability": "number", "familiar": "truth", "unfamiliarity": "number"}
    for rule in how.rules:
        kinds |= {f"label_{rule}": "text", f"scores_{rule}": "scores"}
    return kinds | {"instances": "count", "positive": "count", "moments": "moments", "error": "text"}


def part_row(scene: Scene, path: str, how: Formatting) -> str:
    """The row of a recording, as JSON in one line."""
    row: dict[str, Any] = {"path": plain(path), "duration": _short(scene.duration), "label": plain(scene.label)}
    row |= {"assumption": scene.assumption, "score": _short(scene.scores[scene.assumption][scene.label])}
    row |= {"probability": _short(scene.probability), "familiar": scene.familiar}
    row["unfamiliarity"] = _short(scene.unfamiliarity)
    for rule in how.rules:
        row[f"label_{rule}"] = plain(scene.decisions[rule])
        row[f"scores_{rule}"] = {plain(label): _short(scene.scores[rule][label]) for label in how.labels}
    row |= {"instances": len(scene.instances), "positive": int(scene.instances.positive_I.sum())}
    row["moments"] = [dict(zip(MOMENT, map(_short, moment))) for moment in moments(scene)]
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def bad_row(path: str, message: str) -> str:
    """The row of a recording that could not be classified, and why, as JSON in one line."""
    return json.dumps({"path": plain(path), "error": plain(message)}, ensure_ascii=False)


def _short(number: float | None) -> float | None:
    return None if number is None else round(float(number), DIGITS)
