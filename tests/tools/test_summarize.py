"""``tools/summarize.py``: one row per experiment, and what it refuses."""

import importlib.util
import json

import pytest
import tiny

SPEC = importlib.util.spec_from_file_location("summarize_tool", tiny.ROOT / "tools/summarize.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


def write_run(folder, experiment, seed, accuracy, decision="smi", debug=False, events=None):
    folder = folder / experiment / f"seed-{seed}"
    folder.mkdir(parents=True)
    scores = {"accuracy": accuracy, "macro_accuracy": accuracy / 2}
    evaluation = {"clips": 10, "decision": decision, "smi": scores, "cmi": scores, "bag": {"accuracy": 0.9}}
    evaluation |= {"log_loss": 0.7, "tmi": {"auc_macro": None}}
    evaluation |= {"underestimation": {"positive_share": 0.5, "mean_confidence": 0.25}}
    report = {"experiment": experiment, "dataset": "Tiny", "labels": ["a", "b"], "notes": [], "warnings": []}
    report |= {"evaluation": evaluation, "events": events}
    report |= {"run": {"seed": seed, "epochs": 8, "debug": debug, "data_folder": "/audio", "clip_seconds": 0.0}}
    (folder / "report.json").write_text(json.dumps(report))
    return str(folder)


def test_seeds_share_a_row(tmp_path, capsys):
    runs = [write_run(tmp_path, "fuse_pnl", seed, accuracy) for seed, accuracy in ((2, 0.8), (1, 0.7))]
    runs.append(write_run(tmp_path, "fuse_gap", 1, 0.04, "bag", events={"average_precision": 0.4}))
    runs.append(write_run(tmp_path, "fuse_gt", 1, 0.6, debug=True))
    assert TOOL.main(runs) == 0
    header, _, pnl, gap = capsys.readouterr().out.splitlines()
    assert header.startswith("| data set | experiment | seeds | epochs | accuracy | accuracy SMI | accuracy CMI |")
    assert pnl == (
        "| Tiny | fuse_pnl | 1, 2 | 8 | 75.0 ± 7.1 | 75.0 ± 7.1 | 75.0 ± 7.1 | 37.5 ± 3.5 | - | 0.700 ± 0.000 "
        "| 50.0 ± 0.0 | 0.250 ± 0.000 | - |"
    )
    assert gap == "| Tiny | fuse_gap | 1 | 8 | 90.0 | 4.0 | 4.0 | 2.0 | - | 0.700 | 50.0 | 0.250 | 0.400 |"


@pytest.mark.parametrize(
    "debug, words", [(True, "only debug runs were named"), (None, "holds no report.json: name the output folder")]
)
def test_runs_without_results_are_refused_in_one_line(tmp_path, capsys, debug, words):
    folder = str(tmp_path) if debug is None else write_run(tmp_path, "fuse_pnl", 1, 0.5, debug=debug)
    assert TOOL.main([folder]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and words in said
