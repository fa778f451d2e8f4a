"""Finished runs that were trained otherwise than the same command would train them now."""

from dataclasses import dataclass, replace

from mil_asc.errors import UserError

ANY_SEED = 4294967295
"""Stands for every seed where the settings that the seeds of an experiment share are resolved; the greatest legal."""
NO_FIGURES = set(
    "device noprogressbar ckpt_interval_minutes ckpt_interval_steps debug debug_batches debug_epochs debug_persistently"
    " test_only".split()
)
"""Run options that change no figure of a finished run."""


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
    """Those of the finished runs that a start now would train otherwise: run -> the first ``Change``.

    ``results`` maps runs to results. Where things are does not count. Raises ``UserError`` for options of
    ``place`` that a recipe does not know.
    """
    shared, stale = {}, {}
    for run, result in results.items():
        every = replace(run, seed=ANY_SEED)
        if every not in shared:
            shared[every] = _resolved(every, place)
        change = _first_change(run, result, place, *shared[every])
        if change:
            stale[run] = change
    return stale


def refuse_stale(results, place):
    """Raise a ``UserError`` that names a run of ``find_stale``, where there is one."""
    for run, change in find_stale(results, place).items():
        raise UserError(
            f"{place.folder(run)} holds a finished run with {change}: "
            "move the folder away, or keep these runs apart with --results=results/NAME"
        )


def _resolved(run, place):
    """The settings (YAML text) and the run options (name -> value) that the run's command gives it."""
    from mil_asc.training.command_line import parse_command_line  # brings PyTorch with it: seconds
    from mil_asc.training.config import resolve_settings

    _, file, *words = place.command(run)
    path, options, overrides = parse_command_line([str(place.recipes / run.recipe / file), *words])
    return resolve_settings(path, overrides), {name: getattr(options, name) for name in options.overridden_args}


def _first_change(run, result, place, text, options):
    from mil_asc.training.run_folder import SETTINGS, changed_settings

    old = (place.folder(run) / SETTINGS).read_text(encoding="utf-8")
    changes = changed_settings(old, text.replace(str(ANY_SEED), str(run.seed)))
    if changes:  # for certain only with the run's own seed: a YAML file may reckon with it
        changes = changed_settings(old, _resolved(run, place)[0])
    for key, (there, now) in changes.items():
        return Change(key, there, now)
    return _changed_option(result.report["run"], options)


def _changed_option(facts, options):
    """The first run option that differs from those in the ``run`` part of a report; None where none does.

    A precision that nobody asks for now is the machine's choice, and may be another on another machine.
    """
    from speechbrain.utils.run_opts import RunOptions

    there = {"precision": facts["precision"]} | facts.get("run_options", {})
    names = sorted((there.keys() | options.keys()) - NO_FIGURES - ({"precision"} - options.keys()))
    for name in names:
        old, new = (given.get(name, getattr(RunOptions, name, None)) for given in (there, options))
        if old != new:
            return Change(name, old, new)
    return None
