"""Real recordings: strategies over the folds of ESC-50, and what each piece of the augmentation is worth."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import STRATEGIES, Study
from mil_asc.studies.measures import CLIPS

RECIPE = "ESC50"
FOLDS = (1, 2, 3, 4)
"""Official folds that are evaluated on; the fifth is left for others."""
CHOSEN_ON, BASE = 1, "gt"
"""The fold and the strategy on which pieces are compared; results of what was chosen come from the other folds."""
PIECES = (
    *("mixup", "spec_augment", "time_roll", "random_gain", "random_crop", "freq_mixstyle", "impulse_responses", "ema"),
    "all",
)
PLAIN = "none"


def strategies(seeds):
    """``Study`` of all strategies without augmentation, every fold evaluated on once."""
    check_seeds(seeds)
    runs = {}
    for seed in range(1, seeds + 1):
        for fold in FOLDS:
            for strategy in STRATEGIES:
                runs |= planned(strategy, PLAIN, fold, seed)
    return Study("esc50", FACTORS, runs, CLIPS)


def pieces(seeds):
    """``Study`` of no augmentation, each of its pieces, and all of them, on one fold."""
    check_seeds(seeds)
    runs = {}
    for seed in range(1, seeds + 1):
        for piece in (PLAIN, *PIECES):
            runs |= planned(BASE, piece, CHOSEN_ON, seed)
    return Study("augment", FACTORS, runs, CLIPS)


FACTORS = ("strategy", "augment", "fold")


def planned(strategy, augment, fold, seed):
    """One planned run and its factors."""
    options = [f"--evaluate_fold={fold}", *([] if augment == PLAIN else [f"--augment={augment}"])]
    rule = "bag" if strategy == "gap" else "smi"
    run = PlannedRun(RECIPE, STRATEGIES[strategy], seed, rule, f"folds/{augment}/fold-{fold}", tuple(options))
    return {run: {"strategy": strategy, "augment": augment, "fold": fold}}
