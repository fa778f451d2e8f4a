"""The generated part of each study's page, and its picture."""

from mil_asc.results import plots
from mil_asc.results.intervals import student_interval
from mil_asc.studies.design import STRATEGIES
from mil_asc.studies.evidence import EPOCHS, LONG_EPOCHS, LONG_SHARE, LONG_STRATEGIES, SHARES
from mil_asc.studies.networks import COMPARED as SYSTEMS_COMPARED
from mil_asc.studies.networks import NETWORKS
from mil_asc.studies.poolings import COMPARED
from mil_asc.studies.summaries import ACCURACIES, COLUMNS, EVENTS, Column, by_seed, differences_table, means_table

NAMES = {
    "no_il": "no instance loss",
    "pnl": "positive/negative labels",
    "gt": "class of the clip",
    "gap": "global average pooling",
}
"""Strategies as the pages call them."""
PAIRS = (("pnl", "no_il"), ("gt", "no_il"), ("gt", "pnl"), ("gap", "no_il"))
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


def evidence_page(rows):
    """Markdown of all tables of the study of evidence, from its rows."""
    short = [row for row in rows if row["epochs"] == str(EPOCHS)]
    groups = {
        (f"{share:g}", NAMES[strategy]): {"event_share": f"{share:g}", "strategy": strategy}
        for share in SHARES
        for strategy in STRATEGIES
    }
    pairs = {
        (f"{share:g}", f"{NAMES[own]} − {NAMES[other]}"): tuple(
            {"event_share": f"{share:g}", "strategy": strategy} for strategy in (own, other)
        )
        for share in SHARES
        for own, other in PAIRS
    }
    parts = [
        "### Means over seeds",
        means_table(short, groups, ["share", "strategy"]),
        "### Differences, paired by seed",
        differences_table(short, pairs, ["share", "difference"], [*ACCURACIES, *EVENTS]),
        f"### {LONG_EPOCHS} epochs instead of {EPOCHS}, share {LONG_SHARE:g}",
        _long_tables(rows),
        machine_note(rows),
    ]
    return "\n\n".join(parts)


def _long_tables(rows):
    share = f"{LONG_SHARE:g}"
    factors = {
        (epochs, strategy): {"event_share": share, "strategy": strategy, "epochs": epochs}
        for strategy in LONG_STRATEGIES
        for epochs in (EPOCHS, LONG_EPOCHS)
    }
    groups = {(epochs, NAMES[strategy]): chosen for (epochs, strategy), chosen in factors.items()}
    pairs = {
        (epochs, f"{NAMES[strategy]} − {NAMES['no_il']}"): (factors[epochs, strategy], factors[epochs, "no_il"])
        for strategy in LONG_STRATEGIES[1:]
        for epochs in (EPOCHS, LONG_EPOCHS)
    }
    means = means_table(rows, groups, ["epochs", "strategy"])
    return f"{means}\n\n{differences_table(rows, pairs, ['epochs', 'difference'], [*ACCURACIES, *EVENTS])}"


def poolings_page(rows):
    """Markdown of all tables of the benchmark of poolings, from its rows."""
    names = sorted({row["pooling"] for row in rows})
    columns = [*COLUMNS[:6], *EVENTS]
    groups = {
        (f"`{name}`", NAMES[strategy]): {"pooling": name, "strategy": strategy}
        for name in names
        for strategy in COMPARED
    }
    pairs = {
        (f"`{name}`",): tuple({"pooling": name, "strategy": strategy} for strategy in ("pnl", "no_il"))
        for name in names
    }
    against_max = {
        (f"`{name}`", NAMES[strategy]): tuple({"pooling": pooling, "strategy": strategy} for pooling in (name, "max"))
        for strategy in COMPARED
        for name in names
        if name != "max"
    }
    parts = [
        "### Means over seeds",
        means_table(rows, groups, ["pooling", "strategy"], columns),
        "### What the instance loss changes: positive/negative labels − no instance loss, paired by seed",
        differences_table(rows, pairs, ["pooling"], [*ACCURACIES, *EVENTS]),
        "### Each pooling − the maximum, paired by seed",
        differences_table(rows, against_max, ["pooling", "strategy"], [*ACCURACIES, *EVENTS]),
        machine_note(rows),
    ]
    return "\n\n".join(parts)


def systems_page(rows):
    """Markdown of all tables of the field's networks, from the rows of their study."""
    columns = [Column("parameters", "parameters", digits=0), *COLUMNS[:6], *EVENTS]
    names = [name for name in NETWORKS if any(row["network"] == name for row in rows)]
    groups = {
        (f"`{' '.join([name, *NETWORKS[name]])}`", NAMES[strategy]): {"network": name, "strategy": strategy}
        for name in names
        for strategy in SYSTEMS_COMPARED
    }
    pairs = {
        (f"`{name}`",): tuple({"network": name, "strategy": strategy} for strategy in ("pnl", "gap")) for name in names
    }
    parts = [
        "### Each network",
        means_table(rows, groups, ["network", "strategy"], columns),
        "### Positive/negative labels − global average pooling, paired by seed",
        differences_table(rows, pairs, ["network"], [*ACCURACIES, *EVENTS]),
        machine_note(rows),
    ]
    return "\n\n".join(parts)


def machine_note(rows):
    """Where and how the rows were made, one line per machine and version."""
    kinds = {}
    for row in rows:
        made = f"mil_asc {row['version']}, {row['device']}, {row['precision']}, torch {row['torch']}"
        kinds.setdefault(made, []).append(row)
    lines = [
        f"* {len(own)} runs: {made}; {sum(int(row['train_seconds']) for row in own) / len(own) / 60:.1f} minutes of "
        "training each"
        for made, own in kinds.items()
    ]
    return "\n".join(["±: half the 95 % interval by Student's t. Bold: the 95 % interval excludes zero.", "", *lines])


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
    points = [(share, by_seed(rows, column, event_share=f"{share:g}", strategy=strategy)) for share in SHARES]
    found = [(share + shift, student_interval(list(values.values()))) for share, values in points if values]
    if not found:
        return
    x, intervals = zip(*found)
    half = [0.0 if one.high is None else one.high - one.mean for one in intervals]
    style = {"color": COLOURS[strategy], "marker": MARKERS[strategy], "markersize": 4, "capsize": 2, "elinewidth": 0.8}
    axes.errorbar(x, [one.mean for one in intervals], yerr=half, label=NAMES[strategy], **style)


def _paint_line(axes, rows, column, name):
    """A dotted line of what a share is by itself: its floor, or its chance level."""
    found = {share: by_seed(rows, column, event_share=f"{share:g}") for share in SHARES}
    points = [(share, sum(values.values()) / len(values)) for share, values in found.items() if values]
    if points:
        axes.plot(*zip(*points), color=plots.OTHER, linestyle=":", linewidth=1)
        style = {"textcoords": "offset points", "fontsize": 8, "color": plots.OTHER, "ha": "right"}
        axes.annotate(name, points[-1], (4, -10), **style)
