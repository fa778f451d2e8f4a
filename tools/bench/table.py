"""The table of a benchmark: rows of medians and ratios, and the lines above it."""

import os
import platform
import shlex
import statistics
import sys
from dataclasses import dataclass

import torch

from bench.augmentations import CONVOLVED
from bench.contestants import CONTESTANTS, environment
from bench.decoders import PREPARING_TURNS
from mil_asc.runtime import hardware

GIGA, MEBIBYTE = 1e9, 2**20


SETTINGS = {"batch_size": 48, "n_mels": 256, "hop_ms": 32.0, "seconds": 10.0}
"""The paper's; what is expected of a training step holds for them."""


@dataclass(frozen=True)
class Row:
    """One line of the table; ``ratio`` should be at least ``least`` and at most ``most`` where they are given."""

    what: str
    plain: float | None
    ours: float
    unit: str
    ratio: float | None
    ratio_text: str = "{:.2f} x"
    least: float | None = None
    most: float | None = None

    @property
    def met(self):
        """True or False, None where nothing is expected."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or self.ratio >= self.least) and (self.most is None or self.ratio <= self.most)

    def cells(self):
        """The line's cells as text."""
        bounds = [("at least ", self.least), ("at most ", self.most)]
        expected = " and ".join(word + self.ratio_text.format(bound) for word, bound in bounds if bound is not None)
        values = ["-" if value is None else f"{number(value)} {self.unit}" for value in (self.plain, self.ours)]
        ratio = "-" if self.ratio is None else self.ratio_text.format(self.ratio)
        return [self.what, *values, ratio, expected or "-", {True: "yes", False: "no", None: "-"}[self.met]]


def number(value):
    """Three digits that count.

    >>> number(0.01234), number(12345.6)
    ('0.0123', '12,346')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def markdown(rows):
    """The table, columns aligned."""
    cells = [["what", "plain", "ours", "ratio", "expected", "met?"], *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells)


def rows_of(found, args):
    """The table's rows."""
    rows = preparing_rows(found["preparing"], args) if "preparing" in found else []
    rounds = found["rounds"]
    if "feeding" in found:
        rows += feeding_rows(found["feeding"], rounds, args)
    if "augmentation" in args.only:
        rows += augmentation_rows(rounds, args)
    if "training" in args.only:
        rows += training_rows(rounds, args)
    if "latency" in args.only:
        rows.append(paired_row("one clip, waveform to scores", rounds, ("latency", "milliseconds"), "ms"))
        rows.append(memory_row("peak memory, one clip", rounds, "latency"))
    return rows


def preparing_rows(pairs, args):
    """Decoding beside a bare loop; the ratio is that of the times."""
    plain, ours = (args.clips / statistics.median(seconds) for seconds in zip(*pairs))
    ratio = statistics.median(ours / plain for plain, ours in pairs)
    return [Row("preparing 48 kHz stereo", plain, ours, "clips/s", ratio, "{:.2f} x the time", most=1.3)]


def feeding_rows(turns, rounds, args):
    """Time to feed a batch, as a share of a training step."""
    step, rows = seconds_of_step(rounds, args), []
    for source in turns[0]:
        seconds = statistics.median(turn[source] for turn in turns)
        what = f"feeding {args.batch_size} clips" + (" (resident store)" if source == "resident" else "")
        rows.append(Row(what, None, 1000 * seconds, "ms", seconds / step, "{:.2%} of a step", most=0.01))
    return rows


def augmentation_rows(rounds, args):
    """Time of each block for a batch, as a share of a training step; and the convolution beside a plain one."""
    step, name, rows = seconds_of_step(rounds, args), "augmentation", []
    plain, convolved = (name, "plain"), (name, CONVOLVED)
    ratio = statistics.median(value_of(turn, name, convolved) / value_of(turn, name, plain) for turn in rounds)
    times = {block: 1000 * median_of(rounds, name, (name, block)) for block in rounds[0][name][name]}
    for block, milliseconds in times.items():
        if block != "plain":
            share = milliseconds / 1000 / step
            rows.append(Row(f"augment={block}", None, milliseconds, "ms", share, "{:.2%} of a step"))
    what = f"augment={CONVOLVED}, every clip, any FFT"
    return [*rows, Row(what, times["plain"], times[CONVOLVED], "ms", ratio, "{:.2f} x the time")]


def seconds_of_step(rounds, args):
    """Seconds of a training step, as train.py makes it."""
    return args.batch_size / median_of(rounds, "fast", ("training", "clips_per_second"))


def training_rows(rounds, args):
    """Clips a second, the settings between plain and fast, memory, and shares of the machine's limits."""
    rate = ("training", "clips_per_second")
    default = all(getattr(args, name) == SETTINGS[name] for name in ("batch_size", "n_mels", "hop_ms", "seconds"))
    rows = [
        paired_row(f"training step, {CONTESTANTS[name].name}", rounds, rate, "clips/s", name)
        for name in rounds[0]
        if name in ("channels_last", "pages", "operations")
    ]
    least = 8.0 if default and args.device == "cpu" else None
    rows.append(paired_row("training step, as train.py", rounds, rate, "clips/s", least=least))
    if "operations" in rounds[0]:
        what = f"peak memory, {CONTESTANTS['operations'].name}"
        rows.append(memory_row(what, rounds, "training", "operations"))
    rows.append(memory_row("peak memory, training", rounds, "training"))
    matrix = {"plain": ["fp32"], "fast": ["fp32", "bf16"]}
    rows.append(share_row("share of best matrix rate", rounds, "flops", matrix))
    rows.append(share_row("share of copy bandwidth", rounds, "traffic", {"plain": ["copy"], "fast": ["copy"]}))
    return rows


def paired_row(what, rounds, path, unit, name="fast", least=None):
    """Medians of a value, and the median of its ratios in every round."""
    ratio = statistics.median(value_of(turn, name, path) / value_of(turn, "plain", path) for turn in rounds)
    return Row(what, median_of(rounds, "plain", path), median_of(rounds, name, path), unit, ratio, least=least)


def memory_row(what, rounds, part, name="fast"):
    """Greatest memory of a process (on a GPU: of what PyTorch allocated there)."""
    plain, ours = (median_of(rounds, one, (part, "peak_memory")) / MEBIBYTE for one in ("plain", name))
    return Row(what, plain, ours, "MiB", ours / plain)


def share_row(what, rounds, work, limits):
    """A step's work a second as a share of what the machine could do in the same round."""
    plain, ours = (
        100 * statistics.median(share_of_limit(turn, name, work, keys) for turn in rounds)
        for name, keys in limits.items()
    )
    return Row(what, plain, ours, "%", ours / plain)


def share_of_limit(turn, name, work, keys):
    """Work a clip times clips a second over the greatest of the limits that ``keys`` name."""
    training, machine = turn[name]["training"], turn["machine"]
    return training[work] * training["clips_per_second"] / max(machine[key] for key in keys if key in machine)


def median_of(rounds, name, path):
    """Median over the rounds of a contestant's value."""
    return statistics.median(value_of(turn, name, path) for turn in rounds)


def value_of(turn, name, path):
    """A value of a contestant in one round; ``path`` is (measure, key)."""
    measure_name, key = path
    return turn[name][measure_name][key]


def heading(found, args):
    """Lines on the command, the machine, the work and the steps."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    yield f"Command: python {shlex.join(sys.argv)}"
    yield (
        f"Machine: {hardware.describe(args.device)}; {os.cpu_count()} cores, load {load}; torch {torch.__version__}, "
        f"Python {platform.python_version()}; precision {hardware.best_precision(args.device)}"
    )
    rounds = found["rounds"]
    if rounds and "machine" in rounds[0]:
        limits = {
            key: statistics.median(turn["machine"][key] for turn in rounds) / GIGA for key in rounds[0]["machine"]
        }
        rates = ", ".join(f"{key} {number(limits[key])} GFLOP/s" for key in ("fp32", "bf16") if key in limits)
        yield f"Limits: square matrix product {rates}; memory copy {number(limits['copy'])} GB/s (read and write)"
        yield from work_lines(rounds[0], args)
    policy = environment("plain")["OMP_WAIT_POLICY"]
    turns = args.rounds * PREPARING_TURNS
    yield f"Medians of {args.rounds} round(s) in turn, preparing: of {turns} turns; OMP_WAIT_POLICY={policy}"
    yield "Ratios are medians of the ratios within each round, so they need not equal the quotient of the columns"


def work_lines(turn, args):
    """What a step is made of, and how many were timed."""
    work = turn["fast"]["training"]
    size = f"{args.batch_size} clips of {args.seconds:g} s, {args.n_mels} mel, {args.hop_ms:g} ms hop"
    cost = f"{number(work['flops'] / GIGA)} GFLOP and at least {number(work['traffic'] / MEBIBYTE)} MiB of traffic"
    yield f"Step: FUSE-PNL, {size}; a clip takes {cost} (ours)"
    steps = [
        f"{name} {found['training']['timed_steps']} (warm-up: {found['training']['warm_up_clips']} clips)"
        for name, found in turn.items()
        if name in CONTESTANTS
    ]
    yield f"Timed steps a round: {', '.join(steps)}"
