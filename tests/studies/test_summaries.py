"""Numbers of a study's tables, by hand."""

import pytest
import tiny

from mil_asc.paper.facts import read_table
from mil_asc.results.plots import svg
from mil_asc.studies.study_pictures import SIDE_BY_SIDE, paint_poolings
from mil_asc.studies.summaries import (
    ACCURACIES,
    Column,
    by_seed,
    difference_cell,
    differences_table,
    mean_cell,
    means_table,
)

SMI = ACCURACIES[1]


def row(strategy, seed, smi, **more):
    return {"strategy": strategy, "seed": str(seed), "smi": str(smi), "accuracy": str(smi), "cmi": "0.5", **more}


ROWS = [row("no_il", 1, 0.5), row("no_il", 2, 0.7), row("pnl", 1, 0.6), row("pnl", 2, 0.9), row("pnl", 3, 0.0)]


def test_values_by_seed_are_those_of_the_factors():
    assert by_seed(ROWS, "smi", strategy="no_il") == {1: 0.5, 2: 0.7}
    assert by_seed(ROWS, "smi", strategy="gt") == {}


def test_mean_with_half_the_interval():
    """Mean 60 %, sample sd 14.14, t = 12.706 with one degree of freedom: 12.706 * 14.142 / sqrt(2) = 127.06."""
    assert mean_cell({1: 0.5, 2: 0.7}, SMI) == "60.0 ± 127.1"
    assert mean_cell({1: 0.5}, SMI) == "50.0" and mean_cell({}, SMI) == "–"
    assert mean_cell({1: 0.5}, Column("confidence", "confidence")) == "0.500"


def test_differences_are_paired_and_leave_out_seeds_without_a_partner():
    own, reference = (by_seed(ROWS, "smi", strategy=name) for name in ("pnl", "no_il"))
    assert difference_cell(own, reference, SMI) == "+15.0 [-48.5, +78.5]"  # 10 and 20 points; 12.706 * 7.071 / 1.414
    assert difference_cell(own, {}, SMI) == "–"
    assert difference_cell({1: 0.5}, {1: 0.25}, SMI) == "+25.0"


def test_interval_that_excludes_zero_is_bold():
    own, reference = {1: 0.9, 2: 0.91, 3: 0.92}, {1: 0.5, 2: 0.51, 3: 0.52}
    assert difference_cell(own, reference, SMI) == "**+40.0 [+40.0, +40.0]**"


def test_tables_count_seeds_and_pairs():
    groups = {("a",): {"strategy": "no_il"}, ("b",): {"strategy": "pnl"}}
    table = means_table(ROWS, groups, ["name"], [SMI]).splitlines()
    assert table[0] == "| name | seeds | SMI |" and table[2].startswith("| a | 2 | 60.0") and "| b | 3 |" in table[3]
    pairs = {("b − a",): ({"strategy": "pnl"}, {"strategy": "no_il"})}
    assert differences_table(ROWS, pairs, ["difference"], [SMI]).splitlines()[2].startswith("| b − a | 2 | +15.0")


@pytest.mark.parametrize("name", ["evidence", "poolings", "systems"])
def test_designs_have_no_run_twice_and_one_folder_each(name, tmp_path):
    from mil_asc.paper.plan import Place
    from mil_asc.studies.evidence import evidence
    from mil_asc.studies.networks import systems
    from mil_asc.studies.poolings import poolings

    study = {"evidence": evidence, "poolings": poolings, "systems": systems}[name](3)
    place = Place(tmp_path)
    assert len(study.keys()) == len(study.runs) == {"evidence": 57, "poolings": 72, "systems": 90}[name]
    assert len({place.folder(run) for run in study.runs}) == len(study.runs)


def test_every_network_of_the_study_has_its_options():
    from mil_asc.paper.plan import Place
    from mil_asc.paper.stale import resolved
    from mil_asc.studies.networks import NETWORKS, systems

    place = Place(tiny.ROOT / "recipes")
    assert set(NETWORKS) >= {row["model"] for row in read_table("networks.csv")} - {"cp_resnet_635k"}
    for run in systems(1).runs:
        settings = resolved(run, place)[0]
        for option in run.options[1:]:
            name, _, value = option[2:].partition("=")
            assert f"{name}: {value}" in settings or name == "channels"


def test_picture_of_poolings_has_every_pooling_and_both_strategies():
    rows = [
        {"pooling": name, "strategy": strategy, "seed": str(seed), "floor": "0.9"}
        | {column: f"0.{seed}" for _, column, _ in SIDE_BY_SIDE}
        for name in ("max", "mean")
        for strategy in ("no_il", "pnl")
        for seed in (7, 8, 9)
    ]
    text = svg(paint_poolings, rows)
    assert all(f">{word}<" in text for word in ("max", "mean", "no instance loss", "positive/negative labels"))
    assert svg(paint_poolings, rows[:1])  # one seed has no interval
