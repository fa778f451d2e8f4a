"""Real recordings: strategies over the folds of ESC-50, what each piece of the augmentation is worth, and the best
recipe."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import STRATEGIES, Study
from mil_asc.studies.measures import ESC50

RECIPE = "ESC50"
FOLDS = (1, 2, 3, 4)
"""Official folds that are evaluated on; the fifth is left for others."""
CHOSEN_ON, BASE = 1, "gt"
"""The fold and the strategy on which pieces are compared; results of what was chosen come from the other folds."""
HELD_OUT = tuple(fold for fold in FOLDS if fold != CHOSEN_ON)
PIECES = (
    *("stretch", "mixup", "spec_augment", "random_gain", "impulse_responses"),
    *("time_roll", "freq_mixstyle", "random_crop", "ema", "all"),
)
PLAIN = "none"
PIECE_SEEDS = 3
STRATEGY_MELS, PIECE_MELS = 256, 64
"""Mel bins of the strategies, which are the paper's, and of the pieces: a quarter of the time."""
BEST, BEST_EXPERIMENT = {"strategy": "best", "augment": "own", "n_mels": 64}, "fuse_best"
"""Factors of the best recipe's rows, whose file sets them, and its experiment."""
FACTORS = ("strategy", "augment", "fold", "n_mels")


def esc50(seeds):
    """``Study`` of all strategies without augmentation, every fold evaluated on once, of the pieces on one fold, and of
    the best recipe on every fold.

    ``seeds`` counts those of the strategies and of the best recipe; the pieces have seeds 1 to ``PIECE_SEEDS``. What a
    choice of pieces needs is trained first: their base on every fold, and each of them once.
    """
    check_seeds(seeds)
    all_seeds = range(1, seeds + 1)
    strategies = [strategy_run(strategy, fold, seed) for seed in all_seeds for fold in FOLDS for strategy in STRATEGIES]
    best = [best_run(fold, seed) for seed in all_seeds for fold in FOLDS]
    pieces = {seed: [piece_run(piece, seed) for piece in (PLAIN, *PIECES)] for seed in range(1, PIECE_SEEDS + 1)}
    first = [*(strategy_run(BASE, fold, 1) for fold in FOLDS), *pieces[1], *best]
    later = [run for seed in pieces if seed > 1 for run in pieces[seed]]
    return Study("esc50", FACTORS, dict([*first, *strategies, *later]), ESC50)


def strategy_run(strategy, fold, seed):
    """A planned run of a strategy as the paper has it, and its factors."""
    rule = "bag" if strategy == "gap" else "smi"
    factors = {"strategy": strategy, "augment": PLAIN, "fold": fold, "n_mels": STRATEGY_MELS}
    return _planned(STRATEGIES[strategy], seed, rule, f"folds/{PLAIN}", fold), factors


def piece_run(piece, seed):
    """A planned run of the base with one block of ``hparams/augment``, and its factors."""
    options = [f"--n_mels={PIECE_MELS}", *([] if piece == PLAIN else [f"--augment={piece}"])]
    factors = {"strategy": BASE, "augment": piece, "fold": CHOSEN_ON, "n_mels": PIECE_MELS}
    return _planned(STRATEGIES[BASE], seed, "smi", f"pieces/{piece}", CHOSEN_ON, *options), factors


def best_run(fold, seed):
    """A planned run of the best recipe, and its factors."""
    return _planned(BEST_EXPERIMENT, seed, "smi", "best", fold), {**BEST, "fold": fold}


def _planned(experiment, seed, rule, folder, fold, *options):
    variant = f"{folder}/fold-{fold}"
    return PlannedRun(RECIPE, experiment, seed, rule, variant, (f"--evaluate_fold={fold}", *options))
