"""JSON of a stranger: read as plain data or refused in one line; no key twice, no NaN, no endless nesting."""

import json
import math
import re
from typing import NoReturn

from mil_asc.errors import UserError

MOST_DEPTH = 32
"""Levels of lists and mappings that a file of this package never reaches."""


def parse_json(content: bytes | str, where: object) -> object:
    """The value of a JSON text.

    Arguments
    ---------
    content : bytes or str
        The text, in UTF-8 if it is bytes. Its size is the caller's to limit.
    where : str or Path
        The file, for the message.

    Raises
    ------
    UserError
        It is no JSON, a key stands twice in one mapping, a number is not finite or has thousands of digits, or lists
        and mappings are nested deeper than ``MOST_DEPTH``.

    Example
    -------
    >>> parse_json('{"a": 1, "a": 2}', "config.json")
    Traceback (most recent call last):
    mil_asc.errors.UserError: config.json is no legal JSON: the key 'a' stands twice
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        if _depth(text) > MOST_DEPTH:
            raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
        return json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
        )
    except ValueError as error:  # also JSONDecodeError and UnicodeDecodeError
        raise UserError(f"{where} is no legal JSON: {' '.join(str(error).split())[:200]}") from error


def _depth(text: str) -> int:
    """Deepest nesting of a text: brackets outside of strings; closing ones that match nothing do not count."""
    depth = deepest = 0
    plain = text.replace("\\\\", "").replace('\\"', "")  # without escapes, so that a quote ends its string
    for found in re.finditer(r'"[^"]*"?|[\[{]|[\]}]', plain):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth = max(depth - 1, 0)
    return deepest


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r:.80} stands twice")
        values[key] = value
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits:.40} is too large")
    return number
