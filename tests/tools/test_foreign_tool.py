"""``tools/foreign.py``: its rows, its choice, and what it refuses."""

import importlib.util

import pytest
import tiny

SPEC = importlib.util.spec_from_file_location("foreign_tool", tiny.ROOT / "tools/foreign.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)

ROWS = [
    ("pink noise", "yes", "energy", 10, "10", "0.900", "0.400"),
    ("ESC-10", "yes", "energy", 10, "5", "0.800", "0.200"),
    ("tones", "no", "energy", 10, "10", "0.100", "0.000"),
    ("pink noise", "yes", "ViM", 10, "10", "0.700", "0.100"),
    ("ESC-10", "yes", "ViM", 10, "5", "0.900", "0.300"),
    ("tones", "no", "ViM", 10, "10", "1.000", "1.000"),
    ("held-out clips", "no", "ViM", 10, "10", "0.500", "0.010"),
]


def test_choice_uses_only_the_sets_that_are_for_choosing():
    assert TOOL.chosen(ROWS) == ("energy", pytest.approx(0.85))


def test_table_has_a_score_in_each_row_and_a_set_in_each_column():
    header, _, energy, vim = TOOL.table(ROWS).strip().splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["score", "pink noise", "ESC-10", "tones"]
    assert "0.900 / 40 %" in energy and "1.000 / 100 %" in vim


def test_recordings_come_from_a_folder_or_a_list(tmp_path):
    for name in ("b.wav", "a.flac", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in TOOL.recordings(tmp_path)] == ["a.flac", "b.wav"]
    (tmp_path / "list.txt").write_text("b.wav\n\n")
    assert TOOL.recordings(tmp_path / "list.txt") == [tmp_path / "b.wav"]


def test_what_is_missing_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TOOL.UserError, match="no recordings"):
        TOOL.recordings(tmp_path / "empty")
    with pytest.raises(TOOL.UserError, match="no such folder or list"):
        TOOL.recordings(tmp_path / "missing")
    with pytest.raises(TOOL.UserError, match="holds no finished run"):
        TOOL.main([str(tmp_path), "--own=a", "--held_out=b", "--choose=x=y"])
    with pytest.raises(SystemExit) as caught:
        TOOL.main([str(tmp_path), "--own=a", "--held_out=b", "--choose=esc"])
    assert caught.value.code == 2 and "must be NAME=PATH" in capsys.readouterr().err
