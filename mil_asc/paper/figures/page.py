"""The page of figures: which are drawn, and the Markdown file that shows them."""

from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.paper.figures import ambiguity, confidence, embedding, masks, threshold
from mil_asc.paper.figures.comparable import by_extractor
from mil_asc.paper.figures.experiments import CannotDraw
from mil_asc.paper.report_lines import about_floor, floor_line
from mil_asc.results.markdown import mean_cell, table
from mil_asc.runtime.files import write_atomically

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
        ``numbers`` names a figure that the runs do not allow, or a run cannot be read.
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


def write_page(folder, experiments, drawings, left_out, debug=()):
    """Write the pictures and the page that shows them into ``folder``; returns the page's path.

    ``debug`` are debug runs, which were left out.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for drawing in drawings.values():
            for name, text in drawing.pictures.items():
                write_atomically(folder / name, text)
        write_atomically(folder / PAGE, render(experiments, drawings, left_out, debug))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; give another --to") from error
    return folder / PAGE


def render(experiments, drawings, left_out, debug=()):
    """The page as Markdown."""
    first = experiments[0].first
    parts = [
        f"# Figures of the runs on {first.dataset}",
        f"Figures 6 to 10 of the paper, from the decisions on an evaluation set of {len(first.paths)} clips. "
        "Accuracies are under SMI, or under the model's own pooling where that is not the maximum.",
        _runs(experiments),
    ]
    warnings = _warnings(experiments)
    if warnings:
        parts.append("Warnings of these runs:\n\n" + "\n".join(warnings))
    if debug:
        names = ", ".join(f"{run.folder.parent.name}/{run.folder.name}" for run in debug)
        parts.append(f"Debug runs are left out: {names}.")
    for number, drawing in drawings.items():
        parts.append(f"## Figure {number}: {drawing.title}")
        parts += [f"![Figure {number}: {drawing.title}]({name})" for name in drawing.pictures]
        parts.append(drawing.text)
    parts += [f"Figure {number} is left out: {reason}." for number, reason in left_out.items()]
    return "\n\n".join(parts) + "\n"


def _warnings(experiments):
    """One line of Markdown per warning, with the runs that gave it; those about floors are one."""
    givers, reports = {}, [run.report for experiment in experiments for run in experiment.runs]
    for experiment in experiments:
        for run in experiment.runs:
            own = about_floor(run.report)
            for warning in (text for text in run.report["warnings"] if text != own):
                givers.setdefault(" ".join(warning.split()), []).append(f"{run.experiment} seed {run.seed}")
    lines = [f"- {warning} ({', '.join(names)})" for warning, names in givers.items()]
    return lines + [f"- {line}" for line in floor_line(reports)]


def _runs(experiments):
    rows = []
    extractors = {e.name: name for name, members in by_extractor(experiments).items() for e in members}
    for experiment in experiments:
        runs, first = sorted(experiment.runs, key=lambda run: run.seed), experiment.first
        rows.append(
            [
                experiment.name,
                extractors[experiment.name],
                " and ".join(first.terms) or "-",
                "softmax" if first.softmax else "sigmoid",
                ", ".join(str(run.seed) for run in runs),
                "/".join(str(n) for n in sorted({run.provenance["epochs"] for run in runs})),
                mean_cell([100 * run.accuracy() for run in runs], 1),
            ]
        )
    return table(
        ["experiment", "extractor", "beside the bag's loss", "confidence", "seeds", "epochs", "accuracy (%)"], rows
    )
