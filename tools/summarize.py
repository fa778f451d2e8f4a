"""Sum up finished runs: python tools/summarize.py recipes/SynthScenes/results/*/seed-*

Prints a Markdown table with one row an experiment: mean and standard deviation over its runs (seeds). "accuracy" is
that of the model's own rule: SMI, or the pooling of training where that is not the maximum.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

COLUMNS = {
    "accuracy": lambda r: 100 * r["evaluation"][r["evaluation"].get("decision", "smi")]["accuracy"],
    "accuracy SMI": lambda r: 100 * r["evaluation"]["smi"]["accuracy"],
    "accuracy CMI": lambda r: 100 * r["evaluation"]["cmi"]["accuracy"],
    "class-wise SMI": lambda r: 100 * r["evaluation"]["smi"]["macro_accuracy"],
    "ROC area TMI": lambda r: r["evaluation"].get("tmi", {}).get("auc_macro"),
    "log loss": lambda r: r["evaluation"]["log_loss"],
    "positive instances": lambda r: 100 * r["evaluation"]["underestimation"]["positive_share"],
    "confidence": lambda r: r["evaluation"]["underestimation"]["mean_confidence"],
    "events AP": lambda r: r["events"]["average_precision"] if r["events"] else None,
}


def read_reports(folders):
    """The content of each folder's report.json, debug runs left out; a missing report, or none, ends the program."""
    missing = [folder for folder in folders if not (folder / "report.json").is_file()]
    if missing:
        sys.exit(f"error: {missing[0]} holds no report.json: name the output folders of finished runs")
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in folders]
    whole = [report for report in reports if not report["run"]["debug"]]
    if not whole:
        sys.exit("error: these are debug runs alone, which are left out: name runs trained without --debug")
    return whole


def cell(values):
    """Mean and standard deviation (sample) of numbers; a dash where there are none."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    digits = 1 if max(values) > 5 else 3
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def table(reports):
    """Markdown rows, header first."""
    groups = defaultdict(list)
    for report in reports:
        groups[report["dataset"], report["experiment"]].append(report)
    rows = [["data set", "experiment", "seeds", "epochs", *COLUMNS]]
    for (dataset, experiment), members in groups.items():
        seeds = ", ".join(str(seed) for seed in sorted(report["run"]["seed"] for report in members))
        epochs = "/".join(str(n) for n in sorted({report["run"]["epochs"] for report in members}))
        cells = [cell([column(report) for report in members]) for column in COLUMNS.values()]
        rows.append([dataset, experiment, seeds, epochs, *cells])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main():
    """Print the table of the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="output folders of finished runs")
    print(table(read_reports(parser.parse_args().runs)))


if __name__ == "__main__":
    main()
