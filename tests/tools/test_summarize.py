"""``tools/summarize.py``: one row per experiment, and what it refuses."""

import importlib.util
import json

import pytest
import tiny

SPEC = importlib.util.spec_from_file_location("summarize_tool", tiny.ROOT / "tools/summarize.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


SEEDS = ((2, 0.8), (1, 0.7))


def write_run(folder, experiment, seed, accuracy, decision="smi", debug=False, events=None, data="/audio", **more):
    folder = folder / experiment / f"seed-{seed}"
    folder.mkdir(parents=True)
    scores = {"accuracy": accuracy, "macro_accuracy": accuracy / 2}
    evaluation = {"clips": 10, "decision": decision, "smi": scores, "cmi": scores, "bag": {"accuracy": 0.9}}
    evaluation |= {"log_loss": 0.7, "tmi": {"auc_macro": None}}
    evaluation |= {"underestimation": {"positive_share": 0.5, "mean_confidence": 0.25}}
    report = {"experiment": experiment, "dataset": "Tiny", "labels": ["a", "b"], "notes": [], "warnings": []}
    report |= {"evaluation": evaluation, "events": events}
    report |= {"run": {"seed": seed, "epochs": 8, "debug": debug, "data_folder": data, "clip_seconds": 0.0}}
    report |= more
    (folder / "report.json").write_text(json.dumps(report))
    return str(folder)


def test_seeds_share_a_row(tmp_path, capsys):
    runs = [write_run(tmp_path, "fuse_pnl", seed, accuracy, floor={"accuracy": 0.4}) for seed, accuracy in SEEDS]
    runs.append(write_run(tmp_path, "fuse_gap", 1, 0.04, "bag", events={"average_precision": 0.4}))
    runs.append(write_run(tmp_path, "fuse_gt", 1, 0.6, debug=True))
    assert TOOL.main(runs) == 0
    header, _, pnl, gap = capsys.readouterr().out.splitlines()
    assert header.startswith(
        "| data set | data folder | trained on | experiment | seeds | epochs | accuracy | accuracy SMI | accuracy CMI "
        "| floor |"
    )
    assert pnl == (
        "| Tiny | audio | Tiny | fuse_pnl | 1, 2 | 8 | 75.0 ± 7.1 | 75.0 ± 7.1 | 75.0 ± 7.1 | 40.0 ± 0.0 | 37.5 ± 3.5 "
        "| - | 0.700 ± 0.000 | 50.0 ± 0.0 | 0.250 ± 0.000 | - |"
    )
    assert (
        gap
        == "| Tiny | audio | Tiny | fuse_gap | 1 | 8 | 90.0 | 4.0 | 4.0 | - | 2.0 | - | 0.700 | 50.0 | 0.250 | 0.400 |"
    )


def test_runs_without_a_floor_share_a_row_with_those_that_have_one(tmp_path, capsys):
    """Runs of earlier versions have no such key; folders of tools/evaluate.py have null there."""
    floors = [{}, {"floor": None}, {"floor": {"accuracy": 0.3}}]
    assert TOOL.main([write_run(tmp_path, "fuse_pnl", seed, 0.5, **more) for seed, more in enumerate(floors)]) == 0
    header, _, row = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert row[header.index("floor")] == "30.0" and row[header.index("seeds")] == "0, 1, 2"


def test_runs_of_one_row_with_other_settings_are_warned_of(tmp_path, capsys):
    runs = [write_run(tmp_path, "fuse_pnl", seed, 0.5) for seed in (1, 2, 3)]
    for seed, pooling in ((1, "max"), (2, "max"), (3, "auto")):
        text = f"seed: {seed}\n__set_seed: !apply:f [{seed}]\nmodel: {{head: {{pooling: {pooling}}}}}\n"
        (tmp_path / f"fuse_pnl/seed-{seed}/hyperparams.yaml").write_text(text)
    assert TOOL.main(runs[:2]) == 0
    assert capsys.readouterr().err == ""
    assert TOOL.main(runs) == 0
    said = capsys.readouterr().err
    assert said == f"WARNING: {runs[0]} and {runs[2]} are in one row and differ in model.head.pooling (max and auto)\n"


def test_copies_of_a_run_are_warned_of(tmp_path, capsys):
    runs = [write_run(tmp_path / place, "fuse_pnl", 1, 0.8) for place in ("a", "b")]
    runs.append(write_run(tmp_path, "fuse_pnl", 2, 0.7))
    assert TOOL.main(runs) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"WARNING: {runs[0]} and {runs[1]} have the same experiment and seed")
    assert "seed-2" not in said


@pytest.mark.parametrize(
    "debug, words", [(True, "only debug runs were named"), (None, "holds no report.json: name the output folder")]
)
def test_runs_without_results_are_refused_in_one_line(tmp_path, capsys, debug, words):
    folder = str(tmp_path) if debug is None else write_run(tmp_path, "fuse_pnl", 1, 0.5, debug=debug)
    assert TOOL.main([folder]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and words in said


def test_runs_on_different_data_have_different_rows(tmp_path, capsys):
    model = {"dataset": "TAU2019", "folder": "/runs/seed-1", "weights_sha256": "0" * 64}
    runs = [
        write_run(tmp_path / "a", "fuse_pnl", 1, 0.8),
        write_run(tmp_path / "b", "fuse_pnl", 1, 0.6, data="/other/audio"),
        write_run(tmp_path / "c", "fuse_pnl", 1, 0.4, data="/field", model=model),
    ]
    assert TOOL.main(runs) == 0
    rows = [line.split(" | ")[:7] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["| Tiny", "/audio", "Tiny", "fuse_pnl", "1", "8", "80.0"],
        ["| Tiny", "/other/audio", "Tiny", "fuse_pnl", "1", "8", "60.0"],
        ["| Tiny", "field", "TAU2019", "fuse_pnl", "1", "8", "40.0"],
    ]


def test_folds_and_cross_validations_have_rows_of_their_own(tmp_path, capsys):
    def part(place, seed, accuracy, folds, fold):
        folder = write_run(tmp_path / place, "fuse_pnl", seed, accuracy)
        path = tmp_path / place / f"fuse_pnl/seed-{seed}/report.json"
        report = json.loads(path.read_text())
        report["run"] |= {"folds": folds, "fold": fold}
        path.write_text(json.dumps(report))
        return folder

    runs = [part("all", 1, 0.7, 5, 0), part("all", 2, 0.8, 5, 0), part("plain", 1, 0.9, 0, 0)]
    runs += [part("two", 1, 0.6, 5, 2), part("one", 1, 0.4, 5, 1)]
    assert TOOL.main(runs) == 0
    rows = [line.split(" | ")[3:7] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [
        ["fuse_pnl, 5 folds", "1, 2", "8", "75.0 ± 7.1"],
        ["fuse_pnl", "1", "8", "90.0"],
        ["fuse_pnl, single folds of 5", "1 (fold 1), 1 (fold 2)", "8", "50.0 ± 14.1"],
    ]


def _without(report, *keys):
    for key in keys[:-1]:
        report = report[key]
    del report[keys[-1]]


DAMAGES = {
    "no CMI": (lambda report: _without(report, "evaluation", "cmi"), "it has no evaluation.cmi.accuracy"),
    "no TMI": (lambda report: _without(report, "evaluation", "tmi", "auc_macro"), "has no evaluation.tmi.auc_macro"),
    "text": (lambda report: report["evaluation"]["smi"].update(accuracy="high"), "evaluation.smi.accuracy is 'high'"),
    "no number": (lambda report: report["evaluation"].update(log_loss=float("nan")), "evaluation.log_loss is nan"),
    "true": (lambda report: report["evaluation"].update(log_loss=True), "evaluation.log_loss is True"),
    "a list": (lambda report: report["evaluation"].update(smi=[1]), "it has no evaluation.smi.accuracy"),
    "seed": (lambda report: report["run"].update(seed="one"), "run.seed is 'one'"),
    "epochs": (lambda report: report["run"].update(epochs=[1]), r"run.epochs is [1]"),
    "events": (lambda report: report.update(events={"chance": 0.5}), "it has no events.average_precision"),
    "events list": (lambda report: report.update(events=[1]), "it has no events.average_precision"),
    "floor": (lambda report: report.update(floor={"accuracy": "high"}), "floor.accuracy is 'high'"),
    "floor list": (lambda report: report.update(floor=[1]), "it has no floor.accuracy"),
    "labels": (lambda report: report.update(labels=["a", "a"]), "labels is ['a', 'a']"),
    "rule": (lambda report: report["evaluation"].update(decision=None), "evaluation.decision is None"),
    "unknown rule": (lambda report: report["evaluation"].update(decision="best"), "evaluation.best"),
    "model": (lambda report: report.update(model=3), "it has no model.dataset"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_reports_are_refused_in_one_line(tmp_path, capsys, damage):
    folder = write_run(tmp_path, "fuse_pnl", 1, 0.5)
    path = tmp_path / "fuse_pnl/seed-1/report.json"
    report = json.loads(path.read_text())
    spoil, words = DAMAGES[damage]
    spoil(report)
    path.write_text(json.dumps(report))
    assert TOOL.main([folder]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path} is not the report") and said.count("\n") == 1 and words in said


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '"text"'])
def test_reports_that_are_no_reports_are_refused_in_one_line(tmp_path, capsys, content):
    (tmp_path / "report.json").write_text(content)
    assert TOOL.main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/report.json is ") and said.count("\n") == 1


def test_groups_have_a_table_of_their_own(tmp_path, capsys):
    def grouped(seed, **groups):
        folder = write_run(tmp_path, "fuse_pnl", seed, 0.5)
        path = tmp_path / f"fuse_pnl/seed-{seed}/report.json"
        report = json.loads(path.read_text())
        found = {name: {"accuracy": accuracy, "clips": clips} for name, (accuracy, clips) in groups.items()}
        report["evaluation"]["smi"]["per_group"] = found
        path.write_text(json.dumps(report))
        return folder

    runs = [grouped(1, street=(0.5, 8), garden=(1.0, 4)), grouped(2, street=(0.7, 8), **{"\x1b[2J": (0.25, 4)})]
    assert TOOL.main(runs) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.count("\n") == 2 and "fuse_pnl" in first
    assert second.splitlines() == [
        "| data set | data folder | experiment | group | clips | accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
        "| Tiny | audio | fuse_pnl | \\x1b[2J | 4 | 25.0 |",
        "| Tiny | audio | fuse_pnl | garden | 4 | 100.0 |",
        "| Tiny | audio | fuse_pnl | street | 8 | 60.0 ± 14.1 |",
    ]


@pytest.mark.parametrize("damage", [["street"], {"street": 0.5}, {"street": {"accuracy": None, "clips": 3}}])
def test_damaged_groups_of_a_report_are_named(tmp_path, capsys, damage):
    folder = write_run(tmp_path, "fuse_pnl", 1, 0.5)
    path = tmp_path / "fuse_pnl/seed-1/report.json"
    report = json.loads(path.read_text())
    report["evaluation"]["smi"]["per_group"] = damage
    path.write_text(json.dumps(report))
    assert TOOL.main([folder]) == 1
    assert "is not the report of a run of this version: per_group is" in capsys.readouterr().err
