"""The command line of the benchmark, and what it leads to."""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from bench.contestants import CONTESTANTS, HELPERS, compare_models, run_contestant, say
from bench.decoders import compare_decoders, write_clips
from bench.measures import SAMPLE_RATE, measure
from bench.peers import BUILDERS, compare_peers, measure_peer, paint_peers
from bench.table import SETTINGS, heading, markdown, rows_of
from mil_asc.errors import UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.paper.fill import put_text, read_page
from mil_asc.results import plots
from mil_asc.runtime import hardware
from mil_asc.runtime.files import write_atomically
from mil_asc.store.build import prepare_waveforms

DESCRIPTION = "Speed and memory beside a plain baseline: preparing, feeding, augmentation, a training step, latency."
MEASURES = ("preparing", "feeding", "augmentation", "training", "latency")


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message):
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def parse(arguments=None):
    """The checked command line."""
    parser = OneLineParser(prog="benchmark.py", description=DESCRIPTION, allow_abbrev=False)
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default_device)
    parser.add_argument("--batch_size", type=at_least(2), default=SETTINGS["batch_size"], help="clips in a step")
    parser.add_argument("--n_mels", type=at_least(8), default=SETTINGS["n_mels"])
    parser.add_argument("--hop_ms", type=positive, default=SETTINGS["hop_ms"])
    parser.add_argument("--seconds", type=positive, default=SETTINGS["seconds"], help="length of a clip")
    parser.add_argument("--clips", type=at_least(1), default=96, help="files to prepare")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="turns of every contestant")
    parser.add_argument(
        "--fill", type=positive, default=8.0, help="seconds that a contestant's steps fill; three are made"
    )
    parser.add_argument("--only", type=measures, default=list(MEASURES), help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--steps", action="store_true", help="also the settings between plain and fast")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    parser.add_argument("--contestant", choices=(*CONTESTANTS, *HELPERS), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--peers", action="store_true", help="instead: one clip through networks of other packages and ours, on the CPU"
    )
    parser.add_argument("--fill_page", type=Path, metavar="FILE", help="put the table of --peers into this page")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="SVG picture of --peers")
    parser.add_argument("--peer", choices=BUILDERS, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    check(parser, args)
    return args


def check(parser, args):
    """Refuse what could only fail later."""
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: no CUDA device is available here; use cpu")
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"argument --json: no such folder: {args.json.absolute().parent}")
    if args.hop_ms * SAMPLE_RATE < 1000:
        parser.error(f"argument --hop_ms: {args.hop_ms:g} is less than a sample at {SAMPLE_RATE} Hz")
    front_end = LogMel(SAMPLE_RATE, hop_ms=args.hop_ms)
    least = max(MILClassifier(front_end, FUSE()).min_samples, front_end.n_fft // 2 + 1) / SAMPLE_RATE
    if round(args.seconds * SAMPLE_RATE) < round(least * SAMPLE_RATE):
        parser.error(f"argument --seconds: {args.seconds:g} is too short for one instance; at least {least:.3f}")


def at_least(least):
    """Argument type: a whole number, not below ``least``."""

    def whole(text):
        with contextlib.suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")

    return whole


def positive(text):
    """Argument type: a finite number above zero."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def measures(text):
    """Argument type: names out of ``MEASURES``, separated by commas."""
    names = text.split(",")
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown measure {unknown[0]!r}; legal: {', '.join(MEASURES)}")
    return names


def main(arguments=None):
    """Measure and print; returns the exit status."""
    args = parse(arguments)
    if args.contestant:
        measure(args)
        return 0
    if args.peer:
        print(json.dumps(measure_peer(args.peer, args.seconds)))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))  # so that temporary files are removed
    try:
        if args.peers:
            return show_peers(args)
        found = measure_all(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing was measured to the end")
        return 130
    rows = rows_of(found, args)
    print("\n".join(heading(found, args)), markdown(rows), sep="\n\n")
    if args.json:
        write_json(args.json, found, rows, args)
    return 0


def show_peers(args):
    """Measure networks of other packages and ours; print the table, or put it into a page."""
    if args.fill_page:
        read_page(args.fill_page)  # minutes before it is needed
    text, found = compare_peers(args.seconds, args.rounds)
    machine = f"{hardware.describe('cpu')}, torch {torch.__version__}"
    text += f"\n\n{args.rounds} rounds, clips of {args.seconds:g} s, one thread; {machine}"
    if args.fill_page:
        put_text(args.fill_page, text)
    else:
        print(text)
    if args.picture:
        write_atomically(args.picture, plots.svg(paint_peers, found))
    if args.json:
        write_json(args.json, {"peers": found}, [], args)
    return 0


def measure_all(args):
    """Every measurement that was asked for, raw, by its name."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="mil_asc_benchmark_") as folder:
        folder = Path(folder)
        names = write_clips(folder, args) if {"preparing", "feeding"} & set(args.only) else []
        if "preparing" in args.only:
            found["preparing"] = compare_decoders(folder, names, args)
        found["rounds"] = compare_models(args)
        if "feeding" in args.only:
            store = prepare_waveforms(folder, names, folder / "store", progress=False).folder
            say("feeding")
            found["feeding"] = [run_contestant("feeding", args, ["feeding"], store) for _ in range(args.rounds)]
    return found


def write_json(path, found, rows, args):
    """Rows and raw numbers; rates in operations and bytes per second, times in seconds where no unit is given."""
    settings = {key: value for key, value in vars(args).items() if key not in ("contestant", "store", "json")}
    content = {
        "command": sys.argv,
        "machine": {"device": hardware.describe(args.device), "cores": os.cpu_count(), "torch": torch.__version__},
        "settings": settings,
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "measurements": found,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
