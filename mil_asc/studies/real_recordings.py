"""Real recordings: strategies over the folds of ESC-50, what each piece of the augmentation is worth, and the best
recipe."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.studies.design import STRATEGIES, Study
from mil_asc.studies.measures import ESC50

RECIPE = "ESC50"
FOLDS = (1, 2, 3, 4)
"""Official folds that are evaluated on; the fifth is left for others."""
CHOSEN_ON = 1
"""The fold on which everything is chosen; results of what was chosen come from the others."""
HELD_OUT = tuple(fold for fold in FOLDS if fold != CHOSEN_ON)
PLAIN = "none"
PIECES_OF_BEST = ("stretch", "mixup", "spec_augment", "random_gain", "impulse_responses", "time_roll")
TOGETHER = "combined"
"""The augmentation of the best recipe: these pieces, with less gain and fewer impulse responses than alone."""
EVERYTHING = "all"
"""Every piece there is, each as strong as alone."""
PIECES = (*PIECES_OF_BEST, TOGETHER, EVERYTHING)
PIECE_SEEDS = 3
PLAIN_STRATEGY = "gt"
"""The one that the best recipe is compared with."""
UNCHANGED = {"augment": PLAIN, "n_mels": 256}
"""Factors of the strategies' rows: as the paper has them."""
FEWER_MELS = {"strategy": PLAIN_STRATEGY, "augment": PLAIN, "n_mels": 64}
"""The first step from the plain recipe: a quarter of the mel bins."""
BASE, BASE_EXPERIMENT = {"strategy": "gt_ce", "n_mels": 64}, "fuse_gt_ce"
"""The second step, cross entropy, which is the base of the pieces, and its experiment."""
LONG_BASE = {**BASE, "strategy": "gt_ce_long", "augment": PLAIN}
LONG_EPOCHS = ("--number_of_epochs=100", "--warmup_epochs=5")
"""The third step: the epochs of the best recipe, which then differs in the augmentation alone."""
BEST, BEST_EXPERIMENT = {"strategy": "best", "augment": "own", "n_mels": 64}, "fuse_best"
"""Factors of the best recipe's rows, whose file sets them, and its experiment."""
FACTORS = ("strategy", "augment", "fold", "n_mels")
PRECISION = "--precision=bf16"
"""Of every run, whatever its processor computes natively: the rows come from several machines."""


def esc50(seeds):
    """``Study`` of all strategies without augmentation, every fold evaluated on once, of the pieces and of the steps to
    the best recipe on one fold, and of the best recipe on every fold.

    ``seeds`` counts the trainings of each, but those of the ablation, the pieces that the best recipe has, have seeds 1
    to ``PIECE_SEEDS``. Trained first: what the best recipe is compared with, the ablation, and the strategies.
    """
    check_seeds(seeds)
    all_seeds = range(1, seeds + 1)
    strategies = [strategy_run(name, fold, seed) for seed in all_seeds for fold in FOLDS for name in STRATEGIES]
    best = [best_run(fold, seed) for seed in all_seeds for fold in FOLDS]
    piece_seeds = range(1, PIECE_SEEDS + 1)
    ablation = [piece_run(piece, seed) for seed in piece_seeds for piece in (PLAIN, *PIECES_OF_BEST, TOGETHER)]
    first = [*(strategy_run(PLAIN_STRATEGY, fold, 1) for fold in FOLDS), *ablation, *strategies, *best]
    on_one_fold = [run(seed) for seed in all_seeds for run in (long_run, fewer_mels_run, everything_run)]
    return Study("esc50", FACTORS, dict([*first, *on_one_fold]), ESC50)


def strategy_run(strategy, fold, seed):
    """A planned run of a strategy as the paper has it, and its factors."""
    rule = "bag" if strategy == "gap" else "smi"
    factors = {"strategy": strategy, "fold": fold, **UNCHANGED}
    return _planned(STRATEGIES[strategy], seed, rule, f"folds/{PLAIN}", fold), factors


def fewer_mels_run(seed):
    """A planned run of the plain recipe with fewer mel bins, and its factors."""
    mels = FEWER_MELS["n_mels"]
    run = _planned(STRATEGIES[PLAIN_STRATEGY], seed, "smi", f"mels-{mels}", CHOSEN_ON, f"--n_mels={mels}")
    return run, {**FEWER_MELS, "fold": CHOSEN_ON}


def piece_run(piece, seed):
    """A planned run of the base with one block of ``hparams/augment``, and its factors."""
    options = [] if piece == PLAIN else [f"--augment={piece}"]
    run = _planned(BASE_EXPERIMENT, seed, "bag", f"pieces/{piece}", CHOSEN_ON, *options)
    return run, {**BASE, "augment": piece, "fold": CHOSEN_ON}


def everything_run(seed):
    """``piece_run`` of every piece at once."""
    return piece_run(EVERYTHING, seed)


def best_run(fold, seed):
    """A planned run of the best recipe, and its factors."""
    return _planned(BEST_EXPERIMENT, seed, "bag", "best", fold), {**BEST, "fold": fold}


def long_run(seed):
    """A planned run of the best recipe without its augmentation, and its factors."""
    run = _planned(BASE_EXPERIMENT, seed, "bag", "long", CHOSEN_ON, *LONG_EPOCHS)
    return run, {**LONG_BASE, "fold": CHOSEN_ON}


def _planned(experiment, seed, rule, folder, fold, *options):
    variant = f"{folder}/fold-{fold}"
    return PlannedRun(RECIPE, experiment, seed, rule, variant, (f"--evaluate_fold={fold}", PRECISION, *options))
