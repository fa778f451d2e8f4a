"""Summarise finished runs: python tools/summarize.py recipes/SynthScenes/results/*/seed-*

Prints a Markdown table with one row per experiment and data: mean and standard deviation over its runs (seeds).
"accuracy" is that of the model's own rule: SMI, or the pooling of training where that is not the maximum. "floor" is
that of a linear classifier on the same split; runs of earlier versions have none, nor have the folders that
tools/evaluate.py wrote. These can be named too; their data set is not the one that the model was trained on. The folder
of a cross-validation stands for its pooled results, and runs of single folds have a row of their own. A second table
gives the accuracy of each group of recordings, where the data set has groups instead of cities and devices.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from mil_asc.errors import UserError, printable
from mil_asc.results import markdown
from mil_asc.results.run import SETTINGS, without_debug_runs
from mil_asc.results.settings import changed_settings
from mil_asc.runtime.program import run_program

MAY_DIFFER = ("seed", "__set_seed", "data.fold")
"""Settings in which the runs of a row may differ."""
UNDERESTIMATION = "evaluation.underestimation"
COLUMNS = {
    "accuracy": (lambda run: percent(run.accuracy()), 1),
    "accuracy SMI": (lambda run: percent(run.number("evaluation.smi.accuracy")), 1),
    "accuracy CMI": (lambda run: percent(run.number("evaluation.cmi.accuracy")), 1),
    "floor": (lambda run: percent(run.number("floor.accuracy")) if run.report.get("floor") else None, 1),
    "class-wise SMI": (lambda run: percent(run.number("evaluation.smi.macro_accuracy")), 1),
    "ROC area TMI": (lambda run: run.number("evaluation.tmi.auc_macro"), 3),
    "log loss": (lambda run: run.number("evaluation.log_loss"), 3),
    "positive instances": (lambda run: percent(run.number(f"{UNDERESTIMATION}.positive_share")), 1),
    "confidence": (lambda run: run.number(f"{UNDERESTIMATION}.mean_confidence"), 3),
    "events AP": (lambda run: run.number("events.average_precision") if run.report.get("events") else None, 3),
}
"""What a column shows of a run, None where it has no such value, and its digits after the point."""


def percent(share):
    """A share in percent; None stays None."""
    return None if share is None else 100 * share


def summarize(runs):
    """A Markdown table of runs: one row per experiment, data folder, and set that the model was trained on."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.dataset, run.data_folder, run.trained_on, name(run)].append(run)
    rows = []
    for (dataset, folder, trained_on, experiment), members in groups.items():
        shared = any(other.name == folder.name and other != folder for _, other, *_ in groups)
        seeds = ", ".join(map(seed, sorted(members, key=lambda run: (run.seed, run.folds[1]))))
        epochs = "/".join(str(count) for count in sorted({run.provenance["epochs"] for run in members}))
        found = [([value(run) for run in members], digits) for value, digits in COLUMNS.values()]
        cells = [markdown.mean_cell([v for v in values if v is not None], digits) for values, digits in found]
        data = [dataset, folder if shared else folder.name, trained_on or dataset]
        rows.append([*data, experiment, seeds, epochs, *cells])
    return markdown.table(["data set", "data folder", "trained on", "experiment", "seeds", "epochs", *COLUMNS], rows)


def repeated_seeds(runs):
    """Lines that name runs of one row with the same seed: a copy of a run makes the deviation too small."""
    folders = defaultdict(list)
    for run in runs:
        key = run.dataset, run.data_folder, run.trained_on, run.experiment, run.folds, run.seed
        folders[key].append(str(run.folder))
    return [
        printable(f"{' and '.join(own)} have the same experiment and seed; each counts as a run of its own")
        for own in folders.values()
        if len(own) > 1
    ]


def mixed_settings(runs):
    """Lines that name runs of one row with different settings: their mean is that of no experiment.

    Seeds, folds and places may differ; folders without settings, as tools/evaluate.py writes them, are not compared.
    """
    lines, first = [], {}
    for run in runs:
        if not (run.folder / SETTINGS).is_file():
            continue
        key = run.dataset, run.data_folder, run.trained_on, run.experiment, run.folds[0]
        other = first.setdefault(key, run)
        changes = changed_settings(other.settings_text, run.settings_text)
        for name, (old, new) in changes.items():
            if name not in MAY_DIFFER:
                lines.append(
                    printable(f"{other.folder} and {run.folder} are in one row and differ in {name} ({old} and {new})")
                )
                break
    return lines


def summarize_groups(runs):
    """A Markdown table with one row per experiment and group of recordings, for the runs that know such groups.

    Empty text where none does. A group is averaged over the runs that were evaluated on it.
    """
    rows = defaultdict(list)
    for run in runs:
        for group, found in run.per_group.items():
            rows[run.dataset, run.data_folder.name, name(run), group].append(found)
    cells = [
        [*key, "/".join(str(count) for count in sorted({found["clips"] for found in own})), accuracy(own)]
        for key, own in sorted(rows.items())
    ]
    return (
        markdown.table(["data set", "data folder", "experiment", "group", "clips", "accuracy"], cells) if cells else ""
    )


def name(run):
    """A run's experiment; with what part of a cross-validation it is."""
    folds, fold = run.folds
    part = f", single folds of {folds}" if fold else f", {folds} folds" if folds else ""
    return f"{run.experiment}{part}"


def seed(run):
    """A run's seed; with the number of its fold if it is one."""
    return f"{run.seed} (fold {run.folds[1]})" if run.folds[1] else str(run.seed)


def accuracy(found):
    """Mean and standard deviation of the accuracies of a group (in percent)."""
    return markdown.mean_cell([100 * part["accuracy"] for part in found], 1)


def main(arguments=None):
    """Print the table of the runs named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="output folders of finished runs")
    try:
        runs, _ = without_debug_runs(parser.parse_args(arguments).runs)
        for line in [*repeated_seeds(runs), *mixed_settings(runs)]:
            print(f"WARNING: {line}", file=sys.stderr)
        tables = [summarize(runs), *filter(None, [summarize_groups(runs)])]
        print("\n\n".join("\n".join(map(printable, table.split("\n"))) for table in tables))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
