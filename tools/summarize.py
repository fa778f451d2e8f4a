"""Summarise finished runs: python tools/summarize.py recipes/SynthScenes/results/*/seed-*

Prints a Markdown table with one row per experiment: mean and standard deviation over its runs (seeds). "accuracy" is
that of the model's own rule: SMI, or the pooling of training where that is not the maximum.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.results import markdown
from mil_asc.results.run import without_debug_runs

COLUMNS = {
    "accuracy": (lambda run: 100 * run.accuracy(), 1),
    "accuracy SMI": (lambda run: 100 * run.accuracy("smi"), 1),
    "accuracy CMI": (lambda run: 100 * run.accuracy("cmi"), 1),
    "class-wise SMI": (lambda run: 100 * run.report["evaluation"]["smi"]["macro_accuracy"], 1),
    "ROC area TMI": (lambda run: run.report["evaluation"]["tmi"]["auc_macro"], 3),
    "log loss": (lambda run: run.report["evaluation"]["log_loss"], 3),
    "positive instances": (lambda run: 100 * run.report["evaluation"]["underestimation"]["positive_share"], 1),
    "confidence": (lambda run: run.report["evaluation"]["underestimation"]["mean_confidence"], 3),
    "events AP": (lambda run: run.report["events"]["average_precision"] if run.report["events"] else None, 3),
}
"""What a column shows of a run, None where it has no such value, and its digits after the point."""


def summarize(runs):
    """A Markdown table of runs."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.dataset, run.experiment].append(run)
    rows = []
    for (dataset, experiment), members in groups.items():
        seeds = ", ".join(str(seed) for seed in sorted(run.seed for run in members))
        epochs = "/".join(str(count) for count in sorted({run.provenance["epochs"] for run in members}))
        found = [([value(run) for run in members], digits) for value, digits in COLUMNS.values()]
        cells = [markdown.mean_cell([v for v in values if v is not None], digits) for values, digits in found]
        rows.append([dataset, experiment, seeds, epochs, *cells])
    return markdown.table(["data set", "experiment", "seeds", "epochs", *COLUMNS], rows)


def main(arguments=None):
    """Print the table of the runs named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="output folders of finished runs")
    try:
        runs, _ = without_debug_runs(parser.parse_args(arguments).runs)
        print(summarize(runs))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
