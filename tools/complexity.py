"""What the models of recipes and runs cost: python tools/complexity.py recipes/TAU2019/hparams/*.yaml

A run is named by its output folder: python tools/complexity.py recipes/SynthScenes/results/fuse_pnl/seed-1

Prints a Markdown table (or JSON, with --json): parameters, multiply-accumulates and activation memory for clips of
1 s and 10 s, bytes of the weights by number type, and whether they are within the limits of DCASE task 1; the same as
the challenge counts it, with batch norms folded into convolutions.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.model.complexity import DCASE_MACS, DCASE_WEIGHT_BYTES, complexity
from mil_asc.results import markdown
from mil_asc.results.run import Run
from mil_asc.runtime.program import run_program
from mil_asc.training.config import load_hparams

NOTES = f"""
Multiply-accumulates: convolutions and matrix products, from the log-mel spectrogram on (the front end is left out).
Activations: the most that PyTorch holds at once for one clip, float32, weights left out. 1 kB is 1,000 bytes.
DCASE task 1 allowed {DCASE_WEIGHT_BYTES // 1000} kB of weights in 2022 (as int8) and 2023 to 2025 (of any type), and \
{DCASE_MACS // 1_000_000} M multiply-accumulates for 1 s.
Submitted: with batch norms folded into convolutions. Biases have 32 bits beside int8, 16 bits in float16."""


def measure(path):
    """Complexity of the network of a recipe's YAML file or of a run's folder; ``file``, data set and experiment."""
    if path.is_dir():
        network, run = SceneClassifier.from_hparams(source=path).mods.model, Run(path)
        names = {"recipe": run.dataset, "experiment": run.experiment}
    elif path.is_file():
        network = load_hparams(path, {"data_folder": "x"})[0]["model"]["network"]
        names = {"recipe": path.resolve().parent.parent.name, "experiment": path.stem}
    else:
        raise UserError(
            f"{path} does not exist: name a recipe's YAML file, such as hparams/fuse_pnl.yaml, or a run's folder"
        )
    return {"file": str(path), **names, **complexity(network)}


def table(measured):
    """Markdown table; files whose models cost the same share a row."""
    groups = defaultdict(lambda: defaultdict(dict))
    for costs in measured:
        groups[cells(costs)][costs["recipe"]][costs["experiment"]] = None
    header = ["model", "parameters", "MAC 1 s", "MAC 10 s", "activations 1 s", "activations 10 s"]
    header += [f"{name} weights" for name in measured[0]["weight_bytes"]]
    header += ["submitted parameters (non-zero)", *(f"submitted {name}" for name in measured[0]["weight_bytes"])]
    return markdown.table(header, [[models(recipes), *row] for row, recipes in groups.items()])


def models(recipes):
    """Names of experiments by recipe, as a row begins."""
    return "; ".join(f"{recipe}: {', '.join(experiments)}" for recipe, experiments in recipes.items())


def cells(costs):
    """Cells of a row, those of the DCASE limits with "within" or "over"."""
    dcase, submitted = costs["dcase"], costs["submitted"]
    macs = [f"{count / 1e6:,.1f} M" for count in costs["macs"].values()]
    weights = [
        f"{size / 1000:,.1f} kB ({verdict(dcase['weights_within'][name])})"
        for name, size in costs["weight_bytes"].items()
    ]
    return (
        f"{costs['parameters']:,}",
        f"{macs[0]} ({verdict(dcase['macs_within'])})",
        *macs[1:],
        *(f"{size / 1000:,.0f} kB" for size in costs["activation_bytes"].values()),
        *weights,
        f"{submitted['parameters']:,} ({submitted['non_zero']:,})",
        *(
            f"{size / 1000:,.1f} kB ({verdict(submitted['within'][name])})"
            for name, size in submitted["weight_bytes"].items()
        ),
    )


def verdict(within):
    """Whether a cost is within its limit, in a word."""
    return "within" if within else "over"


def main(arguments=None):
    """Print the complexity of the YAML files and runs named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="PATH", help="YAML files of recipes, or folders of runs")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parsed = parser.parse_args(arguments)
    try:
        measured = [measure(path) for path in parsed.files]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(measured, indent=1) if parsed.json else table(measured) + "\n" + NOTES)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
