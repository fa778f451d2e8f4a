"""Planned runs as tasks of a Ray cluster, each supervised as on one machine."""

import signal
import time

from mil_asc.errors import UserError
from mil_asc.paper.supervise import GRACE, POLL, RESTARTS, Job, Outcome, Progress, stop
from mil_asc.results.run import CONSOLE


def train_on_ray(runs, place, address=None):
    """As ``mil_asc.paper.supervise.train_here``, on a Ray cluster: each run gets a GPU, or a CPU core without any.

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
    """A Ray task: supervise one run until it ends; returns its ``Outcome``."""
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
