"""When does the instance loss help? The share of a clip that shows its class, against strategy."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import RECIPE, STRATEGIES, Study

SHARES = (0.2, 0.4, 0.6, 0.8)
"""Mean share of a clip that its class's distinct events cover."""
EPOCHS = 10
"""Epochs of SynthScenes's recipes."""
LONG_SHARE, LONG_EPOCHS, LONG_SEEDS = 0.4, 40, 3
"""The runs that are trained longer, because the paper trains for 100 epochs."""
LONG_STRATEGIES = ("no_il", "pnl", "gt")


def evidence(seeds):
    """``Study`` of all shares, strategies and seeds 1 to ``seeds``, then the long runs."""
    check_seeds(seeds)
    runs = {}
    for seed in range(1, seeds + 1):
        for share in SHARES:
            for strategy in STRATEGIES:
                runs |= _run(share, strategy, EPOCHS, seed)
    for seed in range(1, min(seeds, LONG_SEEDS) + 1):
        for strategy in LONG_STRATEGIES:
            runs |= _run(LONG_SHARE, strategy, LONG_EPOCHS, seed)
    return Study("evidence", ("event_share", "strategy", "epochs"), runs)


def _run(share, strategy, epochs, seed):
    """One planned run and its factors."""
    variant = f"evidence/share-{share:g}" + (f"-epochs-{epochs}" if epochs != EPOCHS else "")
    options = [f"--event_share={share:g}", f"--data_folder=data/synth-scenes-share-{share:g}"]
    options += [f"--number_of_epochs={epochs}"] if epochs != EPOCHS else []
    rule = "bag" if strategy == "gap" else "smi"
    planned = PlannedRun(RECIPE, STRATEGIES[strategy], seed, rule, variant, tuple(options))
    return {planned: {"event_share": f"{share:g}", "strategy": strategy, "epochs": epochs}}
