"""Speed and memory beside a plain baseline: preparing, feeding, a training step, one clip's latency.

    python tools/benchmark.py [--device cpu|cuda] [--only preparing,feeding,training,latency] [--steps] [--json FILE]

The machine may be shared, so contestants take turns, ratios are taken within a turn, and medians are printed.
Every contestant has a process of its own, because an allocator is chosen when a process starts. The "plain"
loop is the same model as PyTorch gives it: NCHW, float32, no autocast, the system's allocator. "ours" is what
``train.py`` does: channels_last, bf16 autocast where the device has it, an allocator that keeps its pages. A
clip's latency is float32 on both sides, as ``SceneClassifier`` computes.
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch.utils.flop_counter import FlopCounterMode

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.mil.assigners import positive_negative_labels
from mil_asc.mil.decisions import standard
from mil_asc.mil.losses import BagBCE, InstanceBCE, MILLoss
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.runtime import hardware
from mil_asc.runtime.allocator import SWITCH, malloc_environment
from mil_asc.store.batches import ClipDataset, ResidentWaveforms
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.read import WaveformStore

MEASURES = ("preparing", "feeding", "training", "latency")
SAMPLE_RATE, FILE_RATE, NUM_CLASSES = 16000, 48000, 10
PREPARING_TURNS = 3
"""Turns of the two decoders in a round; one takes well below a second."""
MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
COPY_FLOATS = {"cpu": 2**27, "cuda": 2**29}
GIGA, MEBIBYTE = 1e9, 2**20


@dataclass(frozen=True)
class Contestant:
    """How a step is computed; ``mixed``: bf16 autocast where the device has it, and cuDNN free to choose."""

    name: str
    channels_last: bool = True
    keep_pages: bool = True
    mixed: bool = True


CONTESTANTS = {
    "plain": Contestant("plain loop", channels_last=False, keep_pages=False, mixed=False),
    "channels_last": Contestant("channels_last alone", keep_pages=False, mixed=False),
    "pages": Contestant("channels_last, pages kept", mixed=False),
    "fast": Contestant("as train.py"),
}
HELPERS = ("feeding", "machine")
"""Further parts that run in a process of their own, in the environment of ``fast``."""


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


# --- the parts that are measured, each in a process of its own ---


def measure(args):
    """What the hidden option ``--contestant`` asks for, as one line of JSON."""
    torch.manual_seed(0)
    if args.contestant == "feeding":
        found = measure_feeding(args)
    elif args.contestant == "machine":
        found = measure_machine(args.device, args.fill / 4)
    else:
        found = measure_model(args, CONTESTANTS[args.contestant])
    print(json.dumps(found))


def measure_model(args, contestant):
    """Latency first, then training: the process's peak memory only ever grows."""
    set_arithmetic(args.device, contestant)
    model, found = build_model(args, contestant), {}
    if "latency" in args.only:
        found["latency"] = measure_latency(model, args, contestant)
    if "training" in args.only:
        found["training"] = measure_training(model, args, contestant)
        found["training"] |= count_work(model, args, contestant)
    return found


def set_arithmetic(device, contestant):
    """``plain`` computes in full float32 on a GPU too."""
    if contestant.mixed:
        hardware.tune(device)
    elif device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def build_model(args, contestant):
    """FUSE-MIL of the asked size; ``plain`` has its weights and its feature maps in NCHW order."""
    model = MILClassifier(LogMel(SAMPLE_RATE, args.n_mels, hop_ms=args.hop_ms), FUSE(), Head(NUM_CLASSES))
    if not contestant.channels_last:
        model.to(memory_format=torch.contiguous_format)
        model.extractor.register_forward_pre_hook(in_nchw_order)
    return model.to(args.device)


def in_nchw_order(module, inputs):
    """One channel fits either memory format, and a convolution follows the strides: make them those of NCHW."""
    return inputs[0].squeeze(1).contiguous().unsqueeze(1)


def autocast(device, contestant):
    """The context in which a step's forward part runs."""
    mixed = contestant.mixed and hardware.best_precision(device) == "bf16"
    return torch.autocast(device, dtype=torch.bfloat16, enabled=mixed)


def waveforms(args, clips):
    """(B, N) quiet noise."""
    return 0.1 * torch.randn(clips, round(args.seconds * SAMPLE_RATE), device=args.device)


def measure_latency(model, args, contestant):
    """Milliseconds from one waveform to the scores of its classes in float32, the best of some calls."""
    wav_1N = waveforms(args, 1)
    model.eval()

    def score():
        with torch.inference_mode():
            return standard(model(wav_1N))

    clock(score, args.device, calls=3)
    seconds = clock(score, args.device, fill=args.fill / 4, one_by_one=True)
    return {"milliseconds": 1000 * min(seconds), "peak_memory": hardware.peak_memory(args.device)}


def measure_training(model, args, contestant):
    """Clips a second of whole steps: forward, loss, backward, SGD."""
    step = training_step(model.train(), args, contestant)
    wav_BN, label_B = waveforms(args, args.batch_size), torch.randint(NUM_CLASSES, (args.batch_size,)).to(args.device)
    warm = warm_up_clips(args, contestant)
    forget_peak(args.device)
    for _ in range(3 if args.device == "cuda" else 1):
        seconds = clock(lambda: step(wav_BN[:warm], label_B[:warm]), args.device, calls=1)[0]
    calls = repetitions(seconds * args.batch_size / warm, args.fill)
    seconds = clock(lambda: step(wav_BN, label_B), args.device, calls=calls)
    return {
        "clips_per_second": args.batch_size * calls / sum(seconds),
        "timed_steps": calls,
        "warm_up_clips": warm,
        "peak_memory": hardware.peak_memory(args.device),
    }


def warm_up_clips(args, contestant):
    """Clips of the warm-up step: a whole batch, or few where nothing of it is kept for the next step anyway."""
    if contestant.keep_pages or args.device == "cuda":
        return args.batch_size
    return max(2, args.batch_size // 12)


def training_step(model, args, contestant):
    """A function (wav_BN, label_B) that makes one step of FUSE-PNL."""
    loss = MILLoss(bag=BagBCE(), instance=InstanceBCE(positive_negative_labels))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-3)

    def step(wav_BN, label_B):
        with autocast(args.device, contestant):
            terms = loss(model(wav_BN), label_B)
        terms["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def count_work(model, args, contestant):
    """Floating-point operations and least memory traffic (in bytes) of one clip in a training step.

    Forward and backward are three times the forward part's products; the front end has no backward. Traffic:
    every module's output is written and read in the forward part, and both again in the backward part.
    """
    wav_BN = waveforms(args, 2)
    front, whole = (flops(part, wav_BN) for part in (model.front_end, model))
    sizes = output_sizes(model)
    with autocast(args.device, contestant):
        model(wav_BN)
    return {"flops": (3 * whole - 2 * front) / len(wav_BN), "traffic": 4 * sum(sizes) / len(wav_BN)}


def flops(module, wav_BN):
    """Operations of the forward part's convolutions and matrix products, two per multiply-add."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(wav_BN)
    return counter.get_total_flops()


def output_sizes(model):
    """A list that the next forward pass fills with the bytes of every leaf module's output (in-place ones aside)."""
    sizes = []
    for module in model.modules():
        if not list(module.children()) and not isinstance(module, torch.nn.ReLU | torch.nn.Identity):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.nbytes))
    return sizes


def measure_feeding(args):
    """Seconds a batch from the store to float waveforms on the device; on a GPU from the resident store too."""
    cache = WaveformStore(args.store)
    found = {"store": feed(cache, args)}
    if args.device == "cuda":
        found["resident"] = feed(ResidentWaveforms(cache, args.device), args)
    return found


def feed(store, args):
    """Seconds a batch of clips drawn by chance."""
    rows = np.arange(len(store.lengths))
    clips = [Clip(str(row), "label", "city", "location", "a") for row in rows]
    dataset, rng = ClipDataset(store, rows, clips, ["label"]), np.random.default_rng(0)

    def batch():
        return dataset.__getitems__(rng.choice(rows, args.batch_size).tolist()).to(args.device).waveforms()

    clock(batch, args.device, calls=2)
    return statistics.median(clock(batch, args.device, fill=args.fill / 8, one_by_one=True))


def measure_machine(device, fill):
    """The limits of the device here and now: rates of a square matrix product, bandwidth of a copy."""
    found = {"fp32": matrix_rate(device, torch.float32, fill), "copy": copy_bandwidth(device, fill)}
    if hardware.best_precision(device) == "bf16":
        found["bf16"] = matrix_rate(device, torch.bfloat16, fill)
    return found


def matrix_rate(device, dtype, fill):
    """Operations a second, two per multiply-add; the best of some products."""
    size = MATRIX_SIZE[device]
    left, right, out = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
    clock(lambda: torch.mm(left, right, out=out), device, calls=2)
    return 2 * size**3 / min(clock(lambda: torch.mm(left, right, out=out), device, fill, one_by_one=True))


def copy_bandwidth(device, fill):
    """Bytes read and written a second; the best of some copies, far larger than caches."""
    source, target = (torch.ones(COPY_FLOATS[device], device=device) for _ in range(2))
    clock(lambda: target.copy_(source), device, calls=2)
    seconds = clock(lambda: target.copy_(source), device, fill, one_by_one=True)
    return 2 * source.nbytes / min(seconds)


def clock(call, device, fill=0.0, calls=None, one_by_one=False):
    """Seconds of repeated calls: ``calls`` of them, or as many as fill ``fill`` seconds.

    A GPU is waited for at the end alone, or after each call when they are wanted ``one_by_one``.
    """
    if calls is None:
        calls = repetitions(clock(call, device, calls=1)[0], fill)
    if one_by_one:
        return [clock(call, device, calls=1)[0] for _ in range(calls)]
    wait(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait(device)
    return [(time.perf_counter() - start) / calls] * calls


def repetitions(seconds, fill):
    """Calls of ``seconds`` each that fill ``fill`` seconds: 1 to 200."""
    return min(max(math.ceil(fill / max(seconds, 1e-9)), 1), 200)


def wait(device):
    """Until a GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def forget_peak(device):
    """Start the peak of a GPU's memory afresh (a process's cannot be)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


# --- contestants in turn ---


def run_contestant(name, args, only, store=None):
    """Start this file again for one contestant; returns what it found."""
    options = {"device": args.device, "batch_size": args.batch_size, "n_mels": args.n_mels, "hop_ms": args.hop_ms}
    options |= {"seconds": args.seconds, "fill": args.fill, "contestant": name, "only": ",".join(only)} | (
        {"store": store} if store else {}
    )
    command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, env=environment(name), capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed, out of memory perhaps"])[-1]
        raise UserError(f"the process of {name!r} ended with status {done.returncode}: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def environment(name):
    """The environment of a contestant: glibc's tunables as ``train.py`` sets them, or none.

    Where other programs want the cores too, threads that wait by spinning slow small steps a hundredfold and
    make every figure chance; all contestants wait asleep, unless ``OMP_WAIT_POLICY`` says otherwise.
    """
    clean = {key: value for key, value in os.environ.items() if key not in (SWITCH, "GLIBC_TUNABLES")}
    clean.setdefault("OMP_WAIT_POLICY", "passive")
    if name in CONTESTANTS and not CONTESTANTS[name].keep_pages:
        return clean | {SWITCH: "system"}
    return malloc_environment(clean) or clean


def compare_models(args):
    """Rounds of all contestants in turn, then the machine's limits: a list of {name: what it found}."""
    plan, rounds = turns_of_a_round(args), []
    for turn in range(args.rounds if plan else 0):
        found = {}
        for name, only in plan.items():
            say(f"round {turn + 1} of {args.rounds}: {CONTESTANTS[name].name if name in CONTESTANTS else name}")
            found[name] = run_contestant(name, args, only)
        rounds.append(found)
    return rounds


def turns_of_a_round(args):
    """Who is to be measured in a round, in this order, and in what: {name: measures}."""
    asked = [name for name in ("latency", "training") if name in args.only]
    plan = {"plain": asked, "fast": list(asked)}
    if "training" in asked:
        between = {"channels_last": ["training"], "pages": ["training"]} if args.steps else {}
        plan = {"plain": asked, **between, "fast": list(asked), "machine": ["training"]}
    elif "feeding" in args.only:
        plan["fast"].append("training")  # feeding is a share of a step
    if args.device == "cuda":
        plan.pop("pages", None)  # says how host memory is kept
    return {name: only for name, only in plan.items() if only}


def bare_decode(path):
    """The plain way to decode: read, mean of the channels, resample."""
    wav_NC, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return len(soxr.resample(wav_NC.mean(axis=1), rate, SAMPLE_RATE))


def write_clips(folder, args):
    """Names of ``--clips`` stereo files in ``folder``, 48 kHz, 24 bits: noise, shifted from file to file."""
    rng = np.random.default_rng(0)
    wav_NC = 0.1 * rng.standard_normal((round(args.seconds * FILE_RATE), 2), dtype=np.float32)
    names = [f"{i:04d}.wav" for i in range(args.clips)]
    for i, name in enumerate(names):
        soundfile.write(folder / name, np.roll(wav_NC, i, axis=0).clip(-1, 1), FILE_RATE, subtype="PCM_24")
    return names


def compare_decoders(folder, names, args):
    """Seconds of decoding all files, a pair (plain, ours) for every turn; stores are deleted again."""
    say(f"preparing {args.clips} clips, {args.rounds * PREPARING_TURNS} turns")
    paths, pairs = [folder / name for name in names], []
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        size = math.ceil(len(paths) / (4 * workers))
        list(pool.map(bare_decode, paths, chunksize=size))  # starts the processes, fills the system's page cache
        for _ in range(args.rounds * PREPARING_TURNS):
            plain = clock(lambda: list(pool.map(bare_decode, paths, chunksize=size)), "cpu", calls=1)[0]
            ours = clock(lambda: prepare_waveforms(folder, names, folder / "turn", progress=False), "cpu", calls=1)[0]
            shutil.rmtree(folder / "turn")
            pairs.append((plain, ours))
    return pairs


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


def say(text):
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


# --- what is printed ---


def rows_of(found, args):
    """The table's rows."""
    rows = preparing_rows(found["preparing"], args) if "preparing" in found else []
    rounds = found["rounds"]
    if "feeding" in found:
        rows += feeding_rows(found["feeding"], rounds, args)
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
    step = args.batch_size / median_of(rounds, "fast", ("training", "clips_per_second"))
    rows = []
    for source in turns[0]:
        seconds = statistics.median(turn[source] for turn in turns)
        what = f"feeding {args.batch_size} clips" + (" (resident store)" if source == "resident" else "")
        rows.append(Row(what, None, 1000 * seconds, "ms", seconds / step, "{:.2%} of a step", most=0.01))
    return rows


def training_rows(rounds, args):
    """Clips a second, the settings between plain and fast, memory, and shares of the machine's limits."""
    rate = ("training", "clips_per_second")
    default = all(getattr(args, name) == SETTINGS[name] for name in ("batch_size", "n_mels", "hop_ms", "seconds"))
    rows = [
        paired_row(f"training step, {CONTESTANTS[name].name}", rounds, rate, "clips/s", name)
        for name in rounds[0]
        if name in ("channels_last", "pages")
    ]
    least = 8.0 if default and args.device == "cpu" else None
    rows.append(paired_row("training step, as train.py", rounds, rate, "clips/s", least=least))
    rows.append(memory_row("peak memory, training", rounds, "training"))
    matrix = {"plain": ["fp32"], "fast": ["fp32", "bf16"]}
    rows.append(share_row("share of best matrix rate", rounds, "flops", matrix))
    rows.append(share_row("share of copy bandwidth", rounds, "traffic", {"plain": ["copy"], "fast": ["copy"]}))
    return rows


def paired_row(what, rounds, path, unit, name="fast", least=None):
    """Medians of a figure, and the median of its ratios in every round."""
    ratio = statistics.median(figure(turn, name, path) / figure(turn, "plain", path) for turn in rounds)
    return Row(what, median_of(rounds, "plain", path), median_of(rounds, name, path), unit, ratio, least=least)


def memory_row(what, rounds, part):
    """Greatest memory of a process (on a GPU: of what PyTorch allocated there)."""
    plain, ours = (median_of(rounds, name, (part, "peak_memory")) / MEBIBYTE for name in ("plain", "fast"))
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
    """Median over the rounds of a contestant's figure."""
    return statistics.median(figure(turn, name, path) for turn in rounds)


def figure(turn, name, path):
    """A figure of a contestant in one round; ``path`` is (measure, key)."""
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


def write_json(path, found, rows, args):
    """Rows and raw figures; rates in operations and bytes a second, times in seconds where no unit is named."""
    settings = {key: value for key, value in vars(args).items() if key not in ("contestant", "store", "json")}
    content = {
        "command": sys.argv,
        "machine": {"device": hardware.describe(args.device), "cores": os.cpu_count(), "torch": torch.__version__},
        "settings": settings,
        "rows": [asdict(row) | {"met": row.met} for row in rows],
        "measurements": found,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# --- command line ---


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message):
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


SETTINGS = {"batch_size": 48, "n_mels": 256, "hop_ms": 32.0, "seconds": 10.0}
"""The paper's; what is expected of a training step holds for them."""


def parse(arguments=None):
    """The checked command line."""
    parser = OneLineParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default_device)
    parser.add_argument("--batch_size", type=at_least(2), default=SETTINGS["batch_size"], help="clips in a step")
    parser.add_argument("--n_mels", type=at_least(8), default=SETTINGS["n_mels"])
    parser.add_argument("--hop_ms", type=positive, default=SETTINGS["hop_ms"])
    parser.add_argument("--seconds", type=positive, default=SETTINGS["seconds"], help="length of a clip")
    parser.add_argument("--clips", type=at_least(1), default=96, help="files to prepare")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="turns of every contestant")
    parser.add_argument(
        "--fill", type=positive, default=8.0, help="seconds that a contestant's steps fill; one is made"
    )
    parser.add_argument("--only", type=measures, default=list(MEASURES), help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--steps", action="store_true", help="also the settings between plain and fast")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--contestant", choices=(*CONTESTANTS, *HELPERS), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    check(parser, args)
    return args


def check(parser, args):
    """Refuse what could only fail later."""
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: no CUDA device is to be had here; use cpu")
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))  # so that temporary files are removed
    try:
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


if __name__ == "__main__":
    sys.exit(main())
