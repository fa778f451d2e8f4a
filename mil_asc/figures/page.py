"""The page of figures: which are drawn, and the Markdown file that shows them."""

from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.figures import ambiguity, confidence, embedding, masks, threshold
from mil_asc.figures.layout import cell, table
from mil_asc.figures.runs import CannotDraw
from mil_asc.files import write_atomically

FIGURES = {6: confidence.draw, 7: masks.draw, 8: embedding.draw, 9: ambiguity.draw, 10: threshold.draw}
PAGE = "figures.md"


def draw_figures(experiments, options, numbers=None):
    """Draw the figures with these numbers, or every one that the runs allow.

    Returns
    -------
    (dict, dict)
        ``Drawing`` by number, and why a figure was left out by number.

    Raises
    ------
    UserError
        ``numbers`` names a figure that the runs do not allow, or something else is amiss.
    """
    drawings, left_out = {}, {}
    for number in numbers or FIGURES:
        try:
            drawings[number] = FIGURES[number](experiments, options)
        except CannotDraw as error:
            if numbers:
                raise UserError(f"figure {number} cannot be drawn: {error}") from error
            left_out[number] = str(error)
    return drawings, left_out


def write_page(folder, experiments, drawings, left_out):
    """Write the pictures and the page that shows them into ``folder``; returns the page's path."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for drawing in drawings.values():
            for name, text in drawing.pictures.items():
                write_atomically(folder / name, text)
        write_atomically(folder / PAGE, render(experiments, drawings, left_out))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; give another --to") from error
    return folder / PAGE


def render(experiments, drawings, left_out):
    """The page as Markdown."""
    first = experiments[0].first
    parts = [
        f"# Figures of the runs on {first.dataset}",
        f"Drawn as Figures 6 to 10 of the paper are, from the decisions on {len(first.paths)} evaluated clips. "
        "Accuracies are under SMI, or for models that pool otherwise, by their own pooling.",
        _runs(experiments),
    ]
    if any(run.report["run"].get("debug") for experiment in experiments for run in experiment.runs):
        parts.append("Some of these are debug runs: they show that the programs work, and nothing else.")
    for number, drawing in drawings.items():
        parts.append(f"## Figure {number}: {drawing.title}")
        parts += [f"![Figure {number}: {drawing.title}]({name})" for name in drawing.pictures]
        parts.append(drawing.text)
    parts += [f"Figure {number} is left out: {reason}." for number, reason in left_out.items()]
    return "\n\n".join(parts) + "\n"


def _runs(experiments):
    rows = []
    for experiment in experiments:
        runs, first = sorted(experiment.runs, key=lambda run: run.seed), experiment.first
        rows.append(
            [
                experiment.name,
                "yes" if first.instance_loss else "no",
                "softmax" if first.softmax else "sigmoid",
                ", ".join(str(run.seed) for run in runs),
                "/".join(str(n) for n in sorted({run.report["run"]["epochs"] for run in runs})),
                cell([100 * run.accuracy for run in runs], 1),
            ]
        )
    return table(["experiment", "instance loss", "confidence", "seeds", "epochs", "accuracy (%)"], rows)
