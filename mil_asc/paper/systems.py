"""Published systems of Tables 8 and 9 beside our runs of those whose network is here.

Ours have the network of the system, with the training setup of the paper and without the system's augmentation,
ensembles, distillation and pretraining: they show the networks alike, and do not reproduce what was published. Notes
say where sizes or losses differ.
"""

import shlex

from mil_asc.paper.over_seeds import accuracies_of, best_seed, mean_text, next_run, parameters_text, seeds_of
from mil_asc.paper.plan import PlannedRun

HEADER = (
    *("system", "augmentation", "parameters", "accuracy"),
    *("network here", "its parameters", "ours (mean ± sd)", "note"),
)
RULE = "bag"
"""Decision of networks with global average pooling."""


def is_here(system, place):
    """Whether the recipe has a YAML file for the system's network."""
    return bool(system.experiment) and (place.recipes / system.recipe / f"hparams/{system.experiment}.yaml").is_file()


def system_runs(published, place, seeds):
    """The runs of the systems whose network is here, for seeds 1 to ``seeds``, seed by seed."""
    here = [system for system in published if is_here(system, place)]
    return [PlannedRun(one.recipe, one.experiment, seed, RULE) for seed in range(1, seeds + 1) for one in here]


def system_cells(published, results, place, seeds):
    """A row of text for each system, under ``HEADER``; ``results``: planned run -> finished run."""
    return [_cells(system, results, place, seeds) for system in published]


def _cells(system, results, place, seeds):
    printed = [system.system, system.augmentation, system.params, f"{system.accuracy:g}"]
    if not is_here(system, place):
        return [*printed, "–", "–", "–", system.note]
    found = seeds_of(system.recipe, system.experiment, results, seeds)
    accuracies = accuracies_of(found, RULE)
    if accuracies:
        seed, best = best_seed(accuracies)
        ours = f"{mean_text(accuracies, seeds, 2)}, best {best:.2f} (seed {seed})"
    else:
        run = next_run(system.recipe, system.experiment, found, seeds)
        ours = f"no run yet: `{shlex.join(['python', *place.command(run)])}`"
    return [*printed, f"`{system.experiment}`", parameters_text(found.values()), ours, system.note]
