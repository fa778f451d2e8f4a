"""The generated part of each study's page."""

from mil_asc.studies.design import STRATEGIES
from mil_asc.studies.evidence import EPOCHS, LONG_EPOCHS, LONG_SHARE, LONG_STRATEGIES, SHARES
from mil_asc.studies.networks import COMPARED as SYSTEMS_COMPARED
from mil_asc.studies.networks import NETWORKS
from mil_asc.studies.poolings import COMPARED
from mil_asc.studies.summaries import ACCURACIES, COLUMNS, EVENTS, Column, differences_table, means_table

NAMES = {
    "no_il": "no instance loss",
    "pnl": "positive/negative labels",
    "gt": "class of the clip",
    "gap": "global average pooling",
}
"""Strategies as the pages call them."""
PAIRS = (("pnl", "no_il"), ("gt", "no_il"), ("gt", "pnl"), ("gap", "no_il"))


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
