"""What is measured: a plain loop, the settings of train.py, and those in between, each in its own process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.runtime.allocator import SWITCH, malloc_environment

PROGRAM = Path(__file__).parents[1] / "benchmark.py"


@dataclass(frozen=True)
class Contestant:
    """How a step is computed; ``mixed``: bf16 autocast where the device has it, and cuDNN free to choose; ``kernels``:
    our own, those of ``mil_asc.model.chain`` on a CPU and of ``mil_asc.model.axis_conv`` on a GPU."""

    name: str
    channels_last: bool = True
    keep_pages: bool = True
    mixed: bool = True
    kernels: bool = True


CONTESTANTS = {
    "plain": Contestant("plain loop", channels_last=False, keep_pages=False, mixed=False, kernels=False),
    "channels_last": Contestant("channels_last alone", keep_pages=False, mixed=False, kernels=False),
    "pages": Contestant("channels_last, pages kept", mixed=False, kernels=False),
    "operations": Contestant("all but kernels of our own", kernels=False),
    "fast": Contestant("as train.py"),
}


HELPERS = ("feeding", "machine", "augmentation")
"""Further parts that run in a process of their own, in the environment of ``fast``."""


def run_contestant(name, args, only, store=None):
    """Start the program again for one contestant; returns what it found."""
    options = {"device": args.device, "batch_size": args.batch_size, "n_mels": args.n_mels, "hop_ms": args.hop_ms}
    options |= {"seconds": args.seconds, "fill": args.fill, "contestant": name, "only": ",".join(only)} | (
        {"store": store} if store else {}
    )
    command = [sys.executable, str(PROGRAM), *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, env=environment(name), capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed, out of memory perhaps"])[-1]
        raise UserError(f"the process of {name!r} ended with status {done.returncode}: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def environment(name):
    """The environment of a contestant: glibc's tunables as ``train.py`` sets them, or none.

    When other programs use the cores too, threads that wait by spinning slow small steps a hundredfold and
    leave every number to chance; all contestants wait asleep, unless ``OMP_WAIT_POLICY`` says otherwise.
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
        between = dict.fromkeys(("channels_last", "pages", "operations") if args.steps else (), ["training"])
        plan = {"plain": asked, **between, "fast": list(asked), "machine": ["training"]}
    elif {"feeding", "augmentation"} & set(args.only):
        plan["fast"].append("training")  # they are a share of a step
    if "augmentation" in args.only:
        plan["augmentation"] = ["augmentation"]
    if args.device == "cuda":
        plan.pop("pages", None)  # it is about the memory of the host
    return {name: only for name, only in plan.items() if only}


def say(text):
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
