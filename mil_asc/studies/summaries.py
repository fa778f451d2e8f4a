"""Tables of a study's page: means over seeds with 95 % intervals, and differences paired over the seeds."""

from dataclasses import dataclass

from mil_asc.results import markdown
from mil_asc.results.intervals import paired_interval, student_interval


@dataclass(frozen=True)
class Column:
    """A column of a page: its heading, the column of the rows, the factor that numbers are shown with, digits."""

    heading: str
    name: str
    factor: float = 1.0
    digits: int = 3


PERCENT = {"factor": 100.0, "digits": 1}
ACCURACIES = (
    Column("own rule", "accuracy", **PERCENT),
    Column("SMI", "smi", **PERCENT),
    Column("CMI", "cmi", **PERCENT),
)
EVENTS = (
    Column("events AP", "event_ap"),
    Column("event F1", "event_f1"),
    Column("PSDS 1", "psds1"),
    Column("PSDS 2", "psds2"),
)
COLUMNS = (
    *ACCURACIES,
    Column("floor", "floor", **PERCENT),
    Column("TMI area", "tmi_auc"),
    Column("confidence", "confidence"),
    Column("positive instances", "positive_share", **PERCENT),
    *EVENTS,
)


def by_seed(rows, column, **factors):
    """Seed -> value of a column, for the rows whose factors have these values."""
    return {
        int(row["seed"]): float(row[column])
        for row in rows
        if all(row[name] == str(value) for name, value in factors.items())
    }


def mean_cell(values, column):
    """``mean ± half the 95 % interval`` of one value per seed; a dash without any."""
    if not values:
        return "–"
    found = student_interval([column.factor * value for value in values.values()])
    half = "" if found.high is None else f" ± {found.high - found.mean:.{column.digits}f}"
    return f"{found.mean:.{column.digits}f}{half}"


def difference_cell(own, reference, column):
    """``mean [low, high]`` of the paired differences, bold where the interval excludes zero; a dash without pairs."""
    shared = own.keys() & reference.keys()
    found = paired_interval(
        {seed: column.factor * own[seed] for seed in shared}, {seed: column.factor * reference[seed] for seed in shared}
    )
    if found is None:
        return "–"
    if found.low is None:
        return f"{found.mean:+.{column.digits}f}"
    text = f"{found.mean:+.{column.digits}f} [{found.low:+.{column.digits}f}, {found.high:+.{column.digits}f}]"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def means_table(rows, groups, heading, columns=COLUMNS):
    """A table with one line per group: ``groups`` maps the words of its first cells to the values of its factors."""
    lines = []
    for words, factors in groups.items():
        seeds = by_seed(rows, "accuracy", **factors)
        cells = [mean_cell(by_seed(rows, column.name, **factors), column) for column in columns]
        lines.append([*words, len(seeds), *cells])
    return markdown.table([*heading, "seeds", *(column.heading for column in columns)], lines)


def differences_table(rows, pairs, heading, columns):
    """A table of paired differences: ``pairs`` maps the words of the first cells to the factors of both sides."""
    lines = []
    for words, (own, reference) in pairs.items():
        values = [(by_seed(rows, c.name, **own), by_seed(rows, c.name, **reference), c) for c in columns]
        lines.append([*words, len(values[0][0].keys() & values[0][1].keys()), *(difference_cell(*v) for v in values)])
    return markdown.table([*heading, "pairs", *(column.heading for column in columns)], lines)
