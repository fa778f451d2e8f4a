"""The paper's tables with our figures beside the paper's, as Markdown and as HTML.

Accuracies are in percent, differences in percentage points. A figure of the paper stands in the paper's columns
only; ours come from the ``report.json`` of finished runs.
"""

import math
import shlex
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from scipy.stats import t as student

from mil_asc.paper.fill import put_tables
from mil_asc.paper.picture import paint_systems, systems_of
from mil_asc.paper.rows import TITLES, read_published
from mil_asc.paper.supervise import Run
from mil_asc.results.plots import svg
from mil_asc.runtime.files import write_atomically

TEMPLATE = Path(__file__).with_name("page.html")
PAPER_EPOCHS = 100
COLUMNS = ("strategy", "extractor", "instance label", "objective", "assumption", "parameters")
MEANS = "The paper gives means over 5 seeds. Its main tables are under SMI; Tables 8 and 9 are the best seed under CMI."
BESTS = "The paper gives its best seed under CMI here, where its main tables are means over 5 seeds under SMI."
SLIPS = {
    9: [
        "The paper pairs its baseline's 54.1 % (an OpenL3 system of 2020) with the 45K parameters of a later baseline "
        "that scored 47.7 %."
    ],
}
"""What to know of the paper's figures in a table, beyond the notes of its rows."""
SET_SLIPS = {"TAU2020m": ["The paper's 23,040 segments of this set are 23,035 files."]}


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; ``low`` and ``high`` are None for a single value."""

    mean: float
    low: float | None
    high: float | None


def student_interval(values):
    """Mean of one or more values and its two-sided 95 % interval by Student's t with n - 1 degrees of freedom.

    >>> round(student_interval([1.0, 3.0]).high, 3)  # 2 + 12.706 * sqrt(2) / sqrt(2)
    14.706
    """
    mean = statistics.mean(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def paired_interval(own, reference):
    """``student_interval`` of the differences own - reference over the seeds that both have; None without any.

    Both map seeds to accuracies.
    """
    differences = [own[seed] - reference[seed] for seed in sorted(own.keys() & reference.keys())]
    return student_interval(differences) if differences else None


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

    ``loud`` must not be overlooked, ``schedule`` and ``notes`` stand below; ``published`` are systems that the
    paper compares with; ``picture`` is SVG text or None; ``finished`` counts the runs behind it.
    """

    number: int
    recipe: str
    with_paper: bool
    against: str
    lines: list
    schedule: str
    loud: list
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
        Those of them that have no YAML file.
    results : dict
        Run -> Result of finished runs, others than these rows' among them or not.
    place : Place
        Says the commands of runs that are not there yet.
    seeds : int
        Seeds 1 to ``seeds`` count.

    Returns
    -------
    Table
    """
    recipe, with_paper = rows[0].recipe, rows[0].paper is not None
    found = {row: _results_of(row, results, seeds) for row in rows}
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
        _loud(runs, with_paper) + _without_figures(found),
        _notes(number, recipe, with_paper, rows, runs),
        {letter: note for note, letter in letters.items()},
        read_published(number, recipe),
        len(runs),
        _picture(rows, found),
    )


def _picture(rows, found):
    """The picture of Table 8 or 9 as SVG text; None for other tables and other data sets."""
    if not read_published(rows[0].table, rows[0].recipe):
        return None
    best = {}
    for row in rows:
        accuracies = _accuracies(row, found[row])
        if accuracies:
            seed, accuracy = best_seed(accuracies)
            best[row] = seed, accuracy, found[row][seed].report["run"]["parameters"]
    return svg(paint_systems, systems_of(rows, best))


def _results_of(row, results, seeds):
    wanted = [Run(row.recipe, row.experiment, seed) for seed in range(1, seeds + 1)]
    return {run.seed: results[run] for run in wanted if run in results}


def _accuracies(row, found):
    pairs = {seed: result.accuracy(row.rule) for seed, result in found.items()}
    return {seed: accuracy for seed, accuracy in pairs.items() if accuracy is not None}


def best_seed(accuracies):
    """(seed, accuracy) of the greatest accuracy; the smallest seed among equals."""
    return min(accuracies.items(), key=lambda pair: (-pair[1], pair[0]))


def reference_row(row, rows):
    """The row that ``row`` is compared with where the paper has no figure for it.

    Of the rows with the same extractor the first under MIL without instance loss, or the first of all where
    none has that; of all rows so where no other has this extractor.
    """
    same = [other for other in rows if (other.extractor, other.mel_bins) == (row.extractor, row.mel_bins)]
    among = same if len(same) > 1 else rows
    return next((other for other in among if (other.strategy, other.instance_label) == ("mil", "none")), among[0])


def _line(row, found, rows, no_file, letter, place, seeds):
    accuracies = _accuracies(row, found[row])
    digits = 1 if row.paper is None else 2
    cells = (*row.words, _parameters(row, found[row].values()))
    paper = None if row.paper is None else f"{row.paper:.{2 if row.statistic != 'best_seed' else 1}f}"
    if no_file:
        return Line(cells, paper, f"no recipe file ({row.experiment}.yaml)", "–", "–", letter)
    if not accuracies:
        run = next(Run(row.recipe, row.experiment, n) for n in range(1, seeds + 1) if n not in found[row] or n == seeds)
        command = shlex.join(["python", *place.command(run)])
        return Line(cells, paper, "no run yet", "–", "–", letter, command)
    seed, best = best_seed(accuracies)
    difference = _difference(row, accuracies, found, rows, best)
    return Line(cells, paper, _ours(accuracies, seeds, digits), f"{best:.{digits}f} (seed {seed})", difference, letter)


def _parameters(row, results):
    counts = sorted({result.report["run"]["parameters"] for result in results})
    ours = " / ".join(f"{count:,}" for count in counts) or "–"
    return f"{ours} (paper {row.params})" if row.params else ours


def _ours(accuracies, seeds, digits):
    mean = f"{statistics.mean(accuracies.values()):.{digits}f}"
    spread = f" ± {statistics.stdev(accuracies.values()):.{digits}f}" if len(accuracies) > 1 else ""
    count = f"n = {seeds}" if len(accuracies) == seeds else f"{len(accuracies)} of {seeds} seeds"
    return f"{mean}{spread} ({count})"


def _difference(row, accuracies, found, rows, best):
    if row.paper is not None:
        if row.statistic == "best_seed":
            return f"{_signed(best - row.paper, 1)} (best to best)"
        return _interval(student_interval([accuracy - row.paper for accuracy in accuracies.values()]), 2)
    reference = reference_row(row, rows)
    if reference == row:
        return "reference"
    interval = paired_interval(accuracies, _accuracies(reference, found[reference]))
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


# -- what stands around a table


def _schedule(runs):
    """How the runs of a table were made, every value that occurs; empty without runs."""
    if not runs:
        return ""

    def setting(name):
        return _distinct(result.setting(name) for result in runs.values())

    def fact(*path):
        return _distinct(_at(result.report, path) for result in runs.values())

    seeds = ", ".join(str(seed) for seed in sorted({seed for _, seed in runs}))
    return (
        f"Runs: {len(runs)}; epochs {fact('run', 'epochs')}, batch {setting('batch_size')}, "
        f"learning rate {setting('learning_rate')}; mel bins {setting('n_mels')}, hop {setting('hop_ms')} ms; "
        f"seeds {seeds}; trained on {fact('run', 'train_clips')} clips, evaluated on {fact('evaluation', 'clips')}; "
        f"{fact('run', 'device')} ({fact('run', 'precision')}); torch {fact('run', 'versions', 'torch')}."
    )


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _distinct(values):
    return " / ".join(dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values))


def _groups(runs, value):
    """Value -> names of the experiments whose runs have it; where a run has none, it does not count."""
    groups = {}
    for (experiment, _), result in runs.items():
        found = value(experiment, result)
        if found is not None:
            groups.setdefault(found, set()).add(experiment)
    return {found: ", ".join(sorted(names)) for found, names in sorted(groups.items())}


ALIKE = {
    "epochs": lambda _, result: result.report["run"]["epochs"],
    "training clips": lambda _, result: result.report["run"]["train_clips"],
    "batch": lambda _, result: result.setting("batch_size"),
    "learning rate": lambda _, result: result.setting("learning_rate"),
    "hop in ms": lambda _, result: result.setting("hop_ms"),
    "mel bins": lambda name, result: None if "_40mel" in name else result.setting("n_mels"),
    "evaluated clips": lambda _, result: result.report["evaluation"]["clips"],
}
"""What the runs of a table must have in common for their rows to be compared."""


def _loud(runs, with_paper):
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
            f"Runs of {other} epochs stand here; the paper trained for {PAPER_EPOCHS}. "
            "Such figures do not reproduce the paper's."
        )
    if with_paper:
        lines += dict.fromkeys(filter(None, map(_partial, runs.values())))
    return lines + list(dict.fromkeys(text for result in runs.values() for text in result.report["warnings"]))


def _partial(result):
    """What to say of a run that was not evaluated on the whole official list; None where it was, or has none."""
    clips = result.report["evaluation"]["clips"]
    official = result.official("evaluate")
    if official in (None, clips):
        return None
    return f"A run was evaluated on {clips} of the official {official} clips: not on those of the paper's figures."


def _without_figures(found):
    old = [row for row, results in found.items() if len(_accuracies(row, results)) < len(results)]
    return [
        f"Runs of {row.experiment} are of a version that did not know {row.assumption.upper()}: move their folders "
        f"away and train again with python train.py hparams/{row.experiment}.yaml --seed=N."
        for row in old
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
        notes += SLIPS.get(number, []) + SET_SLIPS.get(recipe, [])
    else:
        notes.append(
            f"Differences are taken seed by seed to {_reference_words(rows)}, of the same extractor where the table "
            "has it; brackets: 95 % interval by Student's t. The paper has no figures for this data set."
        )
    notes.append("The best seed is picked on the clips that it is scored on, which flatters it.")
    return notes + list(dict.fromkeys(text for result in runs.values() for text in result.report["notes"]))


# -- Markdown


def markdown(table, level=2, picture=None):
    """A table as Markdown under a heading of ``level``; ``picture``: its picture's file name, if one was written."""
    parts = [f"{'#' * level} {table.title}"]
    parts += [f"> **Mind:** {text}" for text in table.loud]
    parts.append(_pipes([table.header, ["---"] * len(table.header), *(_markdown_cells(line) for line in table.lines)]))
    footnotes = [f"({letter}) {note}" for letter, note in table.footnotes.items()]
    below = [*filter(None, [table.schedule]), *table.notes, *footnotes]
    parts.append("\n".join(f"* {text}" for text in below))
    if table.published:
        parts.append("Systems that the paper compares with, and their figures as it gives them:")
        head = ["system", "augmentation", "parameters", "accuracy", "note"]
        systems = [[p.system, p.augmentation, p.params, f"{p.accuracy:g}", p.note] for p in table.published]
        parts.append(_pipes([head, ["---"] * len(head), *systems]))
    if picture:
        parts.append(f"![Accuracy against parameters]({picture})")
    return "\n\n".join(parts) + "\n"


def _markdown_cells(line):
    ours = f"{line.ours}: `{line.command}`" if line.command else line.ours
    strategy = line.cells[0] + (f" ({line.marks})" if line.marks else "")
    paper = [] if line.paper is None else [line.paper]
    return [strategy, *line.cells[1:], *paper, ours, line.best, line.difference]


def _pipes(rows):
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


# -- HTML


def render_page(tables, heading):
    """Tables as one HTML page that refers to nothing outside itself."""
    from mil_asc.results.report import data_uri  # brings PyTorch with it, which takes seconds

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = data_uri
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return page.render(tables=tables, heading=heading)


# -- files


def write_tables(folder, tables, suffix=""):
    """Write ``table-N<suffix>.md`` and ``.html`` for every number of a table, and pictures.

    Several numbers get a page of all as well, ``tables<suffix>.html``. Returns the paths of the pages.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for number in dict.fromkeys(table.number for table in tables):
        own = [table for table in tables if table.number == number]
        texts = []
        for table in own:
            texts.append(markdown(table, picture=_write_picture(folder, table)))
        write_atomically(folder / f"table-{number}{suffix}.md", "\n".join(texts))
        pages.append(folder / f"table-{number}{suffix}.html")
        write_atomically(pages[-1], render_page(own, f"Table {number}: {TITLES[number]}"))
    if len(pages) > 1:
        pages.append(folder / f"tables{suffix}.html")
        write_atomically(pages[-1], render_page(tables, "Tables of the paper, and our runs"))
    return pages


def fill_page(page, tables):
    """Put the tables that have finished runs into a Markdown file between its marks, and pictures beside it.

    Other tables that stand there stay. Raises ``UserError`` as ``read_page`` does.
    """
    texts = {}
    for table in tables:
        if table.finished:
            texts[table.number, table.recipe] = markdown(table, level=3, picture=_write_picture(page.parent, table))
    put_tables(page, texts)


def _write_picture(folder, table):
    """Write the picture of a table; returns its file name, None where the table has none."""
    if not table.picture:
        return None
    name = f"table-{table.number}-{table.recipe}.svg"
    write_atomically(folder / name, table.picture)
    return name
