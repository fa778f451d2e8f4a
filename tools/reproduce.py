"""Reproduce the paper's tables: python tools/reproduce.py --table 2 --data_folder TAU2019=DIR,TAU2020m=DIR

Trains the runs that a table still needs (every row with several seeds), then writes it with our results beside the
paper's. Finished runs are kept; those that were stopped resume. Options after -- go to every train.py:
python tools/reproduce.py --table 7 --dataset TAU2019 --data_folder DIR -- --precision=fp32
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.paper.fill import read_page
from mil_asc.paper.plan import Place, check_data, check_options, check_seeds, find_devices, finished_runs, runs_of
from mil_asc.paper.ray import train_on_ray
from mil_asc.paper.render import fill_page, write_tables
from mil_asc.paper.rows import TABLES, check_recipes, known_recipes, paper_sets, read_published, select_rows
from mil_asc.paper.stale import find_stale, refuse_stale
from mil_asc.paper.supervise import exit_status, train_here
from mil_asc.paper.systems import system_runs
from mil_asc.paper.tables import build_table
from mil_asc.runtime.program import run_program

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def parse(arguments):
    """The options, and those after ``--``."""
    where = arguments.index("--") if "--" in arguments else len(arguments)
    own, passed = arguments[:where], arguments[where + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--table", required=True, help="a number from 2 to 9, several (2,7), or all; a run they share is trained once")
    add("--dataset", help="recipes, with commas (default: the paper's data sets of the table)")
    add("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N (default 5, as the paper)")
    add("--data_folder", default="", metavar="DIR", help="the audio: DIR, or TAU2019=DIR,TAU2020m=DIR for several")
    add(
        "--devices",
        default="auto",
        help="such as cuda:0,cuda:1 or cpu, a process for each (default: all GPUs, else cpu)",
    )
    add("--ray", nargs="?", const="", metavar="ADDRESS", help="run as tasks of a Ray cluster, or of a Ray started here")
    add("--results", default="results", metavar="DIR", help="folder of the runs in each recipe (default: results)")
    add("--recipes", type=Path, default=RECIPES, metavar="DIR", help="folder of the recipes (default: this checkout's)")
    add("--systems", action="store_true", help="with Tables 8 and 9, also train the published systems that are here")
    add("--write", type=Path, metavar="DIR", help="where the tables go (default: results/tables beside the recipes)")
    add("--fill_readme", action="store_true", help="put the tables into each recipe's README.md, between its marks")
    add("--fill", type=Path, metavar="FILE", help="put all the tables into this Markdown file, between such marks")
    add("--dry_run", action="store_true", help="print every run with its command, and change nothing")
    add("--no_run", action="store_true", help="write the tables from the finished runs, and train none")
    return parser.parse_args(own), passed


def numbers(text):
    """The tables that ``--table`` names."""
    words = [str(number) for number in TABLES] if text == "all" else text.split(",")
    wrong = [word for word in words if word not in map(str, TABLES)]
    if wrong:
        raise UserError(f"--table must be a number from {TABLES[0]} to {TABLES[-1]}, or all; got {wrong[0]!r}")
    return [int(word) for word in dict.fromkeys(words)]


def sections(options):
    """(table, its rows, those of them without a YAML file) for every table and data set."""
    names = options.dataset.split(",") if options.dataset else paper_sets()
    found = []
    for number in numbers(options.table):
        for name in names:
            rows = select_rows(number, name)
            if rows:
                found.append((number, rows, check_recipes(options.recipes, rows)))
    if not found:
        raise UserError(f"Table {options.table} has no rows of {options.dataset}")
    return found


def data_folders(text, recipes, known):
    """Recipe -> absolute folder of its audio, from ``DIR`` or ``NAME=DIR,NAME=DIR``.

    ``recipes`` are those that the tables need, ``known`` are all; folders of other known recipes are ignored.
    """
    if not text:
        return {}
    pairs = [part.partition("=") for part in text.split(",")]
    if all(name in known and folder for name, _, folder in pairs):
        return {name: os.path.abspath(folder) for name, _, folder in pairs}
    if len(recipes) != 1 or pairs[0][0] in known:
        example = ",".join(f"{name}=DIR" for name in recipes)
        raise UserError(f"--data_folder must say whose audio is where: --data_folder {example}; got {text!r}")
    return {recipes[0]: os.path.abspath(text)}


def print_runs(runs, results, place):
    """Print the runs with their commands in the recipe's folder; stale ones were trained with other settings."""
    stale = find_stale(results, place)
    for run in runs:
        command = shlex.join(["python", *place.command(run)])
        state = "stale" if run in stale else "done " if run in results else "to do"
        print(f"{state}  {run}:  cd {place.recipes / run.recipe} && {command}")


def train(runs, place, options):
    """Train the runs; returns the number of failures, which are listed."""
    check_data(runs, place)
    if not runs:
        print("every run is finished")
        return 0
    if options.ray is None:
        failures = train_here(runs, place, find_devices(options.devices))
    else:
        failures = train_on_ray(runs, place, options.ray or None)
    for failure in failures:
        print(f"failed: {failure.run}: {failure.problem}; see {place.folder(failure.run)}", file=sys.stderr)
    return len(failures)


def systems_of(found, place, options):
    """Runs of the published systems whose network is here, of the tables that list them."""
    named = [system for number, rows, _ in found for system in read_published(number, rows[0].recipe)]
    return system_runs(named, place, options.seeds)


def pages_to_fill(found, options):
    """Page -> names of the data sets whose tables go into it."""
    names = list(dict.fromkeys(rows[0].recipe for _, rows, _ in found))
    readmes = {options.recipes / name / "README.md": [name] for name in names} if options.fill_readme else {}
    return readmes | ({options.fill: names} if options.fill else {})


def write(found, results, place, options):
    """Write the tables, and put them into the pages that were named."""
    tables = [build_table(number, rows, missing, results, place, options.seeds) for number, rows, missing in found]
    suffix = f"-{options.dataset.replace(',', '-')}" if options.dataset else ""
    for page in write_tables(options.write or options.recipes / "results/tables", tables, suffix):
        print(f"written: {page}")
    for page, names in pages_to_fill(found, options).items():
        fill_page(page, [table for table in tables if table.recipe in names])
        print(f"written: {page}")


def reproduce(options, passed):
    """Do what the command line says; returns the number of runs that failed."""
    check_seeds(options.seeds)
    if options.ray is not None and options.devices != "auto":
        raise UserError("--ray and --devices exclude each other: Ray gives each run its device")
    if Path(options.results).is_absolute() or ".." in Path(options.results).parts:
        raise UserError(
            f"--results must be a folder inside each recipe's, such as results/short; got {options.results}"
        )
    check_options(passed)
    options.recipes = options.recipes.resolve()
    found = sections(options)
    rows = [row for _, rows, missing in found for row in rows if row not in missing]
    names = list(dict.fromkeys(row.recipe for row in rows))
    folders = data_folders(options.data_folder, names, known_recipes(options.recipes))
    place = Place(options.recipes, options.results, folders, tuple(passed))
    for recipe, name in dict.fromkeys((row.recipe, row.experiment) for _, _, missing in found for row in missing):
        print(f"note: {recipe} has no hparams/{name}.yaml: its rows stay empty", file=sys.stderr)
    systems = systems_of(found, place, options)
    runs = runs_of(rows, options.seeds) + (systems if options.systems else [])
    results = finished_runs(runs, place)
    for page in pages_to_fill(found, options):
        read_page(page)  # hours before it is needed
    if options.dry_run:
        print_runs(runs, results, place)
        if systems and not options.systems:
            print("published systems whose network is here (--systems):")
            print_runs(systems, results, place)
        return 0
    results |= finished_runs(systems, place)
    refuse_stale(results, place)
    missing = [run for run in runs if run not in results]
    failed = 0 if options.no_run else train(missing, place, options)
    write(found, results | finished_runs(missing, place), place, options)
    return failed


def main(arguments):
    """Run the command line; returns the exit status."""
    return exit_status(lambda: reproduce(*parse(arguments)))


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
