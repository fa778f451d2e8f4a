"""Run a study of the method and write its results: python tools/study.py evidence [--seeds 5]

Studies: evidence (share of a clip that shows its class, against strategy), poolings (each pooling, without and with
the instance loss), systems (each network of the field, small, with global average pooling and with the instance loss)
and esc50 (strategies, augmentation and the best recipe on real recordings; needs --data_folder). Trains the runs that
have no row in the study's CSV file yet, two at a time with one thread each, and appends a row as each of them
finishes; runs that were stopped resume. Then the tables of the study's page and its picture are written. Rows stay
valid where the run folders are gone.
"""

import argparse
import os
import shlex
import sys
from functools import lru_cache
from pathlib import Path

from mil_asc.paper.fill import put_text, read_page
from mil_asc.paper.plan import Place, check_data, find_devices, finished_runs
from mil_asc.paper.stale import refuse_stale, resolved
from mil_asc.paper.supervise import exit_status, train_here
from mil_asc.results import plots
from mil_asc.results.event_detection import load_library
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.program import run_program
from mil_asc.studies.evidence import evidence
from mil_asc.studies.networks import systems
from mil_asc.studies.pages import evidence_page, poolings_page, systems_page
from mil_asc.studies.poolings import poolings
from mil_asc.studies.real_recordings import esc50
from mil_asc.studies.real_recordings_page import esc50_page
from mil_asc.studies.real_recordings_picture import paint_esc50
from mil_asc.studies.rows_file import check_current, read_rows, write_rows
from mil_asc.studies.study_pictures import paint_evidence, paint_poolings

ROOT = Path(__file__).resolve().parents[1]
STUDIES = {
    "evidence": (evidence, evidence_page, paint_evidence, 5, "evidence"),
    "poolings": (poolings, poolings_page, paint_poolings, 3, "poolings"),
    "systems": (systems, systems_page, None, 1, "systems-synthscenes"),
    "esc50": (esc50, esc50_page, paint_esc50, 1, "esc50-results"),
}
"""Name -> design, text of its page, its picture, seeds, name of its files in docs/."""


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("study", choices=STUDIES)
    add(
        "--seeds",
        type=int,
        metavar="N",
        help="seeds 1 to N (default: evidence 5, poolings 3, systems 1, esc50 1)",
    )
    add("--devices", default="cpu,cpu", help="one process for each (default: cpu,cpu; on GPUs cuda:0,cuda:1)")
    add("--most", type=int, metavar="N", help="train at most N runs now")
    add("--csv", type=Path, metavar="FILE", help="rows of the results (default: docs/STUDY.csv)")
    add("--page", type=Path, metavar="FILE", help="Markdown page with the tables (default: docs/STUDY.md)")
    add("--picture", type=Path, metavar="FILE", help="SVG picture (default: docs/STUDY.svg)")
    add("--recipes", type=Path, default=ROOT / "recipes", metavar="DIR", help="folder of the recipes")
    add("--data_folder", metavar="DIR", help="the audio, for a study on recordings")
    add("--dry_run", action="store_true", help="print every run with its command, and change nothing")
    add("--no_run", action="store_true", help="train nothing: measure finished runs, write page and picture")
    options = parser.parse_args(arguments)
    name = STUDIES[options.study][4]
    options.csv = options.csv or ROOT / f"docs/{name}.csv"
    options.page = options.page or ROOT / f"docs/{name}.md"
    options.picture = options.picture or ROOT / f"docs/{name}.svg"
    return options


class Record:
    """The rows of a study on disk, and the runs that they belong to."""

    def __init__(self, study, place, path):
        self.study, self.place, self.path = study, place, path
        self.rows = read_rows(path, study)
        settings = lru_cache(maxsize=None)(lambda variant, run: resolved(run, place)[0])
        first = {(run.variant, run.experiment): run for run in reversed(study.runs)}
        check_current(path, study, self.rows, lambda run: settings(run.variant, first[run.variant, run.experiment]))

    def add(self, run):
        """Measure a finished run and write its row."""
        row = {**self.study.runs[run], "seed": run.seed, **self.study.measures.measure(self.place.folder(run))}
        self.rows[self.study.key(row)] = {name: str(value) for name, value in row.items()}
        write_rows(self.path, self.study, self.rows)

    @property
    def missing(self):
        """Planned runs without a row."""
        return [run for key, run in self.study.keys().items() if key not in self.rows]


def run_study(options):
    """Do what the command line says; returns the number of runs that failed."""
    design, text, paint, seeds, _ = STUDIES[options.study]
    study = design(seeds if options.seeds is None else options.seeds)
    recipes = {run.recipe for run in study.runs} if options.data_folder else ()
    place = Place(options.recipes.resolve(), data={name: os.path.abspath(options.data_folder) for name in recipes})
    record = Record(study, place, options.csv)
    if options.dry_run:
        print_runs(record)
        return 0
    read_page(options.page)  # these two hours before they are needed
    if study.measures.detection:
        load_library()
    found = finished_runs(record.missing, place)
    refuse_stale(found, place)
    for run in found:
        record.add(run)
    failures = [] if options.no_run else train(record, options)
    rows = list(record.rows.values())
    put_text(options.page, "\n\n".join([*unfinished(record), text(rows)]))
    print(f"written: {options.csv} ({len(rows)} rows; {len(record.missing)} runs missing), {options.page}")
    if paint is not None:
        write_atomically(options.picture, plots.svg(paint, rows))
        print(f"written: {options.picture}")
    return len(failures)


def unfinished(record):
    """A sentence for the page if runs are missing, in a list; else an empty list."""
    total, missing = len(record.study.runs), len(record.missing)
    if not missing:
        return []
    return [f"**{total - missing} of {total} runs are finished.** The tables and the picture leave the others out."]


def print_runs(record):
    """Print the runs with their commands in the recipe's folder, and whether they have a row."""
    missing = set(record.missing)
    for run in record.study.runs:
        command = shlex.join(["python", *record.place.command(run)])
        print(f"{'to do' if run in missing else 'done '}  cd {record.place.recipes / run.recipe} && {command}")


def train(record, options):
    """Train the runs without a row; returns the failures, which are listed."""
    if options.devices.startswith("cpu"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    runs, devices = record.missing[: options.most], find_devices(options.devices)
    check_data(runs, record.place)
    failures = train_here(runs, record.place, devices, record.add)
    for failure in failures:
        print(f"failed: {failure.run}: {failure.problem}; see {record.place.folder(failure.run)}", file=sys.stderr)
    return failures


def main(arguments):
    """Run the command line; returns the exit status."""
    return exit_status(lambda: run_study(parse(arguments)))


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
