"""The environment of a run as plain data for ``report.json``: versions, machine, speed, memory."""

import importlib.metadata
import platform
from datetime import datetime, timezone

import mil_asc
from mil_asc.runtime import hardware
from mil_asc.runtime.allocator import keeps_pages

PACKAGES = ("torch", "torchaudio", "speechbrain", "HyperPyYAML", "numpy", "soundfile", "soxr")


def now():
    """The current time, UTC, as ISO 8601 text."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions():
    """Version of this package, of Python and of ``PACKAGES``, by name."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"mil_asc": mil_asc.__version__, "python": platform.python_version(), **packages}


def describe_training(history, options, device):
    """The part of a report's ``run`` that does not depend on the experiment.

    Arguments
    ---------
    history : list of dict
        One record per epoch, as in ``RunState``.
    options : RunOptions
        Run options, precision among them.
    device : torch.device
        Where the run was trained.

    Returns
    -------
    dict
        Time, epochs, run options, device, precision, seconds and clips per second of training, peak memory in bytes,
        versions.
    """
    seconds = sum(record["seconds"] for record in history)
    clips = sum(record["seconds"] * record["clips_per_second"] for record in history)
    return {
        "finished": now(),
        "epochs": len(history),
        "debug": options.debug,
        "device": hardware.describe(device),
        "precision": options.precision,
        "run_options": {name: getattr(options, name) for name in sorted(options.overridden_args)},
        "allocator_keeps_pages": keeps_pages(),
        "train_seconds": seconds,
        "train_clips_per_second": clips / seconds if seconds else None,
        "peak_memory_bytes": hardware.peak_memory(device),
        "versions": versions(),
    }


def describe_evaluation(device):
    """The entry of a report for a run that was trained earlier and is evaluated again."""
    return {"finished": now(), "device": hardware.describe(device), "mil_asc": mil_asc.__version__}
