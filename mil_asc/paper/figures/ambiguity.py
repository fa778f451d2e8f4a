"""Figure 9: mean bag confidence of every class for clips of one class, cross entropy beside binary cross entropy."""

from mil_asc.paper.figures.comparable import choose_extractor, of_strongest_instance, with_cross_entropy
from mil_asc.paper.figures.experiments import Drawing
from mil_asc.paper.figures.panels import Panel, paint_bars
from mil_asc.paper.figures.shown_classes import choose_scenes
from mil_asc.results import plots
from mil_asc.results.markdown import mean_cell, table


def mean_bag_confidence(run, label):
    """(C,) bag confidence under SMI, max_i p_ic, averaged over the clips of one class; 0 to 1."""
    return run.bag_confidences_BC[run.truth_B == run.labels.index(label)].mean(0)


def draw(experiments, options):
    """One panel per chosen class, with one bar per class and experiment."""
    chosen, extractor = choose_extractor(experiments, options.extractor, with_cross_entropy)
    experiments, left_out = of_strongest_instance(chosen)
    first = experiments[0].first
    labels = first.labels
    scenes = choose_scenes(options.scenes, labels, first.truth_B)
    panels = [_panel(experiments, scene, labels) for scene in scenes]
    tables = [
        table(
            [f"clips of {scene}", *panel.values],
            [[label, *(mean_cell(values[c]) for values in panel.values.values())] for c, label in enumerate(labels)],
        )
        for scene, panel in zip(scenes, panels)
    ]
    return Drawing(
        "bag confidence of every class for clips of one class",
        {"figure_9.svg": plots.svg(paint_bars, panels, labels)},
        "For the clips of one class (shaded): the bag confidence of each class, which is that of its most confident "
        "instance, averaged over the clips. Binary cross entropy treats each class on its own, so that a clip may have "
        "a high confidence in several classes: those it could be confused with. Under cross entropy the classes "
        "compete within each instance, yet different instances may favour different classes: these bars need not "
        f"sum to 1 either. {extractor}{left_out}\n\n" + "\n\n".join(tables),
    )


def _panel(experiments, scene, labels):
    means = {e.name: [mean_bag_confidence(run, scene).tolist() for run in e.runs] for e in experiments}
    values = {name: [list(seeds) for seeds in zip(*runs)] for name, runs in means.items()}
    return Panel(scene, values, marked=labels.index(scene))
