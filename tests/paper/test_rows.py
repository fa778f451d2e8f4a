"""Every row of the paper's tables asks for an experiment that there is."""

from pathlib import Path

import pytest

from mil_asc.errors import UserError
from mil_asc.paper.facts import read_table
from mil_asc.paper.rows import TABLES, check_recipes, paper_sets, read_published, read_rows, select_rows

RECIPES = Path(__file__).parents[2] / "recipes"
ALL_ROWS = [row for table in TABLES for row in read_rows(table)]
TRAININGS = ("no_il", "pnl", "gt", "frame_loss", "pnl_ce", "gap", "gap_bce")
DOCUMENTED = {f"{extractor}_{what}" for extractor in ("fuse", "vgg_like", "resnet", "bc_resnet") for what in TRAININGS}
DOCUMENTED |= {"vgg_like_40mel_no_il", "vgg_like_40mel_pnl", "fuse_gt_resnorm"}


def test_number_of_rows():
    assert [len(read_rows(table)) for table in TABLES] == [10, 24, 2, 4, 4, 12, 2, 3]
    assert paper_sets() == ["TUT2018m", "TAU2019", "TAU2020m"]


def test_every_row_has_a_documented_experiment_and_rule():
    assert {row.experiment for row in ALL_ROWS} <= DOCUMENTED
    assert {row.rule for row in ALL_ROWS} == {"smi", "cmi", "bag"}
    for row in ALL_ROWS:
        assert (row.rule == "bag") == (row.strategy == "supl_gap")


@pytest.mark.parametrize(
    "table, recipe, experiments",
    [
        (2, "TUT2018m", ["vgg_like_40mel_no_il", "vgg_like_40mel_pnl"]),
        (2, "TAU2019", ["vgg_like_no_il", "vgg_like_pnl", "fuse_no_il", "fuse_pnl"]),
        (4, "TAU2019", ["fuse_frame_loss", "fuse_pnl"]),
        (6, "TAU2019", ["fuse_pnl", "fuse_pnl_ce", "fuse_gap_bce", "fuse_gap"]),
        (9, "TAU2020m", ["fuse_pnl", "fuse_gt", "fuse_gt_resnorm"]),
        (4, "TAU2020m", []),
    ],
)
def test_experiments_of_a_table(table, recipe, experiments):
    assert [row.experiment for row in select_rows(table, recipe)] == experiments


def test_gap_without_an_objective_is_cross_entropy():
    rows = {(row.recipe, row.experiment): row for row in read_rows(3)}
    assert rows["TAU2019", "bc_resnet_gap"].paper == 77.02
    assert rows["TAU2019", "bc_resnet_gap"].words == ("SupL w/ GAP", "BC-ResNet", "–", "CE", "GAP")


@pytest.mark.parametrize("table", TABLES)
def test_another_data_set_gets_every_combination_once_and_no_number_of_the_paper(table):
    rows = select_rows(table, "SynthScenes")
    keys = [(row.experiment, row.rule) for row in rows]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(row.experiment, row.rule) for row in read_rows(table)}
    assert all((row.recipe, row.paper, row.params, row.note) == ("SynthScenes", None, "", "") for row in rows)


def test_published_systems_stand_with_their_table_alone():
    assert len(read_published(8, "TAU2019")) == 14
    assert len(read_published(9, "TAU2020m")) == 8
    assert read_published(8, "TAU2020m") == read_published(8, "SynthScenes") == []


@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: f"{row.table}-{row.recipe}-{row.experiment}-{row.rule}")
def test_the_recipe_is_there(row):
    assert check_recipes(RECIPES, [row]) == []


def test_missing_recipes_and_files(tmp_path):
    (tmp_path / "TAU2019/hparams").mkdir(parents=True)
    (tmp_path / "TAU2019/train.py").touch()
    (tmp_path / "Own/hparams").mkdir(parents=True)
    (tmp_path / "Own/train.py").touch()
    (tmp_path / "Own/hparams/fuse_gt.yaml").touch()
    with pytest.raises(UserError, match="no recipe Nowhere .*legal: Own, TAU2019"):
        check_recipes(tmp_path, select_rows(5, "Nowhere"))
    with pytest.raises(UserError, match="fuse_pnl.yaml is missing, which Table 5 needs"):
        check_recipes(tmp_path, select_rows(5, "TAU2019"))
    assert [row.experiment for row in check_recipes(tmp_path, select_rows(5, "Own"))] == ["fuse_pnl"]


@pytest.mark.parametrize("table, recipe, count", [(8, "TAU2019", 6), (9, "TAU2020m", 5)])
def test_networks_of_published_systems_have_an_experiment(table, recipe, count):
    here = [system for system in read_published(table, recipe) if system.experiment]
    assert len(here) == count
    for system in here:
        text = (RECIPES / recipe / f"hparams/{system.experiment}.yaml").read_text()
        assert f"experiment: {system.experiment}\n" in text and "instances: frequency_mean" in text


def test_every_network_side_by_side_has_a_block():
    for row in read_table("networks.csv"):
        assert (RECIPES.parent / f"hparams/models/{row['model']}.yaml").is_file() and row["certainty"]
