"""The generated part of the page on real recordings."""

from mil_asc.results import markdown
from mil_asc.results.paired import difference, mcnemar
from mil_asc.studies.comparisons import outcomes_of
from mil_asc.studies.design import STRATEGIES
from mil_asc.studies.pages import NAMES, machine_note
from mil_asc.studies.real_recordings import (
    BASE,
    BEST,
    CHOSEN_ON,
    FEWER_MELS,
    FOLDS,
    HELD_OUT,
    LONG_BASE,
    PIECES,
    PLAIN,
    PLAIN_STRATEGY,
    UNCHANGED,
)
from mil_asc.studies.summaries import (
    ACCURACIES,
    PERCENT,
    Column,
    by_seed,
    difference_cell,
    differences_table,
    means_table,
)

PLAIN_RECIPE = {"strategy": PLAIN_STRATEGY, **UNCHANGED}
STEPS = {
    "`fuse_gt`: 256 mel bins, binary cross entropy, maximum": PLAIN_RECIPE,
    "64 mel bins": FEWER_MELS,
    "cross entropy and geometric mean (`fuse_gt_ce`)": {**BASE, "augment": PLAIN},
    "100 epochs": LONG_BASE,
    "augmentation (`fuse_best`)": BEST,
}
"""From the plain recipe to the best one, each with what is above it."""
INTERVALS = "Seed 1. 95 % intervals by a bootstrap over recordings."
RULES = {"own": "own rule", "smi": "SMI", "cmi": "CMI"}
COLUMNS = (
    *ACCURACIES,
    Column("floor", "floor", **PERCENT),
    Column("TMI area", "tmi_auc"),
    Column("log loss", "log_loss"),
    Column("confidence", "confidence"),
    Column("positive instances", "positive_share", **PERCENT),
)


def esc50_page(rows):
    """Markdown of all tables of the study, from its rows."""
    folds = {
        (str(fold), NAMES[strategy]): {"fold": fold, "strategy": strategy, **UNCHANGED}
        for fold in FOLDS
        for strategy in STRATEGIES
    }
    parts = [
        "### The best recipe",
        best_tables(rows),
        f"### What pays: fold {CHOSEN_ON}",
        piece_tables(rows),
        "### Strategies, without augmentation: each fold",
        means_table(rows, folds, ["fold", "strategy"], COLUMNS),
        pooled_tables(rows),
        "Fold by fold, in points; intervals by Student's t over the folds, each of which has other clips and another "
        "training. Their training sets overlap, so these intervals are too narrow:",
        differences_by_fold(rows),
        machine_note(rows),
    ]
    return "\n\n".join(parts)


def piece_tables(rows):
    """The steps from the plain recipe to the best one, and every piece of the augmentation alone, on one fold."""
    steps = [(words, {**factors, "fold": CHOSEN_ON}) for words, factors in STEPS.items()]
    pieces = {f"`{piece}`": {**BASE, "augment": piece, "fold": CHOSEN_ON} for piece in (PLAIN, *PIECES)}
    plain = pieces.pop(f"`{PLAIN}`")
    to_previous = {(words,): (own, before) for (words, own), (_, before) in zip(steps[1:], steps)}
    to_base = {(words,): (own, plain) for words, own in pieces.items()}
    parts = [
        means_table(rows, {(words,): factors for words, factors in steps}, ["step"], COLUMNS),
        *_differences_of_seeds(rows, to_previous, "step", "the step before"),
        "Pieces of the augmentation with `fuse_gt_ce`: each alone; `combined`, the six pieces above it together, as "
        "`fuse_best` has them; and `all`, everything at once:",
        means_table(rows, {(f"`{PLAIN}`",): plain, **{(w,): own for w, own in pieces.items()}}, ["augment"], COLUMNS),
        *_differences_of_seeds(rows, to_base, "augment", "no augmentation"),
    ]
    return "\n\n".join(parts)


def _differences_of_seeds(rows, pairs, heading, to):
    """Differences of means over seeds: what they say of other trainings, and of other recordings."""
    lines = []
    for words, sides in pairs.items():
        seeds = set.intersection(*(set(by_seed(rows, "accuracy", **factors)) for factors in sides))
        shared = [row for row in rows if int(row["seed"]) in seeds]
        lines.append([*words, len(seeds), *(_over_recordings(shared, rule, sides) for rule in RULES)])
    return [
        f"Differences to {to}, paired by seed; intervals by Student's t over the seeds:",
        differences_table(rows, pairs, [heading], ACCURACIES),
        "The same differences; intervals by a bootstrap over recordings:",
        markdown.table([heading, "pairs", *RULES.values()], lines),
    ]


def _over_recordings(rows, rule, sides):
    outcomes = [outcomes_of(rows, rule, {"fold": [CHOSEN_ON]}, **factors) for factors in sides]
    return "–" if None in outcomes else _difference_cell(*outcomes)


def best_tables(rows):
    """The best recipe and the plain one on every fold, and their differences on those that nothing was chosen on."""
    systems = {"`fuse_best`": BEST, f"{NAMES[PLAIN_STRATEGY]}, plain": PLAIN_RECIPE}
    folds = {(str(fold), words): {"fold": fold, **factors} for fold in FOLDS for words, factors in systems.items()}
    have = [fold for fold in HELD_OUT if all(_first(rows, fold=fold, **one) for one in (BEST, PLAIN_RECIPE))]
    lines = []
    for rule in RULES if have else ():
        own, plain = (outcomes_of(rows, rule, {"fold": have}, seed=1, **one) for one in (BEST, PLAIN_RECIPE))
        cells = [RULES[rule], _listed(have), len(own.correct_B), _with_interval(own), _with_interval(plain)]
        lines.append([*cells, *_compared(own, plain)])
    headings = ["rule", "folds", "clips", "`fuse_best`", "plain", "difference", "p (McNemar)"]
    return "\n\n".join(
        [
            f"The recipe was chosen on fold {CHOSEN_ON} alone, and nothing on the others.",
            means_table(rows, folds, ["fold", "recipe"], COLUMNS),
            *([INTERVALS, markdown.table(headings, lines)] if lines else ["No other fold has rows to compare yet."]),
        ]
    )


def pooled_tables(rows):
    """Accuracies of seed 1 over the folds of which all strategies have a row, and differences of two strategies over
    the folds that both have."""
    have = {fold: {row["strategy"] for row in _first(rows, fold=fold, **UNCHANGED)} for fold in FOLDS}
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
    lines = [[RULES[rule], NAMES[strategy], _with_interval(one)] for (rule, strategy), one in found.items()]
    text = f"Folds {_listed(folds)}: {len(found['own', 'no_il'].correct_B)} clips. {INTERVALS}"
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
    return f"{INTERVALS}\n\n{table}"


def differences_by_fold(rows):
    """Every strategy against the bag loss alone, seed 1: on every fold, and their mean."""
    lines = []
    for column in ACCURACIES:
        plain = _by_fold(rows, column, "no_il")
        for strategy in STRATEGIES:
            if strategy != "no_il":
                own = _by_fold(rows, column, strategy)
                single = [difference_cell({f: own[f]} if f in own else {}, plain, column) for f in FOLDS]
                words = f"{NAMES[strategy]} − {NAMES['no_il']}"
                lines.append([column.heading, words, *single, difference_cell(own, plain, column)])
    return markdown.table(["rule", "difference", *(f"fold {fold}" for fold in FOLDS), "mean"], lines)


def _by_fold(rows, column, strategy):
    """Fold -> value of seed 1."""
    found = _first(rows, strategy=strategy, **UNCHANGED)
    return {int(row["fold"]): float(row[column.name]) for row in found}


def _outcomes(rows, rule, folds, strategy):
    return outcomes_of(rows, rule, {"fold": folds}, strategy=strategy, seed=1, **UNCHANGED)


def _listed(folds):
    return ", ".join(map(str, folds))


def _first(rows, **factors):
    """The rows of seed 1 with these factors."""
    return [row for row in rows if row["seed"] == "1" and all(row[k] == str(v) for k, v in factors.items())]


def _with_interval(outcomes):
    low, high = outcomes.interval
    return f"{100 * outcomes.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _compared(own, reference):
    return _difference_cell(own, reference), f"{mcnemar(own.correct_B, reference.correct_B):.2g}"


def _difference_cell(own, reference):
    mean, low, high = (100 * value for value in difference(own, reference))
    text = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text
