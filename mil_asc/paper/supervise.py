"""Runs of a recipe's ``train.py``: which are finished, and those that are not, one process a device.

A run that dies is started again and resumes from its last checkpoint; one that ends with an ``error:`` line and
status 1 was given something it cannot use, and is not. With Ray the same runs become tasks of a cluster.
"""

import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import ruamel.yaml

from mil_asc.errors import UserError

RESTARTS = 2
"""How often a run that died is started again."""
POLL, GRACE = 0.2, 30.0
"""Seconds between looks at the processes, and from asking one to stop to killing it."""
CONSOLE = "console.log"
"""What a run prints, in the run's folder; its own log is ``log.txt`` beside it."""
OURS = ("seed", "data_folder", "output_folder", "experiment", "device", "debug", "test_only")
"""Options of ``train.py`` that are not for the user of this module to give."""


@dataclass(frozen=True)
class Run:
    """An experiment of a recipe with a seed; ``rule`` (of ``report.json``) tells which accuracy to announce."""

    recipe: str
    experiment: str
    seed: int
    rule: str = field(compare=False, default="smi")

    def __str__(self):
        return f"{self.recipe} {self.experiment} seed {self.seed}"


@dataclass(frozen=True)
class Place:
    """Where runs are and how they are started.

    ``recipes``: the folder of the recipes; ``results``: the folder in each that holds its runs; ``data``:
    recipe name -> folder of its audio, for recipes that need one; ``options``: further options of ``train.py``.
    """

    recipes: Path
    results: str = "results"
    data: dict = field(default_factory=dict)
    options: tuple = ()

    def folder(self, run):
        """The run's folder."""
        return self.recipes / run.recipe / self.results / run.experiment / f"seed-{run.seed}"

    def needs_data(self, run):
        """Whether the run's YAML file leaves the folder of the audio open."""
        text = (self.recipes / run.recipe / "hparams" / f"{run.experiment}.yaml").read_text(encoding="utf-8")
        return re.search(r"^data_folder:\s*!PLACEHOLDER", text, re.MULTILINE) is not None

    def command(self, run, device=None):
        """The command, without the interpreter, to be run in the recipe's folder; ``DIR`` for audio not named."""
        words = ["train.py", f"hparams/{run.experiment}.yaml", f"--seed={run.seed}"]
        if run.recipe in self.data or self.needs_data(run):
            words.append(f"--data_folder={self.data.get(run.recipe, 'DIR')}")
        if self.results != "results":
            words.append(f"--output_folder={self.results}/{run.experiment}/seed-{run.seed}")
        return words + ([f"--device={device}"] if device else []) + list(self.options)


@dataclass(frozen=True)
class Result:
    """A finished run: its ``report.json`` and its resolved settings."""

    report: dict
    settings: dict

    def setting(self, name):
        """The value of the first setting called ``name``, however deep it stands; None where there is none."""
        return next(_values(self.settings, name), None)

    def official(self, name):
        """How many clips the official list ``name`` has; None for data without official lists."""
        data = self.settings.get("data", {})
        corpus = data.get("corpus") if isinstance(data, dict) else None
        expected = corpus.get("expected") if isinstance(corpus, dict) else None  # a bare ``!name:`` is no mapping
        return expected.get(name) if isinstance(expected, dict) else None

    def accuracy(self, rule):
        """Accuracy (in percent) under a rule; None where the report is of a version that did not know it."""
        found = self.report["evaluation"].get(rule)
        return None if found is None else 100 * found["accuracy"]


def _values(tree, name):
    for key, value in tree.items():
        if key == name and not isinstance(value, dict):
            yield value
        elif isinstance(value, dict):
            yield from _values(value, name)


def read_result(folder):
    """The result of the run in ``folder``; None where it is not finished.

    Finished is a run, debug runs apart, that wrote its model and the report of its last epoch.
    """
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        settings = ruamel.yaml.YAML().load((folder / "hyperparams.yaml").read_text(encoding="utf-8"))
        whole = report["run"]["epochs"] == settings["training"]["number_of_epochs"] and not report["run"]["debug"]
    except (OSError, ValueError, LookupError, TypeError, ruamel.yaml.YAMLError):  # a run that was stopped early
        return None
    return Result(report, settings) if whole and (folder / "model.ckpt").is_file() else None


def read_results(runs, place):
    """Finished runs among ``runs``: run -> result."""
    found = {run: read_result(place.folder(run)) for run in runs}
    return {run: result for run, result in found.items() if result is not None}


def runs_of(rows, seeds):
    """The runs that rows of tables need for seeds 1 to ``seeds``, each once, seed by seed."""
    return list(dict.fromkeys(Run(r.recipe, r.experiment, seed, r.rule) for seed in range(1, seeds + 1) for r in rows))


# -- what the user asked for


def check_options(options):
    """Refuse what is no option of ``train.py``, and options that are set here."""
    for option in options:
        key = option[2:].partition("=")[0]
        if not option.startswith("--") or not key:
            raise UserError(f"{option} is no option of train.py: give --KEY=VALUE behind --")
        if key in OURS or key.rpartition(".")[2] in OURS:
            raise UserError(f"--{key} may not be passed to the runs: it is set for each of them, or makes no figures")


def check_data(runs, place):
    """Refuse runs whose audio nobody named, or whose folder is not there."""
    for run in runs:
        folder = place.data.get(run.recipe)
        if folder is None and place.needs_data(run):
            raise UserError(
                f"where is the audio of {run.recipe}? give --data_folder={run.recipe}=DIR, "
                "or leave the data set out with --dataset"
            )
        if folder is not None and not Path(folder).is_dir() and place.needs_data(run):
            raise UserError(f"--data_folder: {folder} is not a folder ({run.recipe})")


def find_devices(text):
    """The devices that ``auto``, or a list such as ``cuda:0,cuda:1`` or ``cpu``, names."""
    import torch  # slow, and needed for no table

    gpus = torch.cuda.device_count()
    if text == "auto":
        return [f"cuda:{i}" for i in range(gpus)] or ["cpu"]
    devices = text.split(",")
    for device in devices:
        if device != "cpu" and not (re.fullmatch(r"cuda:\d+", device) and int(device[5:]) < gpus):
            there = ", ".join(["cpu", *(f"cuda:{i}" for i in range(gpus))])
            raise UserError(f"--devices: {device} is not to be had here; there are: {there} (or auto)")
    return devices


# -- one run


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its accuracy (in percent), or why it has none; and the seconds it took.

    Those of a finished run are the seconds of its training, over all starts.
    """

    run: Run
    accuracy: float | None
    problem: str | None
    seconds: float


class Job:
    """A run in work: a process, started again when it dies.

    Arguments
    ---------
    run : Run
    place : Place
    device : str
        As ``--device`` takes it.
    say : callable
        Takes a line about the run.
    """

    def __init__(self, run, place, device, say):
        self.run, self.place, self.device, self.say = run, place, device, say
        self.begun = time.monotonic()
        self.starts = 0
        self.process = None
        self.start()

    def start(self):
        """Start the process; what it prints goes to the run's folder."""
        folder = self.place.folder(self.run)
        folder.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        command = [sys.executable, *self.place.command(self.run, self.device)]
        environment = dict(os.environ)
        if self.device != "cpu":
            environment.pop("OMP_NUM_THREADS", None)  # Ray sets it to 1; a GPU's run decodes audio with all cores
        with open(folder / CONSOLE, "ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            self.mark = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mil_asc.paper.child", str(os.getpid()), *command],
                cwd=self.place.recipes / self.run.recipe,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is passed on by ``stop``, once
            )

    def poll(self):
        """None while the run goes on, else its ``Outcome``; starts a run that died again."""
        status = self.process.poll()
        if status is None:
            return None
        result = read_result(self.place.folder(self.run)) if status == 0 else None
        if result is not None:
            return Outcome(self.run, result.accuracy(self.run.rule), None, result.report["run"]["train_seconds"])
        refusal = self.refusal() if status == 1 else None
        if refusal or status == 0:
            return self.failure(refusal or "ended without the report of a finished run")
        ended = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if self.starts > RESTARTS:
            return self.failure(f"{ended}, the last of {self.starts} times")
        self.say(f"{self.run} {ended} and is started again")
        self.start()
        return None

    def refusal(self):
        """The ``error:`` line that the process ended with; None where there is none."""
        with open(self.place.folder(self.run) / CONSOLE, "rb") as log:
            log.seek(self.mark)
            lines = log.read().decode(errors="replace").splitlines()
        return next((line[7:] for line in reversed(lines) if line.startswith("error: ")), None)

    def failure(self, problem):
        """The ``Outcome`` of a run that ends here without a result."""
        return Outcome(self.run, None, problem, time.monotonic() - self.begun)


def stop(jobs):
    """Ask the processes of jobs to stop, as Ctrl-C does, and kill those that do not within ``GRACE`` seconds."""
    going = [job.process for job in jobs if job.process.poll() is None]
    try:
        for process in going:
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + GRACE
        while time.monotonic() < end and any(process.poll() is None for process in going):
            time.sleep(POLL)
    finally:  # also where a second Ctrl-C cuts the waiting short
        for process in going:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


# -- all runs


class Progress:
    """Tells of runs as they start and end, and how long the rest will take.

    Arguments
    ---------
    total : int
        Number of runs to come.
    slots : int
        How many of them go at a time.
    """

    def __init__(self, total, slots):
        self.total, self.slots = total, slots
        self.outcomes = []

    def say(self, line):
        """Print a line."""
        print(f"[{len(self.outcomes)}/{self.total}] {line}", flush=True)

    def ended(self, outcome):
        """Count and announce a run that ended."""
        self.outcomes.append(outcome)
        minutes = f"{outcome.seconds / 60:.1f} min"
        if outcome.problem:
            return self.say(f"{outcome.run} FAILED after {minutes}: {outcome.problem}")
        figure = "" if outcome.accuracy is None else f", accuracy {outcome.accuracy:.2f} %"
        name = {"bag": "GAP"}.get(outcome.run.rule, outcome.run.rule.upper())
        return self.say(f"{outcome.run} finished in {minutes}{figure} ({name}){self.rest()}")

    def rest(self):
        """Minutes that the runs to come will take, at the mean of those that finished."""
        left = self.total - len(self.outcomes)
        if not left:
            return ""
        mean = statistics.mean(outcome.seconds for outcome in self.outcomes if not outcome.problem)
        return f"; about {max(1, round(mean * left / self.slots / 60))} min left"

    @property
    def failures(self):
        """Outcomes of the runs that failed."""
        return [outcome for outcome in self.outcomes if outcome.problem]


def train_here(runs, place, devices):
    """Run all ``runs``, one process on each of ``devices`` (a device named twice gets two); returns the failures.

    Whatever stops this program, Ctrl-C for one, stops the runs first; they resume the next time.
    """
    progress = Progress(len(runs), len(devices))
    waiting, free, jobs = deque(runs), deque(devices), []
    try:
        while waiting or jobs:
            while waiting and free:
                run, device = waiting.popleft(), free.popleft()
                progress.say(f"{run} starts on {device}, log in {place.folder(run) / CONSOLE}")
                jobs.append(Job(run, place, device, progress.say))
            for job in list(jobs):
                outcome = job.poll()
                if outcome is not None:
                    jobs.remove(job)
                    free.append(job.device)
                    progress.ended(outcome)
            time.sleep(POLL)
    finally:
        stop(jobs)
    return progress.failures


def train_on_ray(runs, place, address=None):
    """As ``train_here``, on a Ray cluster: a GPU a run where it has any, else a CPU core.

    ``address`` is that of a running cluster; None starts one on this machine, or takes the one that the
    environment names. The recipes, the audio and this package must be at the same path on every machine.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError('Ray is not installed: pip install -e ".[ray]"') from error
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"--ray: no cluster answers at {address or 'this machine'}: {_first_line(error)}") from error
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        return _train_on_cluster(ray, runs, place)
    finally:
        ray.shutdown()


def _train_on_cluster(ray, runs, place):
    resources = ray.cluster_resources()
    kind, device = ("GPU", "cuda") if resources.get("GPU") else ("CPU", "cpu")
    slots = max(1, int(resources.get(kind, 1)))
    task = ray.remote(num_cpus=int(kind == "CPU"), num_gpus=int(kind == "GPU"), max_retries=RESTARTS)(attend)
    progress = Progress(len(runs), min(slots, len(runs)))
    progress.say(f"{len(runs)} runs on Ray, {slots} at a time ({kind}s); {place.recipes} must be on all its machines")
    pending = {task.remote(run, place, device): run for run in runs}
    begun = time.monotonic()
    try:
        while pending:
            for done in ray.wait(list(pending), timeout=1)[0]:
                try:
                    outcome = ray.get(done)
                except ray.exceptions.RayError as error:
                    outcome = Outcome(pending[done], None, _first_line(error), time.monotonic() - begun)
                del pending[done]
                progress.ended(outcome)
    finally:
        for waiting in pending:
            ray.cancel(waiting, force=False)
        if pending:
            ray.wait(list(pending), num_returns=len(pending), timeout=GRACE + 5)
    return progress.failures


def attend(run, place, device):
    """A task of Ray: see to one run until its end; returns its ``Outcome``."""
    print(f"{run} starts, log in {place.folder(run) / CONSOLE}", flush=True)
    job = Job(run, place, device, lambda line: print(line, flush=True))
    try:
        while True:
            outcome = job.poll()
            if outcome is not None:
                return outcome
            time.sleep(POLL)
    finally:
        stop([job])


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
