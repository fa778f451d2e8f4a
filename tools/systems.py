"""The networks side by side: python tools/systems.py [--rounds 5] [--fill docs/systems.md]

Each of ``mil_asc/paper/facts/networks.csv`` with global average pooling and ten classes, and FUSE as the paper has it:
parameters, multiply-accumulates for 10 s from the network's input on, and the time for a clip of 10 s from the waveform
in one thread. The machine may be shared, so networks take turns, and times are ratios to FUSE within a turn (medians
over the rounds).
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml

from mil_asc.model.complexity import multiply_accumulates, parameter_count
from mil_asc.paper.facts import read_table
from mil_asc.paper.fill import put_text, read_page
from mil_asc.results.markdown import table
from mil_asc.runtime.program import run_program

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "fuse"
GAP = {"instances": "frequency_mean", "confidence": "softmax", "pooling": "geometric_mean"}
SECONDS = 10
HEADER = (
    *("`--model=`", "system", "idea", "input", "published", "ours, published head", "ours, GAP"),
    *("M MAC, 10 s", "time, FUSE = 1", "certainty", "reference"),
)


def network_of(model):
    """The network of a block in ``hparams/models``, in evaluation mode; all but FUSE with global average pooling."""
    head = {} if model == REFERENCE else {"head": GAP}
    with open(ROOT / f"hparams/models/{model}.yaml", encoding="utf-8") as file:
        return load_hyperpyyaml(file, head)["network"].eval()


@torch.inference_mode()
def seconds_of(network, waveform):
    """Time of one clip (in seconds)."""
    begun = time.perf_counter()
    network(waveform)
    return time.perf_counter() - begun


def ratios(networks, rounds):
    """Name -> time of a clip, as a multiple of that of ``REFERENCE`` in the same round: the median over rounds."""
    found = {name: [] for name in networks}
    for turn in range(rounds + 1):
        waveforms = {name: 0.1 * torch.randn(1, SECONDS * one.front_end.sample_rate) for name, one in networks.items()}
        times = {name: seconds_of(one, waveforms[name]) for name, one in networks.items()}
        if turn:  # the first warms up
            for name, seconds in times.items():
                found[name].append(seconds / times[REFERENCE])
    return {name: statistics.median(values) for name, values in found.items()}


def systems_table(rounds):
    """The Markdown table."""
    rows = {row["model"]: row for row in read_table("networks.csv")}
    networks = {name: network_of(name) for name in [REFERENCE, *rows]}
    times = ratios(networks, rounds)
    lines = []
    for name, one in networks.items():
        facts = rows.get(name, {})
        published_head = facts.get("ours_with_published_head", "")
        lines.append(
            [
                f"`{name}`",
                facts.get("system", "the paper's, with MIL"),
                facts.get("idea", "depthwise convolutions along frequency and along time, and a sum of them"),
                facts.get("input", "log-mel"),
                facts.get("published_params", "139K") or "–",
                f"{int(published_head):,}" if published_head else "–",
                f"{parameter_count(one):,}",
                f"{multiply_accumulates(one, SECONDS) / 1e6:,.0f}",
                f"{times[name]:.2f}",
                facts.get("certainty", "exact"),
                facts.get("reference", "Choi et al., arXiv 2203.08439"),
            ]
        )
    return table(list(HEADER), lines)


def main(arguments):
    """Measure, and print the table or put it into a page; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns that count (default 5)")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the table between the marks of this page")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be 1 or more, got {options.rounds}")
    if options.fill:
        read_page(options.fill)  # minutes before it is needed
    torch.set_num_threads(1)
    torch.manual_seed(0)
    text = systems_table(options.rounds)
    if options.fill:
        put_text(options.fill, text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
