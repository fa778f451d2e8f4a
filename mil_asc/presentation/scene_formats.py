"""A scene as a row or a file of each format.

Names of files may hold anything but NUL. What would break a line, and bytes that are not UTF-8, are escaped as
``mil_asc.errors.printable`` does.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mil_asc.errors import printable
from mil_asc.inference.scene import UNFAMILIAR, Instances, Scene

FORMATS = ("table", "csv", "json", "jsonl", "audacity", "raven", "parquet", "dcase")
PER_RECORDING = {"audacity": ".txt", "raven": ".Table.1.selections.txt"}
"""Formats with a file of their own per recording, and the ending of its name."""
WITH_TIMELINE = ("table", "json", "jsonl")
COLUMNS = ("path", "label", "assumption", "score", "probability", "familiar", "unfamiliarity", "end")
COUNTS = ("instances", "positive")
RAVEN = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
    *("Label", "Confidence"),
)
DIGITS = 6
BREAKING = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of what would break a line or is not UTF-8: control characters, surrogates, separators."""


class Formatting(NamedTuple):
    """What the text of a scene depends on besides it; may go to another process."""

    form: str
    labels: list[str]
    rate: int
    timeline: float | None = None
    colour: bool = False
    rules: tuple[str, ...] = ("smi", "cmi")


class Moment(NamedTuple):
    """Consecutive positive instances: start, end (in seconds), and the greatest confidence among them."""

    start: float
    end: float
    confidence: float


def render(scene: Scene, path: str, name: str, how: Formatting) -> Any:
    """The scene of the recording at ``path``, called ``name``: a row, the text of a file, or a dictionary for
    ``parquet``."""
    if how.form == "dcase":
        return dcase_line(scene, name, how.labels)
    if how.form == "csv":
        return csv_line(csv_values(scene, path, how.labels).values())
    if how.form in ("json", "jsonl"):
        return json.dumps(as_dict(scene, path, how.timeline), ensure_ascii=False, allow_nan=False)
    if how.form == "parquet":
        return csv_values(scene, path, how.labels) | {"moments": [moment._asdict() for moment in moments(scene)]}
    if how.form == "audacity":
        return audacity_labels(scene)
    if how.form == "raven":
        return raven_table(scene, how.rate / 2)
    return table_lines(scene, path, how)


def header(how: Formatting) -> str:
    """The first line of a file or table of rows; empty for formats without."""
    if how.form == "csv":
        return csv_line(column_names(how.labels)) + "\n"
    if how.form == "dcase":
        return "\t".join(("filename", "scene_label", *map(plain, sorted(how.labels)))) + "\n"
    if how.form == "table":
        return f"{'scene':{_width(how.labels)}}  score  P(correct)  recording\n"
    return ""


def plain(text: str) -> str:
    r"""Text without what would break a line, and of UTF-8.

    Backslashes are doubled, so that different texts stay different.

    Example
    -------
    >>> plain("a\nb.wav"), plain("caf\udce9.wav"), plain("naïve.wav")
    ('a\\nb.wav', 'caf\\udce9.wav', 'naïve.wav')
    """
    if "\\" not in text and not any(unicodedata.category(letter) in BREAKING for letter in text):
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c == "\\" or unicodedata.category(c) in BREAKING else c for c in text
    )


def row_name(path: str, name: str, form: str) -> str:
    """What the first column of a row says of the recording at ``path``, called ``name``."""
    return plain(name if form == "dcase" else path)


# -- rows


def as_dict(scene: Scene, path: str, timeline: float | None = None) -> dict[str, Any]:
    """All that a scene says, as JSON has it; ``timeline`` adds a part per so many seconds."""
    row = {"path": plain(path), "label": scene.label, "assumption": scene.assumption} | _verdict(scene)
    row["instances"] = list(_instances(scene.instances))
    if timeline is not None:
        row["timeline"] = [{"label": part.label} | _verdict(part) for part in scene.timeline(timeline)]
    return row


def _instances(found: Instances) -> Iterator[dict[str, Any]]:
    columns = (found.times_I2.round(DIGITS), found.winners_I, found.confidences_IC.max(1).round(DIGITS))
    for (start, end), winner, confidence in zip(*(column.tolist() for column in columns)):
        label, positive = found.labels[winner], winner == found.decided
        yield {"start": start, "end": end, "label": label, "confidence": confidence, "positive": positive}


def _verdict(scene: Scene) -> dict[str, Any]:
    return {
        "start": _short(scene.start),
        "end": _short(scene.end),
        "probability": _short(scene.probability),
        "familiar": scene.familiar,
        "unfamiliarity": _short(scene.unfamiliarity),
        "scores": {
            rule: {label: _short(score) for label, score in found.items()} for rule, found in scene.scores.items()
        },
    }


def column_names(labels: Sequence[str]) -> list[str]:
    """Columns of CSV and Parquet: the last have the score of each class under the rule that decided."""
    return [*COLUMNS, *COUNTS, *(f"score:{plain(label)}" for label in labels)]


def csv_values(scene: Scene, path: str, labels: Sequence[str]) -> dict[str, Any]:
    """A scene's values by column."""
    scores = scene.scores[scene.assumption]
    values = [
        plain(path),
        plain(scene.label),
        scene.assumption,
        _short(scores[scene.label]),
        _short(scene.probability),
        scene.familiar,
        _short(scene.unfamiliarity),
        _short(scene.end),
        len(scene.instances),
        int(scene.instances.positive_I.sum()),
        *(_short(scores[label]) for label in labels),
    ]
    return dict(zip(column_names(labels), values))


def csv_line(values: Any) -> str:
    """A line of CSV without its end: true and false in lower case, nothing for None."""
    out = io.StringIO()
    texts = [str(value).lower() if isinstance(value, bool) else value for value in values]
    csv.writer(out, lineterminator="").writerow(texts)
    return out.getvalue()


def dcase_line(scene: Scene, name: str, labels: Sequence[str]) -> str:
    """A row of a submission to DCASE task 1, without its end: name, class, and the probability of every class.

    The probabilities are the scores under the rule that decided (0 to 1 each) divided by their sum, in the order of the
    classes' names: those of which reports give the log loss.
    """
    scores = scene.scores[scene.assumption]
    total = sum(scores.values())
    shares = (scores[label] / total if total > 0 else 1 / len(scores) for label in sorted(labels))
    return "\t".join((plain(name), plain(scene.label), *(f"{share:.9g}" for share in shares)))


def _short(number: float | None) -> float | None:
    return None if number is None else round(float(number), DIGITS)


# -- for people


def table_lines(scene: Scene, path: str, how: Formatting) -> str:
    """A line, and one per window of a timeline; what is unlike the training data is marked."""
    lines = [_table_line(scene, printable(path), how)]
    if how.timeline is not None:
        for part in scene.timeline(how.timeline):
            lines.append(_table_line(part, f"  {clock(part.start)} - {clock(part.end)}", how))
    return "\n".join(lines)


def _table_line(scene: Scene, where: str, how: Formatting) -> str:
    score = scene.scores[scene.assumption][scene.label]
    chance = "-" if scene.probability is None else f"{scene.probability:.2f}"
    label = printable(scene.label).ljust(_width(how.labels))
    mark = f"  ({UNFAMILIAR})" if scene.familiar is False else ""
    if how.colour:
        label = f"\x1b[1m{label}\x1b[0m"
        mark = f"\x1b[33m{mark}\x1b[0m" if mark else ""
    return f"{label}  {score:5.2f}  {chance:>10}  {where}{mark}"


def _width(labels: Sequence[str]) -> int:
    return max(5, *(len(printable(label)) for label in labels))


def clock(seconds: float) -> str:
    """A time of a recording as a person reads it.

    Example
    -------
    >>> clock(9.5), clock(3725)
    ('0:09.50', '1:02:05.00')
    """
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{front}:{rest // 100:02}.{rest % 100:02}"


# -- for programs that show sound


def moments(scene: Scene) -> Iterator[Moment]:
    """The positive moments of a scene, in the order of time: neighbouring positive instances are one moment."""
    current: Moment | None = None
    for one in scene.instances.positive():
        if current is not None and one.start <= current.end:
            current = Moment(current.start, one.end, max(current.confidence, one.confidence))
            continue
        if current is not None:
            yield current
        current = Moment(one.start, one.end, one.confidence)
    if current is not None:
        yield current


def shown_label(scene: Scene) -> str:
    """The scene's class in one line without tabs, marked where the recording is unlike the training data."""
    label = printable(scene.label)
    return f"{label} ({UNFAMILIAR})" if scene.familiar is False else label


def audacity_labels(scene: Scene) -> str:
    """A label track of Audacity: a line of start, end and class per positive moment, divided by tabs."""
    label = shown_label(scene)
    return "".join(f"{one.start:.6f}\t{one.end:.6f}\t{label}\n" for one in moments(scene))


def raven_table(scene: Scene, highest: float) -> str:
    """A selection table of Raven: a row per positive moment, divided by tabs; frequencies up to ``highest`` (in Hz)."""
    lines = ["\t".join(RAVEN)]
    for number, one in enumerate(moments(scene), start=1):
        box = (f"{one.start:.6f}", f"{one.end:.6f}", "0", f"{highest:g}")
        lines.append("\t".join((str(number), "Spectrogram 1", "1", *box, shown_label(scene), f"{one.confidence:.4f}")))
    return "\n".join(lines) + "\n"
