"""Figure 6: confidence of the true class with and without instance loss, and the share of positive instances."""

import numpy as np

from mil_asc.paper.figures.comparable import choose_extractor, of_strongest_instance, with_instance_loss
from mil_asc.paper.figures.experiments import Drawing
from mil_asc.paper.figures.panels import Panel, paint_bars
from mil_asc.results import plots
from mil_asc.results.markdown import mean_cell, table

ALL = "all clips"


def class_measures(run):
    """Means over all instances of the clips of each class, and of all clips.

    Returns
    -------
    list of dict or None
        One per class, and a last one for all clips: ``confidence`` of the clip's class and ``positive``, the share of
        instances whose most confident class it is (both 0 to 1); None for a class without clips.
    """
    confidence = [p_IC[:, c] for p_IC, c in zip(run.confidences, run.truth_B)]
    rows = []
    for chosen_B in [*(run.truth_B == c for c in range(len(run.labels))), run.truth_B >= 0]:
        clips = np.flatnonzero(chosen_B)
        measures = (
            {
                "confidence": float(np.concatenate([confidence[b] for b in clips]).mean()),
                "positive": float(np.concatenate([run.positives[b] for b in clips]).mean()),
            }
            if len(clips)
            else None
        )
        rows.append(measures)
    return rows


def draw(experiments, options):
    """Bars by class and experiment, and the numbers under them."""
    chosen, extractor = choose_extractor(experiments, options.extractor, with_instance_loss)
    experiments, left_out = of_strongest_instance(chosen)
    rows = [*experiments[0].first.labels, ALL]
    measured = {e.name: [class_measures(run) for run in e.runs] for e in experiments}
    panels = [
        Panel(title, {name: [_seeds(runs, row, key) for row in range(len(rows))] for name, runs in measured.items()})
        for key, title in (("confidence", "confidence of the true class"), ("positive", "share of positive instances"))
    ]
    return Drawing(
        "confidence of the true class, with and without instance loss",
        {"figure_6.svg": plots.svg(paint_bars, panels, rows, 2)},
        "Left: the confidence that instances have in the class of their clip, averaged over all instances of that "
        "class's clips. Right: the share of those instances whose most confident class is the clip's (positive "
        "instances). A model that classifies clips correctly while both stay low underestimates: few moments drive "
        "the decision. Lines on the bars and ± are the standard deviation over seeds. "
        f"{extractor}{_other_terms(experiments)}{left_out}\n\n" + "\n\n".join(_table(panel, rows) for panel in panels),
    )


def _seeds(runs, row, key):
    return [run[row][key] for run in runs if run[row] is not None]


def _table(panel, rows):
    body = [[row, *(mean_cell(values[i]) for values in panel.values.values())] for i, row in enumerate(rows)]
    return table([panel.title, *panel.values], body)


def _other_terms(experiments):
    """Names the experiments with a term beside the bag's that is not an instance loss."""
    other = [(e.name, [term for term in e.first.terms if term != "instance loss"]) for e in experiments]
    return "".join(f" {name} was trained with {' and '.join(terms)}." for name, terms in other if terms)
