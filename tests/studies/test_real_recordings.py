"""The study on real recordings: its runs, the tables of its page, its picture."""

import pytest
from tiny import ROOT

from mil_asc.results import plots
from mil_asc.studies.measures import as_digits
from mil_asc.studies.real_recordings import BASE, BEST, CHOSEN_ON, FOLDS, HELD_OUT, PIECES, UNCHANGED, esc50
from mil_asc.studies.real_recordings_page import best_tables, esc50_page
from mil_asc.studies.real_recordings_picture import paint_esc50
from mil_asc.training.blocks import legal_names

NUMBERS = ("accuracy", "smi", "cmi", "floor", "tmi_auc", "log_loss", "confidence", "positive_share")


def row(correct_B, seed=1, **factors):
    """A row of the study, of clips that are recordings by themselves."""
    digits = as_digits(correct_B)
    common = {"train_seconds": "60", "device": "some CPU", "precision": "fp32", "torch": "2.14.1", "version": "0.9.0"}
    return {
        **{name: str(value) for name, value in factors.items()},
        **dict.fromkeys(NUMBERS, str(sum(correct_B) / len(correct_B))),
        **{"seed": str(seed), "group_sizes": " ".join("1" for _ in correct_B)},
        **{f"correct_{rule}": digits for rule in ("own", "smi", "cmi")},
        **common,
    }


def plain(fold, correct_B):
    return row(correct_B, strategy="gt", fold=fold, **UNCHANGED)


def best(fold, correct_B, seed=1):
    return row(correct_B, seed, fold=fold, **BEST)


def test_every_run_has_a_key_and_a_folder_of_its_own():
    study = esc50(2)
    assert len(study.keys()) == len(study.runs)
    assert len({(run.variant, run.experiment, run.seed) for run in study.runs}) == len(study.runs)
    assert len(study.runs) == 4 * 4 * 2 + (4 + len(PIECES)) * 3 + 4 * 2


def test_pieces_are_the_blocks_of_the_augmentation():
    assert {"none", *PIECES} == set(legal_names(ROOT / "hparams/augment")) - {"pieces"}


def test_the_best_recipe_sets_everything_but_the_fold_itself():
    found = {run: factors for run, factors in esc50(1).runs.items() if run.experiment == "fuse_best"}
    assert [run.options for run in found] == [(f"--evaluate_fold={fold}",) for fold in FOLDS]


def test_the_best_recipe_is_compared_on_the_folds_that_nothing_was_chosen_on():
    rows = [plain(CHOSEN_ON, [False] * 40), best(CHOSEN_ON, [True] * 40)]
    assert "No other fold has a row of both yet." in best_tables(rows)
    first, second = HELD_OUT[:2]
    rows += [plain(first, [True, False] * 20), best(first, [True, True, True, False] * 10)]
    rows += [plain(second, [True] * 40), best(second, [True] * 40), plain(HELD_OUT[2], [False] * 40)]
    rows += [best(first, [False] * 40, seed=2)]  # the pooled table is about seed 1
    text = best_tables(rows)
    assert f"| SMI | {first}, {second} | 80 | 87.5 [" in text and "| 75.0 [" in text
    assert "| **+12.5 [+6.2, +20.0]** | 0.002 |" in text


@pytest.mark.parametrize("complete", [False, True])
def test_page_and_picture_of_few_rows_and_of_none(complete):
    rows = [plain(1, [True] * 10), best(1, [True] * 10), best(2, [True, False] * 5)] if complete else []
    rows += [row([True, False], fold=1, augment="mixup", **BASE)] if complete else []
    text = esc50_page(rows)
    assert text.count("### ") == 5
    assert ("| `mixup` | 1 | 50.0 |" in text) == complete
    assert plots.svg(paint_esc50, rows).startswith("<?xml")
