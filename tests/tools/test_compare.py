"""``tools/compare.py``: its table, and one line for what it cannot use."""

import importlib.util

import tiny
from member_runs import write_member

from mil_asc.runtime.program import run_program

SPEC = importlib.util.spec_from_file_location("compare_tool", tiny.ROOT / "tools/compare.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


def test_table_has_a_row_for_each_rule(tmp_path, capsys):
    runs = [str(write_member(tmp_path / f"seed-{seed}", seed)) for seed in (1, 2, 3)]
    assert TOOL.main([runs[0], "--with", runs[1]]) == 0
    header, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert header == list(TOOL.HEADINGS) and [row[0] for row in rows] == ["own rule", "SMI", "CMI"]
    for _, clips, groups, own, reference, change, interval, p in rows:
        assert (clips, groups) == ("12", "6") and abs(float(own) - float(reference) - float(change)) < 0.11
        low, high = map(float, interval.split(" to "))
        assert low <= float(change) <= high and 0 <= float(p) <= 1
    assert TOOL.main([*runs[:2], "--with", runs[2]]) == 0
    assert all(line.endswith("| – |") for line in capsys.readouterr().out.splitlines()[2:])


def test_a_folder_without_a_run_is_one_line(tmp_path, capsys):
    assert run_program(lambda: TOOL.main([str(tmp_path), "--with", str(tmp_path)])) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
