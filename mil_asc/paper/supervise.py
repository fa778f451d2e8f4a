"""Planned runs of a recipe's ``train.py``, one process per device.

A run that dies is started again and resumes from its last checkpoint; one that ends with an ``error:`` line and
status 1 was given something it cannot use, and is not. ``mil_asc.paper.ray`` does the same on a cluster.
"""

import os
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass

from mil_asc.errors import UserError
from mil_asc.paper.plan import PlannedRun
from mil_asc.results.run import CONSOLE, Run
from mil_asc.runtime.tied_program import tied

RESTARTS = 2
"""How often a run that died is started again."""
POLL, GRACE = 0.2, 30.0
"""Seconds between looks at the processes, and from asking one to stop to killing it."""


# -- one run


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its accuracy (0 to 1), or why it has none; and the seconds it took.

    Those of a finished run are the seconds of its training, over all starts.
    """

    run: PlannedRun
    accuracy: float | None
    problem: str | None
    seconds: float


class Job:
    """A run in progress: a process, started again when it dies.

    Arguments
    ---------
    run : PlannedRun
    place : Place
    device : str
        As ``--device`` takes it.
    say : callable
        Called with a line about the run.
    threads : int, optional
        For a run on a GPU: threads of what it computes on the CPU; default: as many as there are cores.
    """

    def __init__(self, run, place, device, say, threads=None):
        self.run, self.place, self.device, self.say, self.threads = run, place, device, say, threads
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
            if self.threads is not None:
                environment["OMP_NUM_THREADS"] = str(self.threads)
        with open(folder / CONSOLE, "ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            self.mark = log.tell()
            self.process = subprocess.Popen(
                tied(command),
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
        result = Run(self.place.folder(self.run))
        if status == 0 and result.finished:
            return Outcome(self.run, result.accuracy(self.run.rule), None, result.provenance["train_seconds"])
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
    """Reports runs as they start and end, and how long the rest will take.

    Arguments
    ---------
    total : int
        Number of runs.
    slots : int
        How many of them run at a time.
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
        accuracy = "" if outcome.accuracy is None else f", accuracy {100 * outcome.accuracy:.2f} %"
        name = {"bag": "GAP"}.get(outcome.run.rule, outcome.run.rule.upper())
        return self.say(f"{outcome.run} finished in {minutes}{accuracy} ({name}){self.rest()}")

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


def train_here(runs, place, devices, finished=lambda run: None):
    """Run all ``runs``, one process on each of ``devices`` (a device named twice gets two); returns the failures.

    ``finished`` is called with each ``PlannedRun`` that ended with a result, before the next one starts.
    Whatever stops this program, Ctrl-C for one, stops the runs first; they resume the next time.
    """
    progress = Progress(len(runs), len(devices))
    waiting, free, jobs = deque(runs), deque(devices), []
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    try:
        while waiting or jobs:
            while waiting and free:
                run, device = waiting.popleft(), free.popleft()
                progress.say(f"{run} starts on {device}, log in {place.folder(run) / CONSOLE}")
                jobs.append(Job(run, place, device, progress.say, threads))
            for job in list(jobs):
                outcome = job.poll()
                if outcome is not None:
                    jobs.remove(job)
                    free.append(job.device)
                    progress.ended(outcome)
                    if not outcome.problem:
                        finished(outcome.run)
            time.sleep(POLL)
    finally:
        stop(jobs)
    return progress.failures


def exit_status(train):
    """Status of a program that trains runs: 1 if ``train()``, which returns the number of failed runs, says so.

    A ``UserError`` is one line and status 1; Ctrl-C, like SIGTERM, stops the runs first (130, 143).
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # passes every ``finally`` on its way
    try:
        failed = train()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped, with its runs; the same command continues them", file=sys.stderr)
        return 130
    if failed:
        print(f"error: {failed} run(s) failed", file=sys.stderr)
    return int(failed > 0)
