"""The kind of number that options of the command line take."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A finite number within limits: ``click.FloatRange`` takes NaN, which no comparison refuses, and infinity.

    Example
    -------
    >>> Number(0, 60)("0.5")
    0.5
    >>> Number(0, 60)("nan")
    Traceback (most recent call last):
    click.exceptions.BadParameter: 'nan' is not a finite number.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number that a text states; a usage error that names the option."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{str(value)!r} is not a finite number.", param, ctx)
        return number
