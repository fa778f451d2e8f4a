"""Draw the paper's Figures 6 to 10 from trained runs: python tools/figures.py recipes/SynthScenes/results/*/seed-*

Writes the pictures and figures.md, which shows them with numbers, into the folder named by --to.
"""

import argparse
import sys
from pathlib import Path

import torch

from mil_asc.errors import UserError
from mil_asc.paper.figures.experiments import Options, read_experiments
from mil_asc.paper.figures.page import FIGURES, draw_figures, write_page
from mil_asc.results.run import without_debug_runs
from mil_asc.runtime.program import run_program


def parse_arguments(arguments=None):
    """The command line; a value out of range raises ``UserError``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="output folders of finished runs on one data set")
    parser.add_argument("--to", type=Path, default=Path("figures"), help="folder to write to (default: figures)")
    parser.add_argument("--figure", help="numbers such as 6,10 (default: all that the runs allow)")
    parser.add_argument(
        "--extractor", default="", help="whose runs to draw, such as FUSE (default: FUSE before others)"
    )
    parser.add_argument("--scenes", default="", help="classes of Figures 8 and 9, such as park,airport")
    parser.add_argument("--clips", default="", help="clips of Figure 7, such as audio/park-oslo-1-0-a.wav")
    parser.add_argument("--tau", default="0.5", help="confidence from which an instance counts in Figure 10")
    parser.add_argument("--data_folder", type=Path, help="folder of the recordings (default: the run's own)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device, help=f"where models run (default here: {device})")
    parsed = parser.parse_args(arguments)
    numbers = [_number(text) for text in parsed.figure.split(",")] if parsed.figure is not None else None
    return (
        parsed,
        numbers,
        Options(
            extractor=parsed.extractor.strip(),
            scenes=_names(parsed.scenes),
            clips=_names(parsed.clips),
            tau=_tau(parsed.tau),
            data_folder=parsed.data_folder,
            device=_device(parsed.device),
        ),
    )


def _names(text):
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number(text):
    if text.strip() not in map(str, FIGURES):
        raise UserError(f"--figure: there is no figure {text.strip()!r}; legal: {', '.join(map(str, FIGURES))}")
    return int(text)


def _device(name):
    legal = [
        "cpu",
        *(["cuda", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))] if torch.cuda.is_available() else []),
    ]
    if name not in legal:
        raise UserError(f"--device: there is no {name!r} here; legal: {', '.join(legal)}")
    return name


def _tau(text):
    try:
        tau = float(text)
    except ValueError:
        tau = None
    if tau is None or not 0 < tau < 1:
        raise UserError(f"--tau must be a number above 0 and below 1, got {text!r}")
    return tau


def main(arguments=None):
    """Draw what the command line asks for; returns the exit status."""
    try:
        parsed, numbers, options = parse_arguments(arguments)
        runs, debug = without_debug_runs(parsed.runs)
        experiments = read_experiments(run.folder for run in runs)
        drawings, left_out = draw_figures(experiments, options, numbers)
        page = write_page(parsed.to, experiments, drawings, left_out, debug)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for run in debug:
        print(f"{run.folder} is left out: a debug run")
    for number, reason in left_out.items():
        print(f"figure {number} is left out: {reason}")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
