"""Sum up finished runs: python tools/summarize.py recipes/SynthScenes/results/*/seed-*

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
    "accuracy": lambda run: 100 * run.accuracy(),
    "accuracy SMI": lambda run: 100 * run.accuracy("smi"),
    "accuracy CMI": lambda run: 100 * run.accuracy("cmi"),
    "class-wise SMI": lambda run: 100 * run.report["evaluation"]["smi"]["macro_accuracy"],
    "ROC area TMI": lambda run: run.report["evaluation"]["tmi"]["auc_macro"],
    "log loss": lambda run: run.report["evaluation"]["log_loss"],
    "positive instances": lambda run: 100 * run.report["evaluation"]["underestimation"]["positive_share"],
    "confidence": lambda run: run.report["evaluation"]["underestimation"]["mean_confidence"],
    "events AP": lambda run: run.report["events"]["average_precision"] if run.report["events"] else None,
}


def cell(values):
    """Mean and standard deviation of numbers, with one digit for percentages and three for others; None are left out.

    >>> cell([70.0, 80.0]), cell([0.5, None]), cell([None])
    ('75.0 ± 7.1', '0.500', '-')
    """
    values = [value for value in values if value is not None]
    return markdown.mean_cell(values, digits=1 if values and max(values) > 5 else 3)


def summarize(runs):
    """A Markdown table of runs."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.dataset, run.experiment].append(run)
    rows = []
    for (dataset, experiment), members in groups.items():
        seeds = ", ".join(str(seed) for seed in sorted(run.seed for run in members))
        epochs = "/".join(str(count) for count in sorted({run.provenance["epochs"] for run in members}))
        cells = [cell([column(run) for run in members]) for column in COLUMNS.values()]
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
