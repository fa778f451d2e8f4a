"""Work on the cores of a Ray cluster, with results as they come, in bounded memory; needs Ray.

Ray's actors do what the processes of ``mil_asc.cli.worker_pool`` do, each with a set-up of its own; the results come
back here, so that there is one writer. An actor that dies, or whose machine does, is replaced, and what it was working
on is tried again one by one, at most ``TRIES`` times in all; then that it died is the result.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import mil_asc
from mil_asc.cli.worker_pool import TRIES
from mil_asc.errors import ArgumentError, UserError
from mil_asc.runtime.worker_process import Died, Refused, Setup, Work, cores

CALL_SECONDS = 0.5
"""About how long an actor works between two calls."""
MOST_ITEMS = 32
"""Items of a call, at most."""
AHEAD = 2
"""Calls that an actor has at a time, so that it need not wait for the next."""
STARTS = 3
"""Actors that may die one after the other before they could work."""
ANSWER_SECONDS = 10.0
"""Longest time in which a cluster must take a connection."""
STORE_BYTES = 128 << 20
"""Memory for objects of a cluster that is started here; results do not need more."""


class _Call(NamedTuple):
    """Items that an actor was given, how often actors died with them, for how many calls it counts, and its start."""

    actor: _Actor
    items: list[Any]
    deaths: int
    weight: int
    begun: float


class _Actor:
    """A handle, and how many calls it has; ``ready`` once its set-up is done."""

    def __init__(self, handle: Any):
        self.handle, self.calls, self.ready, self.seconds = handle, 0, False, CALL_SECONDS


class Place(NamedTuple):
    """What a worker must find on its machine: this version, this folder to work in, and what is at these paths."""

    version: str
    folder: str
    paths: tuple[str, ...]

    def enter(self) -> None:
        """Work in the folder; a ``UserError`` names what is missing on this machine."""
        machine = socket.gethostname()
        if mil_asc.__version__ != self.version:
            raise UserError(f"{machine} has mil_asc {mil_asc.__version__}, not {self.version}")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(f"{self.folder} is not on {machine}: recordings must be at one path everywhere") from error
        for path in self.paths:
            if not os.path.exists(path):
                raise UserError(f"{path} is not on {machine}: recordings must be at one path everywhere")


class Worker:
    """What an actor does, in a process of its own."""

    def __init__(self) -> None:
        self._work: Work | None = None

    def start(self, setup: Setup, place: Place) -> Refused | None:
        """Set up; what it was refused with, if it was."""
        try:
            place.enter()
            self._work = setup()
        except (UserError, ArgumentError) as error:
            return Refused(str(error))
        return None

    def work(self, items: list[Any]) -> list[Any]:
        """The results of some items."""
        assert self._work is not None
        return [self._work(item) for item in items]


def map_on_ray(
    items: Iterable[Any], setup: Setup, address: str, workers: int | None, paths: Sequence[str] = ()
) -> Generator[tuple[Any, Any], None, None]:
    """(item, result) for every item, each as soon as it is there.

    Arguments
    ---------
    items : iterable
        Picklable; taken as they are needed.
    setup : callable
        Makes the function that turns an item into a result; both must be picklable.
    address : str
        HOST:PORT of a cluster, ``auto`` for that of this machine, ``local`` to start one for the time being.
    workers : int, optional
        By default as many as the cluster has cores.
    paths : sequence of str
        What must be there on every machine; not checked where it is missing here.

    Raises
    ------
    UserError
        Ray is missing, no cluster answers, ``setup`` raised it, or a machine lacks what is needed.
    """
    place = Place(mil_asc.__version__, os.getcwd(), tuple(filter(os.path.exists, paths)))
    with _cluster(address) as ray:
        count = workers or int(ray.cluster_resources().get("CPU", 0))
        if count < 1:
            raise UserError(f"--ray {address}: the cluster has no core")
        with contextlib.closing(_RayPool(ray, items, setup, place, count)) as pool:
            yield from pool.results()


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Ray, connected; it leaves signals as they were and sends no usage data."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError('--ray needs Ray: pip install -e ".[ray]"') from error
    if address not in ("local", "auto"):
        _check_answers(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        options |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"--ray: no cluster answers at {address}: {_first_line(error)}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """A ``UserError`` where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"--ray {address}: give HOST:PORT of a cluster, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(f"--ray: no cluster answers at {address}: {error.strerror or error}") from error


class _RayPool:
    def __init__(self, ray: Any, items: Iterable[Any], setup: Setup, place: Place, workers: int):
        self._ray, self._items, self._setup, self._place = ray, iter(items), setup, place
        self._remote = ray.remote(num_cpus=1, max_restarts=0)(Worker)
        self._calls: dict[Any, _Call] = {}
        self._starts: dict[Any, _Actor] = {}
        self._again: list[tuple[Any, int]] = []
        self._dead_starts = 0
        self._actors: list[_Actor] = []
        for _ in range(workers):
            self._start()

    def close(self) -> None:
        """End all actors, whatever they do."""
        for actor in self._actors:
            self._ray.kill(actor.handle)

    def results(self) -> Iterator[tuple[Any, Any]]:
        while True:
            for actor in self._actors:
                while actor.ready and actor.calls < AHEAD and self._give(actor):
                    pass
            if not self._calls and not self._again and not self._look_ahead():
                return
            done, _ = self._ray.wait([*self._calls, *self._starts], num_returns=1, timeout=None)
            for reference in done:
                if reference in self._starts:
                    self._take_start(reference)
                else:
                    yield from self._take(reference)

    def _look_ahead(self) -> bool:
        """Whether there is another item, which is kept to be given."""
        for item in self._items:
            self._items = itertools.chain([item], self._items)
            return True
        return False

    def _start(self) -> None:
        actor = _Actor(self._remote.remote())
        self._actors.append(actor)
        self._starts[actor.handle.start.remote(self._setup, self._place)] = actor

    def _give(self, actor: _Actor) -> bool:
        """Send an actor another call; whether there was something to send."""
        weight = 1
        if self._again:
            if actor.calls:
                return False  # an actor that dies again takes nothing else with it
            item, deaths = self._again.pop()
            items, weight = [item], AHEAD
        else:
            count = max(1, min(MOST_ITEMS, int(CALL_SECONDS / actor.seconds)))
            items, deaths = list(itertools.islice(self._items, count)), 0
        if not items:
            return False
        self._calls[actor.handle.work.remote(items)] = _Call(actor, items, deaths, weight, time.monotonic())
        actor.calls += weight
        return True

    def _take_start(self, reference: Any) -> None:
        actor = self._starts.pop(reference)
        try:
            refused = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # such as a machine without mil_asc
            raise UserError(f"--ray: a worker cannot start: {str(error).strip().splitlines()[-1]}") from error
        except self._ray.exceptions.RayError as error:
            self._dead_starts += 1
            if self._dead_starts >= STARTS:
                raise UserError(f"--ray: a worker ended before it could work: {_first_line(error)}") from error
            self._replace(actor)
            return
        if refused is not None:
            raise UserError(refused.message)
        actor.ready, self._dead_starts = True, 0

    def _take(self, reference: Any) -> Iterator[tuple[Any, Any]]:
        call = self._calls.pop(reference)
        call.actor.calls -= call.weight
        try:
            results = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise  # raised by the work itself
        except self._ray.exceptions.RayError as error:  # the actor, its machine or its result was lost
            self._replace(call.actor)
            for item in call.items:
                if call.deaths + 1 < TRIES:
                    self._again.append((item, call.deaths + 1))
                else:
                    yield item, Died(f"the worker that read it ended ({_first_line(error)})")
            return
        spent = (time.monotonic() - call.begun) / len(call.items) / (AHEAD if call.weight == 1 else 1)
        call.actor.seconds = max(spent, 1e-6)
        yield from zip(call.items, results, strict=True)

    def _replace(self, actor: _Actor) -> None:
        """Start another actor for one that died; its calls each come here, the first one replaces it."""
        if actor in self._actors:
            self._actors.remove(actor)
            self._ray.kill(actor.handle)  # it may be out of reach only
            self._start()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
