"""The paper's tables with our results beside the paper's; ``mil_asc.paper.render`` writes them.

Accuracies are in percent, differences in percentage points. Numbers of the paper appear in the paper's columns
only; ours come from the ``report.json`` of finished runs.
"""

import shlex
from dataclasses import dataclass, field, replace

from mil_asc.paper.over_seeds import accuracies_of, best_seed, mean_text, next_run, parameters_text, seeds_of
from mil_asc.paper.picture import paint_systems, systems_of
from mil_asc.paper.report_lines import notes_of, warnings_of
from mil_asc.paper.rows import TITLES, read_published
from mil_asc.paper.systems import system_cells
from mil_asc.results.intervals import paired_interval, student_interval
from mil_asc.results.plots import svg

PAPER_EPOCHS = 100
COLUMNS = ("strategy", "extractor", "instance label", "objective", "assumption", "parameters")
MEANS = "The paper gives means over 5 seeds. Its main tables are under SMI; Tables 8 and 9 are the best seed under CMI."
BESTS = "The paper gives its best seed under CMI here, where its main tables are means over 5 seeds under SMI."
ERRATA = {
    9: [
        "The paper pairs its baseline's 54.1 % (an OpenL3 system of 2020) with the 45K parameters of a later baseline "
        "that scored 47.7 %."
    ],
}
"""Errors in the paper's numbers by table, beyond the notes of its rows."""
SET_ERRATA = {"TAU2020m": ["The paper's 23,040 segments of this set are 23,035 files."]}
"""Errors in the paper's numbers by data set."""


@dataclass(frozen=True)
class Line:
    """A row of a table as text; ``marks`` are letters of footnotes; ``command`` trains it where no run is finished."""

    cells: tuple
    paper: str | None
    ours: str
    best: str
    difference: str
    marks: str = ""
    command: str | None = None


@dataclass(frozen=True)
class Table:
    """A table of the paper for one data set, ready to be written.

    ``warnings`` go above the table, ``schedule`` and ``notes`` below; ``published`` are rows of text on systems
    that the paper compares with, under ``systems.HEADER``; ``picture`` is SVG text or None; ``finished`` counts the
    runs behind it.
    """

    number: int
    recipe: str
    with_paper: bool
    against: str
    lines: list
    schedule: str
    warnings: list
    notes: list
    footnotes: dict
    published: list
    finished: int
    picture: str | None = field(default=None, repr=False)

    @property
    def title(self):
        """Heading of the table."""
        return f"Table {self.number}, {self.recipe}: {TITLES[self.number]}"

    @property
    def header(self):
        """Names of the columns."""
        paper = ["paper"] if self.with_paper else []
        return [*COLUMNS, *paper, "ours (mean ± sd)", "our best seed", self.against]


def build_table(number, rows, missing, results, place, seeds):
    """A table of one data set.

    Arguments
    ---------
    number : int
        Of the table in the paper.
    rows : list of Row
        The rows of one recipe.
    missing : list of Row
        The rows without a YAML file.
    results : dict
        Planned run -> ``mil_asc.results.run.Run`` of finished runs; there may be others than these rows'.
    place : Place
        Gives the commands of runs that are not finished yet.
    seeds : int
        Seeds 1 to ``seeds`` count.

    Returns
    -------
    Table
    """
    recipe, with_paper = rows[0].recipe, rows[0].paper is not None
    found = {row: seeds_of(row.recipe, row.experiment, results, seeds) for row in rows}
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    letters = {note: chr(ord("a") + i) for i, note in enumerate(notes)}
    place = replace(place, data={})  # commands name no folder of this machine
    lines = [_line(row, found, rows, row in missing, letters.get(row.note, ""), place, seeds) for row in rows]
    runs = {(row.experiment, seed): result for row in rows for seed, result in found[row].items()}
    return Table(
        number,
        recipe,
        with_paper,
        _against(rows, with_paper),
        lines,
        _schedule(runs),
        _warnings(runs, with_paper) + _without_accuracy(found),
        _notes(number, recipe, with_paper, rows, runs),
        {letter: note for note, letter in letters.items()},
        system_cells(read_published(number, recipe), results, place, seeds),
        len(runs),
        _picture(rows, found),
    )


def _picture(rows, found):
    """The picture of Table 8 or 9 as SVG text; None for other tables and other data sets."""
    if not read_published(rows[0].table, rows[0].recipe):
        return None
    best = {}
    for row in rows:
        accuracies = accuracies_of(found[row], row.rule)
        if accuracies:
            seed, accuracy = best_seed(accuracies)
            best[row] = seed, accuracy, found[row][seed].provenance["parameters"]
    return svg(paint_systems, systems_of(rows, best))


def reference_row(row, rows):
    """The row that ``row`` is compared with where the paper has no number for it.

    Of the rows with the same extractor (of all rows where no other has it), the first under MIL without instance
    loss, or the first where none is.
    """
    same = [other for other in rows if (other.extractor, other.mel_bins) == (row.extractor, row.mel_bins)]
    among = same if len(same) > 1 else rows
    return next((other for other in among if (other.strategy, other.instance_label) == ("mil", "none")), among[0])


def _line(row, found, rows, no_file, letter, place, seeds):
    accuracies = accuracies_of(found[row], row.rule)
    digits = 1 if row.paper is None else 2
    cells = (*row.words, _parameters(row, found[row].values()))
    paper = None if row.paper is None else f"{row.paper:.{2 if row.statistic != 'best_seed' else 1}f}"
    if no_file:
        return Line(cells, paper, f"no recipe file ({row.experiment}.yaml)", "–", "–", letter)
    if not accuracies:
        run = next_run(row.recipe, row.experiment, found[row], seeds)
        command = shlex.join(["python", *place.command(run)])
        return Line(cells, paper, "no run yet", "–", "–", letter, command)
    seed, best = best_seed(accuracies)
    difference = _difference(row, accuracies, found, rows, best)
    ours, best_text = mean_text(accuracies, seeds, digits), f"{best:.{digits}f} (seed {seed})"
    return Line(cells, paper, ours, best_text, difference, letter)


def _parameters(row, results):
    ours = parameters_text(results)
    return f"{ours} (paper {row.params})" if row.params else ours


def _difference(row, accuracies, found, rows, best):
    if row.paper is not None:
        if row.statistic == "best_seed":
            return f"{_signed(best - row.paper, 1)} (best to best)"
        return _interval(student_interval([accuracy - row.paper for accuracy in accuracies.values()]), 2)
    reference = reference_row(row, rows)
    if reference == row:
        return "reference"
    interval = paired_interval(accuracies, accuracies_of(found[reference], reference.rule))
    return "–" if interval is None else _interval(interval, 1)


def _interval(interval, digits):
    low, high = interval.low, interval.high
    spread = "(one seed: no interval)" if low is None else f"[{_signed(low, digits)}, {_signed(high, digits)}]"
    return f"{_signed(interval.mean, digits)} {spread}"


def _signed(value, digits):
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def _against(rows, with_paper):
    if with_paper:
        return "ours − paper" + (" [95 %]" if rows[0].statistic != "best_seed" else "")
    return f"difference to {_reference_words(rows)} [95 %]"


def _reference_words(rows):
    """Strategy, objective and assumption of the rows that the others are compared with."""
    words = [reference_row(row, rows).words for row in rows]
    return " or ".join(dict.fromkeys(f"{strategy}, {objective}, {rule}" for strategy, _, _, objective, rule in words))


# -- text around a table


def _schedule(runs):
    """How the runs of a table were trained, with every value that occurs; empty without runs."""
    if not runs:
        return ""

    def setting(name):
        return _distinct(run.setting(name) for run in runs.values())

    def fact(name):
        return _distinct(run.provenance[name] for run in runs.values())

    seeds = ", ".join(str(seed) for seed in sorted({seed for _, seed in runs}))
    clips = _distinct(run.report["evaluation"]["clips"] for run in runs.values())
    torch = _distinct(run.provenance["versions"]["torch"] for run in runs.values())
    return (
        f"Runs: {len(runs)}; epochs {fact('epochs')}, batch {setting('batch_size')}, "
        f"learning rate {setting('learning_rate')}; mel bins {setting('n_mels')}, hop {setting('hop_ms')} ms; "
        f"seeds {seeds}; trained on {fact('train_clips')} clips, evaluated on {clips}; "
        f"{fact('device')} ({fact('precision')}); torch {torch}."
    )


def _distinct(values):
    return " / ".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))


def _groups(runs, value):
    """Value -> names of the experiments whose runs have it; a run for which it is None does not count."""
    groups = {}
    for (experiment, _), run in runs.items():
        found = value(experiment, run)
        if found is not None:
            groups.setdefault(found, set()).add(experiment)
    return {found: ", ".join(sorted(names)) for found, names in sorted(groups.items())}


ALIKE = {
    "epochs": lambda _, run: run.provenance["epochs"],
    "training clips": lambda _, run: run.provenance["train_clips"],
    "batch": lambda _, run: run.setting("batch_size"),
    "learning rate": lambda _, run: run.setting("learning_rate"),
    "hop in ms": lambda _, run: run.setting("hop_ms"),
    "mel bins": lambda name, run: None if "_40mel" in name else run.setting("n_mels"),
    "clips of the evaluation set": lambda _, run: run.report["evaluation"]["clips"],
}
"""What the runs of a table must have in common for their rows to be compared."""


def _warnings(runs, with_paper):
    lines = []
    for name, value in ALIKE.items():
        groups = _groups(runs, value)
        if len(groups) > 1:
            some = "; ".join(f"{found:g}: {names}" for found, names in groups.items())
            lines.append(f"The runs of this table differ in {name}, and must not be compared across that ({some}).")
    epochs = _groups(runs, ALIKE["epochs"])
    if with_paper and epochs and set(epochs) != {PAPER_EPOCHS}:
        other = ", ".join(str(count) for count in epochs if count != PAPER_EPOCHS)
        lines.append(
            f"This table has runs of {other} epochs; the paper trained for {PAPER_EPOCHS}. "
            "Such results do not reproduce the paper's."
        )
    if with_paper:
        lines += dict.fromkeys(filter(None, map(_partial, runs.values())))
    return lines + warnings_of([run.report for run in runs.values()])


def _partial(run):
    """A warning on a run that was not evaluated on the complete official list; None where it was, or has none."""
    clips, official = run.report["evaluation"]["clips"], run.official_clips("evaluate")
    if official in (None, clips):
        return None
    return f"A run was evaluated on {clips} of the official {official} clips, not on the paper's evaluation set."


def _without_accuracy(found):
    return [
        f"Some runs of {row.experiment} were not evaluated under {row.assumption.upper()}: move their folders away and "
        f"train again with python train.py hparams/{row.experiment}.yaml --seed=N."
        for row, results in found.items()
        if len(accuracies_of(results, row.rule)) < len(results)
    ]


def _notes(number, recipe, with_paper, rows, runs):
    notes = [
        "Accuracy in percent; sd: sample standard deviation over our seeds. Every run is scored after its last epoch."
    ]
    if with_paper:
        best = rows[0].statistic == "best_seed"
        notes.append(BESTS if best else MEANS)
        if not best:
            notes.append(
                "Brackets: 95 % interval by Student's t over our seeds. The paper prints no spread of its own."
            )
        notes += ERRATA.get(number, []) + SET_ERRATA.get(recipe, [])
    else:
        notes.append(
            f"Differences are taken seed by seed to {_reference_words(rows)}, of the same extractor where the table "
            "has it; brackets: 95 % interval by Student's t. The paper has no results on this data set."
        )
    notes.append("The best seed is chosen on the evaluation set itself, so its score is optimistic.")
    return notes + notes_of([run.report for run in runs.values()])
