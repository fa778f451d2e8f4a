"""The picture of the study on real recordings."""

from mil_asc.results import plots
from mil_asc.studies.pages import NAMES
from mil_asc.studies.real_recordings import BASE, BEST, CHOSEN_ON, FOLDS, PIECES, PLAIN, UNCHANGED
from mil_asc.studies.study_pictures import COLOURS, MARKERS, intervals
from mil_asc.studies.summaries import by_seed

BEST_COLOUR = "#cc79a7"


def paint_esc50(figure, rows):
    """Accuracies by the own rule: of the strategies and the best recipe on every fold, and of the pieces of the
    augmentation on one fold, with every seed as a dot."""
    figure.set_size_inches(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    _paint_folds(left, rows)
    _paint_pieces(right, rows)
    handles, words = left.get_legend_handles_labels()
    figure.legend(handles, words, loc="upper center", ncols=5, fontsize=8)
    figure.subplots_adjust(left=0.06, right=0.985, bottom=0.13, top=0.82, wspace=0.42)


def _paint_folds(axes, rows):
    systems = {NAMES[name]: ({"strategy": name, **UNCHANGED}, COLOURS[name], MARKERS[name]) for name in COLOURS}
    systems["fuse_best"] = (BEST, BEST_COLOUR, "*")
    for number, (name, (factors, colour, marker)) in enumerate(systems.items()):
        points = [(fold + 0.1 * (number - 2), by_seed(rows, "accuracy", fold=fold, **factors)) for fold in FOLDS]
        x, means, half = intervals(points)
        if x:
            size = 10 if marker == "*" else 5
            style = {"color": colour, "marker": marker, "markersize": size, "linestyle": "none", "capsize": 2}
            axes.errorbar(x, [100 * mean for mean in means], yerr=[100 * one for one in half], label=name, **style)
    axes.set_xticks(FOLDS)
    axes.set_xlabel(f"fold that is evaluated on (chosen on: {CHOSEN_ON})")
    axes.set_title("accuracy, own rule, %", fontsize=10)
    axes.grid(color=plots.FAINT, linewidth=0.6)


def _paint_pieces(axes, rows):
    names = [PLAIN, *PIECES][::-1]
    common = {**BASE, "fold": CHOSEN_ON}
    for y, name in enumerate(names):
        values = [100 * value for value in by_seed(rows, "accuracy", augment=name, **common).values()]
        axes.plot(values, [y] * len(values), "o", color=plots.FAINT, markersize=4, markeredgecolor=plots.OTHER)
        if values:
            axes.plot([sum(values) / len(values)], [y], "|", color=BEST_COLOUR, markersize=12, markeredgewidth=2)
    plain = by_seed(rows, "accuracy", augment=PLAIN, **common).values()
    if plain:
        axes.axvline(100 * sum(plain) / len(plain), color=plots.OTHER, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_title(f"pieces of the augmentation, fold {CHOSEN_ON}: own rule, %", fontsize=10)
    axes.grid(color=plots.FAINT, linewidth=0.6)
