"""The page of a cross-validation: complete, escaped, with links to its folds and to nothing else."""

import json
import re

import pytest
from fold_runs import FOLDS, write_folds
from test_report import Elements

from mil_asc.results.pooled import pool_folds
from mil_asc.results.pooled_page import render_pooled_page, write_pooled_report
from mil_asc.results.run import Run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return pool_folds(write_folds(tmp_path_factory.mktemp("folds")), FOLDS)


def percent(share):
    return f"{100 * share:.1f} %"


def test_page_has_all_results(results):
    words = Elements(render_pooled_page(results)).words
    found, cross = results["evaluation"], results["cross_validation"]
    low, high = cross["intervals"]["cmi"]
    spread = cross["spread"]["evaluation.smi.accuracy"]
    for said in (
        "Tiny · fuse_pnl cross-validation in 3 folds · seed 1 · finished 2026-11-23 12:00 UTC",
        "Each of the 28 clips is classified by the one of 3 models that was not trained on its group: "
        f"{percent(found['smi']['accuracy'])} correctly under SMI and {percent(found['cmi']['accuracy'])} under CMI.",
        f"{percent(low)} to {percent(high)} under CMI. It is over 6 groups of recordings, which were drawn with "
        "replacement 10,000 times",
        "With so few groups it is rough",
        "Warning: folds 2, 3: <b> of two folds",
        "a note of every fold",
        f"mean ± sd{percent(spread['mean'])} ± {percent(spread['sd'])}",
        f"Training clips{results['run']['train_clips'][0]} to {results['run']['train_clips'][1]}",
        "Training time3 min 2 s in all folds",
        "torch 2.10 and 2.11",
    ):
        assert said in words, said
    for absent in ("Debug run", "Learning curves", "Chosen on", "Wilson", "Events found", "Examples"):
        assert absent not in words, absent


def test_page_links_to_the_pages_of_its_folds_and_to_nothing_else(results):
    page = render_pooled_page(results)
    links = [attrs["href"] for tag, attrs in Elements(page).found if tag == "a"]
    assert set(links) == {f"fold-{fold}/report.html" for fold in (1, 2, 3)}
    assert not re.search(r'(src|href)="(?!fold-|data:)', page)


def test_page_shows_the_own_rule_and_the_epochs_of_validation(tmp_path):
    words = Elements(render_pooled_page(pool_folds(write_folds(tmp_path, decision="bag", best=True), FOLDS))).words
    assert "own rule is the pooling they were trained with" in words and "by the models’ pooling" in words
    assert "Chosen on the validation splits: the epochs 2, 3, 4 of the folds." in words


def test_page_shows_the_floor_of_the_folds(results):
    folds = results["cross_validation"] | {"floor": {"accuracy": 0.4321}}
    words = Elements(render_pooled_page(results | {"cross_validation": folds})).words
    assert "their floor, reaches 43.2 %." in words
    assert "floor" not in Elements(render_pooled_page(results)).words


def test_debug_runs_are_marked(tmp_path):
    words = Elements(render_pooled_page(pool_folds(write_folds(tmp_path, debug=True), FOLDS))).words
    assert "Debug run: no result." in words and "Do not quote its numbers." in words


def test_report_is_strict_json_that_the_reader_of_runs_takes(tmp_path):
    folder = write_folds(tmp_path)
    results = pool_folds(folder, FOLDS)
    assert write_pooled_report(folder, results) == folder / "report.html"
    assert json.loads((folder / "report.json").read_text()) == results
    run = Run(folder)
    assert (run.folds, run.seed, run.debug, run.labels) == ((3, 0), 1, False, results["labels"])
    assert run.accuracy() == results["evaluation"]["smi"]["accuracy"] and not run.finished
