"""Real recordings: strategies over the folds of ESC-50, and what each piece of the augmentation is worth."""

from mil_asc.paper.plan import PlannedRun, check_seeds
from mil_asc.results import markdown
from mil_asc.studies.comparisons import difference, mcnemar, outcomes_of
from mil_asc.studies.design import STRATEGIES, Study
from mil_asc.studies.measures import ESC50
from mil_asc.studies.pages import NAMES, machine_note
from mil_asc.studies.summaries import ACCURACIES, PERCENT, Column, differences_table, means_table

RECIPE = "ESC50"
FOLDS = (1, 2, 3, 4)
"""Official folds that are evaluated on; the fifth is left for others."""
CHOSEN_ON, BASE = 1, "gt"
"""The fold and the strategy on which pieces are compared; results of what was chosen come from the other folds."""
PIECES = (
    *("stretch", "mixup", "spec_augment", "random_gain", "impulse_responses"),
    *("time_roll", "freq_mixstyle", "random_crop", "ema", "all"),
)
PLAIN = "none"
PIECE_SEEDS = 3
STRATEGY_MELS, PIECE_MELS = 256, 64
"""Mel bins of the strategies, which are the paper's, and of the pieces: a quarter of the time."""
FACTORS = ("strategy", "augment", "fold", "n_mels")
UNCHANGED = {"augment": PLAIN, "n_mels": STRATEGY_MELS}
"""Factors of the strategies' rows."""
RULES = {"own": "own rule", "smi": "SMI", "cmi": "CMI"}
COLUMNS = (
    *ACCURACIES,
    Column("floor", "floor", **PERCENT),
    Column("TMI area", "tmi_auc"),
    Column("log loss", "log_loss"),
    Column("confidence", "confidence"),
    Column("positive instances", "positive_share", **PERCENT),
)


def esc50(seeds):
    """``Study`` of all strategies without augmentation, every fold evaluated on once, and of the pieces on one fold.

    ``seeds`` counts those of the strategies; the pieces have seeds 1 to ``PIECE_SEEDS``. What a choice of pieces needs
    is trained first: their base on every fold, and each of them once.
    """
    check_seeds(seeds)
    strategies = [
        (strategy, PLAIN, fold, STRATEGY_MELS, seed)
        for seed in range(1, seeds + 1)
        for fold in FOLDS
        for strategy in STRATEGIES
    ]
    pieces = [
        (BASE, piece, CHOSEN_ON, PIECE_MELS, seed) for seed in range(1, PIECE_SEEDS + 1) for piece in (PLAIN, *PIECES)
    ]
    first = [(BASE, PLAIN, fold, STRATEGY_MELS, 1) for fold in FOLDS] + [one for one in pieces if one[-1] == 1]
    runs = {}
    for planned in (*first, *strategies, *pieces):
        runs |= _planned(*planned)
    return Study("esc50", FACTORS, runs, ESC50)


def _planned(strategy, augment, fold, n_mels, seed):
    """One planned run and its factors."""
    options, folder = [f"--evaluate_fold={fold}"], f"folds/{augment}/fold-{fold}"
    if augment != PLAIN:
        options.append(f"--augment={augment}")
    if n_mels != STRATEGY_MELS:
        options.append(f"--n_mels={n_mels}")
        folder = f"mels-{n_mels}/{folder}"
    rule = "bag" if strategy == "gap" else "smi"
    run = PlannedRun(RECIPE, STRATEGIES[strategy], seed, rule, folder, tuple(options))
    return {run: {"strategy": strategy, "augment": augment, "fold": fold, "n_mels": n_mels}}


def esc50_page(rows):
    """Markdown of all tables of the study, from its rows."""
    folds = {
        (str(fold), NAMES[strategy]): {"fold": fold, "strategy": strategy, **UNCHANGED}
        for fold in FOLDS
        for strategy in STRATEGIES
    }
    common = {"fold": CHOSEN_ON, "strategy": BASE, "n_mels": PIECE_MELS}
    pieces = {(f"`{piece}`",): {**common, "augment": piece} for piece in (PLAIN, *PIECES)}
    pairs = {(f"`{piece}`",): (pieces[f"`{piece}`",], pieces[f"`{PLAIN}`",]) for piece in PIECES}
    parts = [
        "### Strategies, without augmentation: each fold",
        means_table(rows, folds, ["fold", "strategy"], COLUMNS),
        pooled_tables(rows),
        f"### Pieces of the augmentation: {NAMES[BASE]}, fold {CHOSEN_ON}, {PIECE_MELS} mel bins",
        means_table(rows, pieces, ["augment"], COLUMNS),
        "Differences to no augmentation, paired by seed:",
        differences_table(rows, pairs, ["augment"], ACCURACIES),
        machine_note(rows),
    ]
    return "\n\n".join(parts)


def pooled_tables(rows):
    """Accuracies of seed 1 over the folds of which all strategies have a row, and differences of two strategies over
    the folds that both have."""
    have = {fold: {row["strategy"] for row in rows if row["fold"] == str(fold) and _plain(row)} for fold in FOLDS}
    folds = [fold for fold, there in have.items() if there >= set(STRATEGIES)]
    parts = [
        "### Strategies, without augmentation: the clips of all folds that every strategy has",
        _accuracies(rows, folds) if folds else "No fold has a row of every strategy yet.",
        "### Differences, over the clips of all folds that both strategies have",
        _differences(rows, have),
    ]
    return "\n\n".join(parts)


def _accuracies(rows, folds):
    """Accuracy of every strategy over some folds, seed 1."""
    found = {(rule, strategy): _outcomes(rows, rule, folds, strategy) for rule in RULES for strategy in STRATEGIES}
    lines = []
    for (rule, strategy), one in found.items():
        low, high = one.interval
        text = f"{100 * one.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        lines.append([RULES[rule], NAMES[strategy], text])
    count = len(found["own", "no_il"].correct_B)
    text = f"Folds {_listed(folds)}, seed 1: {count} clips. 95 % intervals by a bootstrap over recordings."
    return f"{text}\n\n{markdown.table(['rule', 'strategy', 'accuracy'], lines)}"


def _differences(rows, have):
    """Every strategy against the bag loss alone, seed 1, on the clips of the folds that both have."""
    lines = []
    for rule, words in RULES.items():
        for strategy in STRATEGIES:
            folds = [fold for fold, there in have.items() if there >= {strategy, "no_il"}]
            if strategy == "no_il" or not folds:
                continue
            own, reference = (_outcomes(rows, rule, folds, name) for name in (strategy, "no_il"))
            first = [words, f"{NAMES[strategy]} − {NAMES['no_il']}", _listed(folds), len(own.correct_B)]
            lines.append([*first, *_compared(own, reference)])
    if not lines:
        return "No fold has a row of two strategies yet."
    table = markdown.table(["rule", "difference", "folds", "clips", "points", "p (McNemar)"], lines)
    return f"Seed 1. 95 % intervals by a bootstrap over recordings.\n\n{table}"


def _outcomes(rows, rule, folds, strategy):
    return outcomes_of(rows, rule, {"fold": folds}, strategy=strategy, seed=1, **UNCHANGED)


def _listed(folds):
    return ", ".join(map(str, folds))


def _plain(row):
    return row["seed"] == "1" and all(row[name] == str(value) for name, value in UNCHANGED.items())


def _compared(own, reference):
    mean, low, high = (100 * value for value in difference(own, reference))
    text = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text, f"{mcnemar(own.correct_B, reference.correct_B):.2g}"
