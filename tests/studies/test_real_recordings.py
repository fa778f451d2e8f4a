"""The study on real recordings: its runs, the tables of its page, its picture."""

from matplotlib.figure import Figure
from tiny import ROOT

from mil_asc.results import plots
from mil_asc.studies.measures import as_digits
from mil_asc.studies.pages import NAMES
from mil_asc.studies.real_recordings import (
    BASE,
    BEST,
    CHOSEN_ON,
    FOLDS,
    HELD_OUT,
    LONG_EPOCHS,
    PIECES,
    PIECES_OF_BEST,
    PRECISION,
    UNCHANGED,
    esc50,
)
from mil_asc.studies.real_recordings_page import best_tables, esc50_page
from mil_asc.studies.real_recordings_picture import paint_esc50
from mil_asc.training.blocks import legal_names
from mil_asc.training.config import load_hparams

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
    assert len(study.runs) == 4 * 4 * 2 + 8 * 3 + 4 * 2 + 3 * 2


def test_pieces_are_blocks_of_the_augmentation():
    assert {"none", *PIECES} <= set(legal_names(ROOT / "hparams/augment")) - {"pieces"}


def test_the_pieces_of_the_best_recipe_come_first_with_every_seed():
    names = [(row["augment"], run.seed) for run, row in esc50(1).runs.items() if row["strategy"] == BASE["strategy"]]
    first = ["none", *PIECES_OF_BEST, "combined"]
    assert names[: 3 * len(first)] == [(name, seed) for seed in (1, 2, 3) for name in first]


def test_the_best_recipe_is_its_file_with_the_precision_of_all_runs():
    found = {run: factors for run, factors in esc50(1).runs.items() if run.experiment == "fuse_best"}
    assert [run.options for run in found] == [(f"--evaluate_fold={fold}", PRECISION) for fold in FOLDS]
    hparams, _ = load_hparams(ROOT / "recipes/ESC50/hparams/fuse_best.yaml", {"data_folder": "anywhere"})
    assert hparams["model"]["features"]["n_mels"] == BEST["n_mels"]
    pieces = ["TimeRoll", "RandomGain", "DeviceResponses", "Mixup", "Stretch", "SpecAugment"]
    assert hparams["augment"]["augmentation"].active == pieces and len(pieces) == len(PIECES_OF_BEST)
    assert f"--number_of_epochs={hparams['training']['number_of_epochs']}" in LONG_EPOCHS
    assert f"--warmup_epochs={hparams['training']['warmup_epochs']}" in LONG_EPOCHS


def test_the_best_recipe_is_compared_on_the_folds_that_nothing_was_chosen_on():
    rows = [plain(CHOSEN_ON, [False] * 40), best(CHOSEN_ON, [True] * 40)]
    assert "No other fold has rows to compare yet." in best_tables(rows)
    first, second = HELD_OUT[:2]
    rows += [plain(first, [True, False] * 20), best(first, [True, True, True, False] * 10)]
    rows += [plain(second, [True] * 40), best(second, [True] * 40), plain(HELD_OUT[2], [False] * 40)]
    rows += [best(first, [False] * 40, seed=2)]  # the pooled table is about seed 1
    text = best_tables(rows)
    assert f"| SMI | {first}, {second} | 80 | 87.5 [" in text and "| 75.0 [" in text
    assert "| **+12.5 [+6.2, +20.0]** | 0.002 |" in text


def test_differences_of_pieces_are_about_the_seeds_that_both_have():
    none, mixup = ({"fold": CHOSEN_ON, "augment": name, **BASE} for name in ("none", "mixup"))
    rows = [row([False] * 40, seed, **none) for seed in (1, 2, 3)]
    rows += [row([True, False] * 20, 1, **mixup), row([False] * 40, 2, **mixup)]
    lines = [line for line in esc50_page(rows).splitlines() if line.startswith("| `mixup` | 2 | ")]
    means, over_seeds, over_recordings = lines
    assert means.startswith("| `mixup` | 2 | 25.0 ± ")
    assert over_seeds.startswith("| `mixup` | 2 | +25.0 [-")  # 50 and 0: two trainings say nothing
    assert over_recordings.startswith("| `mixup` | 2 | **+25.0 [+")


def test_differences_of_strategies_stand_fold_by_fold_and_as_their_mean():
    rows = [row([False] * 40, fold=fold, strategy="no_il", **UNCHANGED) for fold in (1, 2, 3)]
    rows += [
        row([True] * n + [False] * (40 - n), fold=f, strategy="pnl", **UNCHANGED) for f, n in ((1, 2), (2, 6), (3, 4))
    ]
    line = "| SMI | positive/negative labels − no instance loss | +5.0 | +15.0 | +10.0 | – | +10.0 [-2.4, +22.4] |"
    assert line in esc50_page(rows)  # 4.303 * 5 / sqrt(3) = 12.4


def test_every_planned_run_is_in_the_tables():
    rows = [row([True, False], seed=run.seed, **factors) for run, factors in esc50(1).runs.items()]
    text = esc50_page(rows)
    assert "–" not in text  # what a table has no rows of
    assert "| `mixup` | 3 | 50.0 ± 0.0 |" in text and "| `mixup` | 3 | +0.0 [+0.0, +0.0] |" in text
    assert "| 64 mel bins | 1 | +0.0 |" in text and "| augmentation (`fuse_best`) | 1 | +0.0 |" in text


def test_a_page_of_few_rows_says_what_is_missing():
    text = esc50_page([row([True, False], fold=1, augment="mixup", **BASE)])
    assert "| `mixup` | 1 | 50.0 |" in text and "| `stretch` | 0 | – |" in text
    assert "No other fold has rows to compare yet." in text and "No fold has a row of two strategies yet." in text


def test_the_picture_has_a_mark_for_every_system_and_piece():
    rows = [row([True, False], seed=run.seed, **factors) for run, factors in esc50(1).runs.items()]
    figure = Figure()
    paint_esc50(figure, rows)
    left, right = figure.axes
    names = left.get_legend_handles_labels()[1]
    assert names == [*NAMES.values(), "fuse_best"]
    assert [text.get_text() for text in right.get_yticklabels()] == ["none", *PIECES][::-1]
    dots = [line for line in right.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [1] + [3] * len(PIECES)  # the lowest is everything at once
    assert plots.svg(paint_esc50, []).startswith("<?xml")  # no rows: empty axes
