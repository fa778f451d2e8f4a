"""Tables of runs that were written by hand."""

from fake_runs import write_recipe, write_run

from mil_asc.paper.plan import finished_runs, runs_of
from mil_asc.paper.rows import check_recipes, read_published, select_rows
from mil_asc.paper.systems import system_runs
from mil_asc.paper.tables import build_table


def build(place, number, recipe, seeds=2):
    """A table of a recipe, from the runs that are there."""
    rows = select_rows(number, recipe)
    missing = check_recipes(place.recipes, rows)
    runs = runs_of(rows, seeds) + system_runs(read_published(number, recipe), place, seeds)
    return build_table(number, rows, missing, finished_runs(runs, place), place, seeds)


def add(place, recipe, experiment, seed, **more):
    """Write a finished run of a recipe."""
    write_run(place.recipes / recipe / "results" / experiment / f"seed-{seed}", experiment, seed, **more)


def add_tau_runs(place):
    """TAU2019 with two seeds of PNL, one of three of GT under other epochs, none of MIL w/o IL."""
    write_recipe(
        place.recipes / "TAU2019", needs_data=True, **dict.fromkeys(["fuse_pnl", "fuse_gt", "fuse_no_il"], "fine")
    )
    add(place, "TAU2019", "fuse_pnl", 1, epochs=100, smi=0.78, cmi=0.79)
    add(place, "TAU2019", "fuse_pnl", 2, epochs=100, smi=0.80, cmi=0.805, clips=4185)
    add(place, "TAU2019", "fuse_gt", 2, epochs=8, smi=0.7, cmi=0.75, notes=["a <note>"], warnings=["a | warning"])
