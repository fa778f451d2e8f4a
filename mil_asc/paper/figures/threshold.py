"""Figure 10: ROC curves under the threshold assumption."""

from mil_asc.paper.figures.comparable import choose_extractor
from mil_asc.paper.figures.experiments import Drawing
from mil_asc.paper.figures.panels import colour, turn
from mil_asc.results import plots
from mil_asc.results.intervals import mean_and_spread
from mil_asc.results.markdown import mean_cell, table
from mil_asc.results.tmi import mean_curve, roc, threshold_scores

SIDE, LEFT, GAP, TOP, BOTTOM, LINE = 180, 40, 40, 22, 40, 14
LINES = ("-", "--", ":")
AVERAGES = {"micro": "all classes' decisions together (micro)", "macro": "mean over the classes (macro)"}


def draw(experiments, options):
    """One curve per experiment of one extractor, micro and macro average, and the areas under them."""
    experiments, extractor = choose_extractor(experiments, options.extractor)
    curves = {
        e.name: [roc(run.truth_B, threshold_scores(run.predictions, options.tau)) for run in e.runs]
        for e in experiments
    }
    labels = experiments[0].first.labels
    areas = table(
        ["area under the curve", *curves],
        [[AVERAGES[average], *(mean_cell(_areas(runs, average)) for runs in curves.values())] for average in AVERAGES]
        + [
            [
                label,
                *(
                    mean_cell([run["per_class"][c] for run in runs if run["per_class"][c] is not None])
                    for runs in curves.values()
                ),
            ]
            for c, label in enumerate(labels)
        ],
    )
    return Drawing(
        f"ROC under the threshold assumption, tau = {options.tau:g}",
        {"figure_10.svg": plots.svg(paint, curves)},
        f"A class is present in a clip when at least theta of its instances have a confidence of {options.tau:g} or "
        "more; the curve is drawn by sweeping theta, each class against the rest. With several seeds the mean curve "
        "is shown; its straight end leads to theta = 0, where every class is present in every clip. An area of 0.5 is "
        f"chance, 1 is perfect. {extractor}\n\n" + areas,
    )


def paint(figure, curves):
    """Micro and macro average side by side; ``curves`` maps an experiment to what ``roc`` gives for each seed."""
    from matplotlib.lines import Line2D

    below = BOTTOM + LINE * -(-len(curves) // 2)
    height = TOP + SIDE + below
    figure.set_size_inches(plots.WIDTH / 72, height / 72)
    for k, average in enumerate(AVERAGES):
        place = (LEFT + k * (SIDE + GAP)) / plots.WIDTH, below / height, SIDE / plots.WIDTH, SIDE / height
        axes = figure.add_axes(place)
        axes.plot([0, 1], [0, 1], color=plots.PALE, linewidth=0.8, linestyle="--")
        for i, runs in enumerate(curves.values()):
            found = [(run[average]["fpr"], run[average]["tpr"]) for run in runs if run[average]]
            if found:
                axes.plot(*mean_curve(found), color=colour(i), linestyle=LINES[turn(i)], linewidth=1.2)
        axes.set_xlim(-0.01, 1)
        axes.set_ylim(0, 1.01)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.grid(color=plots.FAINT, linewidth=0.6)
        axes.set_title(AVERAGES[average], fontsize=9, loc="left", pad=4)
        axes.set_xlabel("false positive rate", labelpad=2)
        if k == 0:
            axes.set_ylabel("true positive rate", labelpad=2)
    handles = [
        Line2D([], [], color=colour(i), linestyle=LINES[turn(i)], label=_named_areas(name, runs))
        for i, (name, runs) in enumerate(curves.items())
    ]
    figure.legend(handles=handles, loc="lower center", ncols=2, borderpad=0.2, handlelength=1.2)


def _named_areas(name, runs):
    means = {average: mean_and_spread(_areas(runs, average)) for average in AVERAGES}
    return f"{name}: " + ", ".join(f"{average} {found[0]:.3f}" for average, found in means.items() if found)


def _areas(runs, average):
    return [run[average]["auc"] for run in runs if run[average]]
