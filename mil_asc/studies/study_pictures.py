"""The picture of each study: means over seeds with 95 % intervals."""

from mil_asc.results import plots
from mil_asc.results.intervals import student_interval
from mil_asc.studies.design import STRATEGIES
from mil_asc.studies.evidence import EPOCHS, SHARES
from mil_asc.studies.pages import NAMES
from mil_asc.studies.poolings import COMPARED
from mil_asc.studies.summaries import by_seed

COLOURS = {"no_il": "#757575", "pnl": "#0072b2", "gt": "#d55e00", "gap": "#009e73"}
MARKERS = {"no_il": "o", "pnl": "s", "gt": "^", "gap": "D"}
PANELS = (
    ("accuracy, SMI", "smi"),
    ("accuracy, CMI", "cmi"),
    ("confidence of the true class", "confidence"),
    ("events, average precision", "event_ap"),
    ("events, F1 at 0.5", "event_f1"),
    ("events, PSDS 2", "psds2"),
)
SIDE_BY_SIDE = (
    ("accuracy, own rule", "accuracy", (0.8, 0.9, 1.0)),
    ("accuracy, CMI", "cmi", (0.6, 0.8, 1.0)),
    ("confidence, true class", "confidence", (0.0, 0.5, 1.0)),
    ("events, F1 at 0.5", "event_f1", (0.0, 0.2, 0.4)),
)
"""Panels of ``paint_poolings``: title, column of the rows, marks of its axis."""


def paint_evidence(figure, rows):
    """Curves over the share of evidence, one panel per measure, with 95 % intervals over seeds."""
    figure.set_size_inches(9.6, 6.0)
    short = [row for row in rows if row["epochs"] == str(EPOCHS)]
    axes = figure.subplots(2, 3, sharex=True)
    for panel, (title, column) in zip(axes.flat, PANELS, strict=True):
        for position, strategy in enumerate(STRATEGIES):
            _paint_curve(panel, short, column, strategy, 0.006 * (position - 1.5))
        panel.set_title(title, fontsize=10)
        panel.set_ylim(0, 1)
        panel.set_xticks(SHARES)
        panel.set_xlim(min(SHARES) - 0.05, max(SHARES) + 0.05)
        panel.grid(color=plots.FAINT, linewidth=0.6)
    _paint_line(axes.flat[0], short, "floor", "floor")
    _paint_line(axes.flat[3], short, "event_chance", "chance")
    for panel in axes[1]:
        panel.set_xlabel("share of a clip that shows its class")
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=4)
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.08, top=0.89, wspace=0.15, hspace=0.2)


def _paint_curve(axes, rows, column, strategy, shift):
    points = [(share + shift, by_seed(rows, column, event_share=f"{share:g}", strategy=strategy)) for share in SHARES]
    x, means, half = intervals(points)
    if x:
        axes.errorbar(x, means, yerr=half, label=NAMES[strategy], **_style(strategy))


def intervals(points):
    """Positions, means over seeds, and half the 95 % intervals (0 for one seed), of the points that have values."""
    found = [(place, student_interval(list(values.values()))) for place, values in points if values]
    half = [0.0 if one.high is None else one.high - one.mean for _, one in found]
    return [place for place, _ in found], [one.mean for _, one in found], half


def _style(strategy):
    return {
        "color": COLOURS[strategy],
        "marker": MARKERS[strategy],
        "markersize": 4,
        "capsize": 2,
        "elinewidth": 0.8,
    }


def _paint_line(axes, rows, column, name):
    """A dotted line of what a share is by itself: its floor, or its chance level."""
    found = {share: by_seed(rows, column, event_share=f"{share:g}") for share in SHARES}
    points = [(share, sum(values.values()) / len(values)) for share, values in found.items() if values]
    if points:
        axes.plot(*zip(*points), color=plots.OTHER, linestyle=":", linewidth=1)
        style = {"textcoords": "offset points", "fontsize": 8, "color": plots.OTHER, "ha": "right"}
        axes.annotate(name, points[-1], (4, -10), **style)


def paint_poolings(figure, rows):
    """A line per pooling, a point per strategy, one panel per measure; longer intervals end at a panel's edge."""
    figure.set_size_inches(9.6, 4.6)
    names = sorted({row["pooling"] for row in rows}, reverse=True)
    axes = figure.subplots(1, len(SIDE_BY_SIDE), sharey=True)
    for panel, (title, column, marks) in zip(axes, SIDE_BY_SIDE, strict=True):
        for position, strategy in enumerate(COMPARED):
            shift = 0.16 * (0.5 - position)
            _paint_points(panel, rows, names, column, strategy, shift)
        panel.set_title(title, fontsize=10)
        panel.set_xticks(marks)
        panel.set_xlim(marks[0] - 0.1 * (marks[-1] - marks[0]), marks[-1] + 0.1 * (marks[-1] - marks[0]))
        panel.set_yticks(range(len(names)), names)
        panel.grid(color=plots.FAINT, linewidth=0.6)
    floor = [float(row["floor"]) for row in rows]
    if floor:
        axes[0].axvline(sum(floor) / len(floor), color=plots.OTHER, linestyle=":", linewidth=1)
    handles, words = axes[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="upper center", ncols=2)
    figure.subplots_adjust(left=0.15, right=0.985, bottom=0.06, top=0.85, wspace=0.12)


def _paint_points(axes, rows, names, column, strategy, shift):
    points = [(y + shift, by_seed(rows, column, pooling=name, strategy=strategy)) for y, name in enumerate(names)]
    y, means, half = intervals(points)
    if y:
        axes.errorbar(means, y, xerr=half, label=NAMES[strategy], linestyle="none", **_style(strategy))
