"""Folds of a cross-validation pooled: against slow sums over their files, and what is refused."""

import json
import math
import statistics

import numpy as np
import pytest
from fold_runs import FOLDS, LABELS, corpus_of, pieces_of, write_fold, write_folds
from references import argmax, count_decision, sigmoid

from mil_asc.errors import UserError
from mil_asc.results.intervals import expanded_level
from mil_asc.results.pooled import pool_folds
from mil_asc.results.run import Run, folds_in, place_of_run, refuse_folds


def slow_rows(folder):
    """(fold, path, true class, decided class under SMI and CMI, SMI confidences) of each clip, file by file."""
    rows = []
    for fold in range(1, FOLDS + 1):
        with np.load(folder / f"fold-{fold}/predictions.npz") as file:
            first = 0
            for path, truth, count in zip(file["paths"].tolist(), file["truth"].tolist(), file["counts"].tolist()):
                logits_IC = file["logits"][first : first + count].astype(float).tolist()
                first += count
                p_C = [max(sigmoid(z_C[c]) for z_C in logits_IC) for c in range(3)]
                rows.append((fold, path, truth, argmax(p_C), count_decision(logits_IC), p_C))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folds(tmp_path_factory.mktemp("pooled"))


@pytest.fixture(scope="module")
def results(folder):
    return pool_folds(folder, FOLDS)


def test_every_clip_of_the_corpus_is_scored_once(folder, results):
    every = sorted(name for clip in corpus_of(folder).clips for name in pieces_of(clip))
    assert sorted(row["path"] for row in results["decisions"]) == every
    assert results["evaluation"]["clips"] == len(every) == 28


def test_pooled_results_are_those_of_a_slow_sum_over_the_files(folder, results):
    rows, found = slow_rows(folder), results["evaluation"]
    for rule, place in (("smi", 3), ("cmi", 4)):
        assert found[rule]["accuracy"] == pytest.approx(np.mean([row[2] == row[place] for row in rows]))
        for c, label in enumerate(LABELS):
            own = [row for row in rows if row[2] == c]
            share = sum(row[place] == c for row in own) / len(own)
            assert found[rule]["per_class"][label] == {"accuracy": pytest.approx(share), "clips": len(own)}
            counts = [sum(row[place] == d for row in own) for d in range(3)]
            assert found[rule]["confusion"][c] == counts
    loss = -np.mean([math.log(row[5][row[2]] / sum(row[5])) for row in rows])
    assert found["log_loss"] == pytest.approx(loss)
    assert {row["path"]: row["smi"]["label"] for row in results["decisions"]} == {
        row[1]: LABELS[row[3]] for row in rows
    }


def test_spread_is_over_the_folds(folder, results):
    rows, cross = slow_rows(folder), results["cross_validation"]
    accuracies = [np.mean([row[2] == row[3] for row in rows if row[0] == fold]) for fold in (1, 2, 3)]
    assert [fold["evaluation.smi.accuracy"] for fold in cross["per_fold"]] == pytest.approx(accuracies)
    spread = cross["spread"]["evaluation.smi.accuracy"]
    assert spread["mean"] == pytest.approx(statistics.mean(accuracies))
    assert spread["sd"] == pytest.approx(statistics.stdev(accuracies))
    assert [fold["clips"] for fold in cross["per_fold"]] == [sum(row[0] == fold for row in rows) for fold in (1, 2, 3)]
    assert [fold["fold"] for fold in cross["per_fold"]] == [1, 2, 3]
    assert sum(fold["groups"] for fold in cross["per_fold"]) == cross["groups"] == 6
    assert "evaluation.bag.accuracy" not in cross["spread"] and "events.average_precision" not in cross["spread"]


def test_interval_is_over_groups(folder, results):
    """By drawing groups of the corpus with replacement, with other random numbers."""
    group_of = {name: clip.location for clip in corpus_of(folder).clips for name in pieces_of(clip)}
    rows, names, rng = slow_rows(folder), sorted(set(group_of.values())), np.random.default_rng(7)
    correct = {name: [row[2] == row[3] for row in rows if group_of[row[1]] == name] for name in names}
    shares = [np.mean(sum((correct[names[g]] for g in rng.integers(6, size=6)), [])) for _ in range(4000)]
    level = expanded_level(6)
    assert results["cross_validation"]["intervals"]["smi"] == pytest.approx(
        np.quantile(shares, [level, 1 - level]).tolist(), abs=0.03
    )


def test_notes_of_all_folds_and_warnings_of_any_are_kept(results):
    assert results["notes"] == ["a note of every fold"]
    assert results["warnings"] == ["a warning of every fold", "folds 2, 3: <b> of two folds"]


def test_how_the_folds_were_trained_is_summed_up(folder, results):
    run = results["run"]
    assert (run["seed"], run["epochs"], run["folds"], run["fold"]) == (1, 8, 3, 0)
    assert run["train_seconds"] == pytest.approx(3 * 60.5) and run["finished"].startswith("2026-11-23")
    assert run["versions"] == {"mil_asc": "0.4.0", "torch": "2.10 and 2.11"} and run["device"] == "a processor"
    sizes = [28 - fold["clips"] for fold in results["cross_validation"]["per_fold"]]
    assert run["train_clips"] == [min(sizes), max(sizes)]


def test_own_rule_and_validation_are_pooled_too(tmp_path):
    results = pool_folds(write_folds(tmp_path, decision="bag", best=True), FOLDS)
    cross, reports = results["cross_validation"], [Run(path).report for path in folds_in(tmp_path).values()]
    assert results["evaluation"]["decision"] == "bag" and set(cross["intervals"]) == {"smi", "cmi", "bag"}
    assert "evaluation.bag.macro_accuracy" in cross["spread"] and cross["best_on_validation"]["epochs"] == [2, 3, 4]
    best = [report["evaluation_of_best_on_validation"] for report in reports]
    correct = sum(round(one["bag"]["accuracy"] * one["clips"]) for one in best)
    assert cross["best_on_validation"]["bag"]["accuracy"] == pytest.approx(correct / 28)


def test_events_are_pooled_where_all_folds_have_them(tmp_path):
    for fold in (1, 2, 3):
        write_fold(tmp_path, fold, events={"average_precision": fold / 10, "chance": 0.1})
    found = pool_folds(tmp_path, FOLDS)["cross_validation"]["spread"]["events.average_precision"]
    assert found == {"mean": pytest.approx(0.2), "sd": pytest.approx(0.1)}


def test_floor_of_the_folds_is_pooled_by_clips(tmp_path, results):
    for fold in (1, 2, 3):
        write_fold(tmp_path, fold, floor={"accuracy": fold / 4})
    cross = pool_folds(tmp_path, FOLDS)["cross_validation"]
    clips = [fold["clips"] for fold in cross["per_fold"]]
    assert cross["floor"]["accuracy"] == pytest.approx((clips[0] + 2 * clips[1] + 3 * clips[2]) / 4 / 28)
    assert cross["spread"]["floor.accuracy"] == {"mean": pytest.approx(0.5), "sd": pytest.approx(0.25)}
    assert results["cross_validation"]["floor"] is None


# -- folders


def test_folds_are_found_in_the_order_of_their_numbers(tmp_path):
    for name in ("fold-10", "fold-2", "fold-x", "fold-3_debug", "fold-02"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hyperparams.yaml").touch()
    (tmp_path / "fold-1").mkdir()  # of a start that was refused
    assert list(folds_in(tmp_path)) == [2, 10] and folds_in(tmp_path / "nowhere") == {}
    with pytest.raises(UserError, match=r"a model per fold \(fold-2, fold-10\): name one, such as .*fold-2"):
        refuse_folds(tmp_path)
    refuse_folds(tmp_path / "fold-2")


def test_part_of_a_run_in_a_cross_validation_is_known(folder, tmp_path):
    assert Run(place_of_run(folder, 2)).folds == (3, 2)
    report = json.loads((folder / "fold-2/report.json").read_text())
    del report["run"]["folds"], report["run"]["fold"]  # of an earlier version
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert Run(tmp_path).folds == (0, 0)
    report["run"]["fold"] = "two"
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match="is not the report of a run of this version: run.folds and run.fold are"):
        assert Run(tmp_path).folds


# -- what is refused


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def copy_list(folder, source, target):
    for name in ("manifests/test.json", "predictions.npz"):
        (folder / target / name).write_bytes((folder / source / name).read_bytes())


DAMAGES = {
    "a fold is missing": (lambda f: (f / "fold-2/report.json").unlink(), "fold-2 holds no report.json"),
    "no model": (lambda f: (f / "fold-3/model.ckpt").unlink(), "fold-3 holds no model.ckpt"),
    "epochs": (lambda f: change(f / "fold-2/report.json", '"epochs": 8', '"epochs": 7'), "7 of 8 epochs"),
    "settings": (lambda f: change(f / "fold-3/hyperparams.yaml", "seed: 1\n", "seed: 2\n"), "differ in seed (2 and 1)"),
    "rule": (lambda f: change(f / "fold-2/report.json", '"decision": "smi"', '"decision": "cmi"'), "do not belong"),
    "twice": (lambda f: copy_list(f, "fold-1", "fold-2"), "is in the evaluation sets of"),
    "no list": (lambda f: (f / "fold-2/manifests/test.json").unlink(), "test.json is missing"),
    "other list": (
        lambda f: (f / "fold-2/predictions.npz").write_bytes((f / "fold-1/predictions.npz").read_bytes()),
        "is in the predictions and not in the evaluation set",
    ),
    "predictions": (lambda f: (f / "fold-2/predictions.npz").write_bytes(b"PK"), "predictions.npz is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_folds_that_do_not_fit_are_refused_in_one_line(tmp_path, damage):
    spoil, words = DAMAGES[damage]
    spoil(write_folds(tmp_path))
    with pytest.raises(UserError) as caught:
        pool_folds(tmp_path, FOLDS)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_clip_without_scores_and_other_recordings_are_refused(tmp_path):
    write_folds(tmp_path)
    path = tmp_path / "fold-1/manifests/test.json"
    entries = json.loads(path.read_text())
    first = next(iter(entries))
    entries["bus/lost.wav"] = entries[first] | {"wav": "{data_root}/bus/lost.wav", "label": "bus"}
    path.write_text(json.dumps(entries))
    with pytest.raises(UserError, match=r"fold-1: 1 clip\(s\) have no scores, such as bus/lost.wav"):
        pool_folds(tmp_path, FOLDS)
    del entries["bus/lost.wav"]
    path.write_text(json.dumps(entries))
    train = tmp_path / "fold-2/manifests/train.json"
    entries = json.loads(train.read_text())
    gone = entries.popitem()[0]
    train.write_text(json.dumps(entries))
    with pytest.raises(UserError, match=rf"fold-2 and .*fold-1 differ in their recordings, such as {gone}"):
        pool_folds(tmp_path, FOLDS)
