"""Finished runs that were trained with other settings than the same command would train them with now."""

from dataclasses import dataclass, replace

from mil_asc.errors import UserError
from mil_asc.results.settings import changed_settings
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.config import resolve_settings
from mil_asc.training.run_options import RUN_OPTIONS

ANY_SEED = 4294967295
"""Stands for every seed where the settings that the seeds of an experiment share are resolved; the greatest legal."""
NO_EFFECT = set(
    "device noprogressbar ckpt_interval_minutes ckpt_interval_steps debug debug_batches debug_epochs debug_persistently"
    " test_only".split()
)
"""Run options that have no effect on the results of a finished run."""


@dataclass(frozen=True)
class Change:
    """A setting, or run option, with its value in a finished run and the one that a start now would give it."""

    key: str
    old: object
    new: object

    def __str__(self):
        return f"{self.key} {_words(self.old)}, not {_words(self.new)}"


def _words(value):
    return "unset" if value is None else " ".join(str(value).split())


def find_stale(results, place):
    """Those of the finished runs that a start now would train with other settings: planned run -> first ``Change``.

    ``results`` maps planned runs to ``mil_asc.results.run.Run``. Where things are does not count. Raises ``UserError``
    for options of ``place`` that a recipe does not know.
    """
    shared, stale = {}, {}
    for planned, run in results.items():
        every = replace(planned, seed=ANY_SEED)
        if every not in shared:
            shared[every] = resolved(every, place)
        change = _first_change(planned, run, place, *shared[every])
        if change:
            stale[planned] = change
    return stale


def refuse_stale(results, place):
    """Raise a ``UserError`` that names a run of ``find_stale``, where there is one."""
    for planned, change in find_stale(results, place).items():
        raise UserError(
            f"{results[planned].folder} holds a finished run with {change}: "
            "move the folder away, or keep these runs apart with --results=results/NAME"
        )


def resolved(planned, place):
    """The settings (YAML text) and the run options (name -> value) that the command of a planned run gives it."""
    _, file, *words = place.command(planned)
    path, options, overrides = parse_command_line([str(place.recipes / planned.recipe / file), *words])
    return resolve_settings(path, overrides), options


def _first_change(planned, run, place, text, options):
    changes = changed_settings(run.settings_text, text.replace(str(ANY_SEED), str(planned.seed)))
    if changes:  # for certain only with the run's own seed: a YAML file may compute with it
        changes = changed_settings(run.settings_text, resolved(planned, place)[0])
    for key, (there, now) in changes.items():
        return Change(key, there, now)
    return _changed_option(run.provenance, options)


def _changed_option(provenance, options):
    """The first run option that differs from those in the ``run`` part of a report; None where none does.

    A precision that is not asked for now is the machine's choice, and may differ on another machine.
    """
    there = {"precision": provenance["precision"]} | provenance["run_options"]
    names = sorted((there.keys() | options.keys()) - NO_EFFECT - ({"precision"} - options.keys()))
    for name in names:
        default = RUN_OPTIONS[name].default if name in RUN_OPTIONS else None
        old, new = (given.get(name, default) for given in (there, options))
        if old != new:
            return Change(name, old, new)
    return None
