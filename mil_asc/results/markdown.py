"""Markdown tables."""

from collections.abc import Iterable, Sequence

from mil_asc.results.intervals import mean_and_spread


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; vertical bars in its cells are escaped.

    Example
    -------
    >>> print(table(["class", "clips"], [["park", 3]]))
    | class | clips |
    | --- | --- |
    | park | 3 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def mean_cell(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation (sample) over seeds as a table shows them; a dash where there are none."""
    found = mean_and_spread(values)
    if found is None:
        return "-"
    mean, spread = found
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread is not None else "")
