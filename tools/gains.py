"""Batch-norm gains and the largest logits of finished runs: python tools/gains.py RUN... [--audio FOLDER...]

Prints one row per run, as a Markdown table (or JSON, with --json): the largest gain of a batch-norm channel, the layer,
dead channels, and per folder of recordings the largest |instance logit| and the recordings with one above 50. Files
that cannot be decoded are counted, and recordings with scores that are not finite are named. docs/batch-norm.md
explains the numbers.
"""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np

from mil_asc import SceneClassifier
from mil_asc.corpora.folder_tree import is_audio
from mil_asc.errors import AudioError, UserError, name_some, printable
from mil_asc.model.gains import batch_norm_gains
from mil_asc.results import markdown
from mil_asc.runtime.hardware import memory_errors
from mil_asc.runtime.program import run_program

LOGIT_LIMIT = 50.0


def measure(run, folders, device):
    """Numbers of one run, as plain data."""
    classifier = SceneClassifier.from_hparams(source=run, run_opts={"device": device})
    gains = batch_norm_gains(classifier.mods.model)
    row = {"run": str(run), "batch_norm": None if gains is None else dataclasses.asdict(gains)}
    return row | {"audio": {str(folder): logits_of(classifier, folder) for folder in folders}}


def logits_of(classifier, folder):
    """Largest |instance logit| over the recordings below ``folder``, how many exceed the limit, and what failed.

    A recording with scores that are not finite is above the limit, and named; one that cannot be decoded is bad.
    """
    paths = sorted(path for path in folder.rglob("*") if is_audio(path.name))
    if not paths:
        raise UserError(f"{folder}: no recordings below this folder")
    peaks, bad = {}, 0
    for path in paths:
        try:
            with memory_errors(f"{path} is too long for this model"):
                peaks[path] = float(np.abs(classifier.score_file(path).logits_IC).max())
        except AudioError:
            bad += 1
    return {
        "recordings": len(peaks),
        "bad": bad,
        "largest_logit": max((peak for peak in peaks.values() if math.isfinite(peak)), default=None),
        "above_limit": sum(not peak <= LOGIT_LIMIT for peak in peaks.values()),
        "not_finite": [str(path.relative_to(folder)) for path, peak in peaks.items() if not math.isfinite(peak)],
    }


def table(rows):
    """Markdown table of the rows of ``measure``."""
    header = ["run", "largest gain", "layer", "dead channels", "smallest variance"]
    header += [f"largest logit, {Path(folder).name}" for folder in rows[0]["audio"]]
    return markdown.table(header, [cells(row) for row in rows])


def cells(row):
    """Cells of a row."""
    norm = row["batch_norm"]
    cells = [row["run"]]
    cells += (
        ["no batch norm", "", "", ""]
        if norm is None
        else [
            f"{norm['largest']:.1f}",
            norm["layer"],
            f"{norm['dead']} of {norm['channels']}",
            f"{norm['smallest_variance']:.1e}",
        ]
    )
    for found in row["audio"].values():
        largest = "none" if found["largest_logit"] is None else f"{found['largest_logit']:.4g}"
        bad = f", {found['bad']} bad files" if found["bad"] else ""
        if found["not_finite"]:
            bad += f", not finite: {printable(name_some(found['not_finite'], 3))}"
        cells.append(f"{largest} ({found['above_limit']} of {found['recordings']} above {LOGIT_LIMIT:.0f}{bad})")
    return cells


def main(arguments=None):
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folders of finished runs")
    parser.add_argument("--audio", nargs="*", default=[], type=Path, metavar="FOLDER", help="folders of recordings")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parsed = parser.parse_args(arguments)
    try:
        rows = [measure(run, parsed.audio, parsed.device) for run in parsed.runs]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(rows, indent=1) if parsed.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
