"""A benchmark of poolings: each from instances to bag, without and with the instance loss."""

from mil_asc.mil.pooling import POOLINGS
from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import RECIPE, STRATEGIES, Study

COMPARED = ("no_il", "pnl")


def poolings(seeds):
    """``Study`` of every registered pooling with the bag loss alone and with PNL, seeds 1 to ``seeds``."""
    check_seeds(seeds)
    runs = {}
    for seed in range(1, seeds + 1):
        for pooling in sorted(POOLINGS):
            for strategy in COMPARED:
                rule = "smi" if pooling == "max" else "bag"
                variant, options = f"poolings/{pooling}", (f"--pooling={pooling}",)
                planned = PlannedRun(RECIPE, STRATEGIES[strategy], seed, rule, variant, options)
                runs[planned] = {"pooling": pooling, "strategy": strategy}
    return Study("poolings", ("pooling", "strategy"), runs)
