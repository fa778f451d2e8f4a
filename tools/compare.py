"""Compare systems on the same clips: python tools/compare.py RUN [RUN ...] --with RUN [RUN ...]

Prints a Markdown table: accuracies of both, their difference with a 95 % interval (bootstrap over the groups of the
evaluation set: locations, recordings, ...), and p of McNemar's exact test, which takes clips for independent. Several
runs on a side, such as seeds, are averaged clip by clip; then there is no McNemar's test. The folder of a
cross-validation stands for all its folds. The interval is about other recordings, not about other trainings.
"""

import argparse
import sys
from pathlib import Path

from mil_asc.results import markdown
from mil_asc.results.paired import compare_runs
from mil_asc.runtime.program import run_program

HEADINGS = ("rule", "clips", "groups", "accuracy", "with", "difference", "95 % interval", "p (McNemar)")


def table(own, reference):
    """The Markdown table of two lists of folders, in percent."""
    rows = []
    for rule, found in compare_runs(own, reference).items():
        interval = "–" if found.interval is None else "{:+.1f} to {:+.1f}".format(*(100 * x for x in found.interval))
        p = "–" if found.p is None else f"{found.p:.2g}"
        shares = [f"{100 * found.accuracy:.1f}", f"{100 * found.reference:.1f}", f"{100 * found.difference:+.1f}"]
        rows.append([rule, found.clips, found.groups, *shares, interval, p])
    return markdown.table(HEADINGS, rows)


def main(arguments=None):
    """Print the table of the runs named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folders of finished runs")
    parser.add_argument(
        "--with", nargs="+", type=Path, required=True, metavar="RUN", dest="reference", help="the others"
    )
    chosen = parser.parse_args(arguments)
    print(table(chosen.runs, chosen.reference))
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
