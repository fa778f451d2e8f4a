"""Planned runs: experiments of recipes with seeds, their folders and commands, and which of them are finished."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.results.run import Run

RESERVED = ("seed", "data_folder", "output_folder", "experiment", "device", "debug", "test_only", "folds", "fold")
"""Options of ``train.py`` that are set for each run, or would leave no result."""


MOST_SEEDS = 1000
"""More seeds than anybody trains; a million planned runs would fill the memory."""


@dataclass(frozen=True)
class PlannedRun:
    """An experiment of a recipe with a seed; ``rule`` (of ``report.json``) is that of the accuracy to announce.

    ``variant`` is a folder below that of the results, for runs with ``options`` of their own (words of ``train.py``).
    """

    recipe: str
    experiment: str
    seed: int
    rule: str = field(compare=False, default="smi")
    variant: str = ""
    options: tuple = ()

    def __str__(self):
        return " ".join(filter(None, [self.recipe, self.variant, self.experiment, f"seed {self.seed}"]))


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
        return self.recipes / run.recipe / self._within(run)

    def _within(self, run):
        """The run's folder, relative to the recipe's."""
        return Path(self.results, run.variant, run.experiment, f"seed-{run.seed}")

    def needs_data(self, run):
        """Whether the run's YAML file requires a folder of the audio to be named."""
        text = (self.recipes / run.recipe / "hparams" / f"{run.experiment}.yaml").read_text(encoding="utf-8")
        return re.search(r"^data_folder:\s*!PLACEHOLDER", text, re.MULTILINE) is not None

    def command(self, run, device=None):
        """The command, without the interpreter, to run in the recipe's folder; ``DIR`` for audio that was not named."""
        words = ["train.py", f"hparams/{run.experiment}.yaml", f"--seed={run.seed}"]
        if run.recipe in self.data or self.needs_data(run):
            words.append(f"--data_folder={self.data.get(run.recipe, 'DIR')}")
        if self.results != "results" or run.variant:
            words.append(f"--output_folder={self._within(run)}")
        return words + ([f"--device={device}"] if device else []) + list(run.options) + list(self.options)


def finished_runs(planned, place):
    """Those of the planned runs that are finished: planned run -> ``mil_asc.results.run.Run``."""
    runs = {one: Run(place.folder(one)) for one in planned}
    return {one: run for one, run in runs.items() if run.finished}


def runs_of(rows, seeds):
    """The runs that rows of tables need for seeds 1 to ``seeds``, each once, seed by seed."""
    planned = [PlannedRun(r.recipe, r.experiment, seed, r.rule) for seed in range(1, seeds + 1) for r in rows]
    return list(dict.fromkeys(planned))


# -- what the user asked for


def check_options(options):
    """Refuse what is not an option of ``train.py``, and ``RESERVED`` options."""
    for option in options:
        key = option[2:].partition("=")[0]
        if not option.startswith("--") or not key:
            raise UserError(f"{option} is not an option of train.py: give --KEY=VALUE after --")
        if key in RESERVED or key.rpartition(".")[2] in RESERVED:
            raise UserError(f"--{key} may not be passed to the runs: it is set for each, or would leave no result")


def check_seeds(seeds):
    """Refuse a number of seeds below 1 or above ``MOST_SEEDS`` (``UserError``)."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"--seeds must be a whole number from 1 to {MOST_SEEDS}, got {seeds}")


def check_data(runs, place):
    """Refuse runs whose audio folder was not named, or does not exist."""
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
    """The devices in a list such as ``cuda:0,cuda:1`` or ``cpu``; ``auto`` means every GPU, or the CPU without one."""
    import torch  # slow, and no table needs it

    gpus = torch.cuda.device_count()
    if text == "auto":
        return [f"cuda:{i}" for i in range(gpus)] or ["cpu"]
    devices = text.split(",")
    for device in devices:
        if device != "cpu" and not (re.fullmatch(r"cuda:\d+", device) and int(device[5:]) < gpus):
            legal = ", ".join(["auto", "cpu", *(f"cuda:{i}" for i in range(gpus))])
            raise UserError(f"--devices: {device} is not available here; legal: {legal}")
    return devices
