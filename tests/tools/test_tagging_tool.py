"""``tools/tagging.py``: the command beside a plain loop, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import tiny

from mil_asc.errors import UserError

TOOL_FILE = tiny.ROOT / "tools/tagging.py"
SPEC = importlib.util.spec_from_file_location("tagging_tool", TOOL_FILE)
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.mark.slow
def test_loop_and_command_have_a_row_and_a_ratio(tmp_path):
    pytest.importorskip("pyarrow", reason='needs pyarrow: pip install -e ".[parquet]"')
    (tmp_path / "temporary").mkdir()
    words = ["synthscenes-fuse-pnl", "--files=60", "--seconds=2", "--rounds=1", "--json", tmp_path / "numbers.json"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [sys.executable, TOOL_FILE, *map(str, words)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == "round 1 of 1\n", done.stderr
    title, _, header, _, *lines = done.stdout.rstrip().splitlines()
    assert title.endswith("2 processes, 60 files of 2 s, 1 rounds") and "ratio, CPU" in header
    assert [line.split("|")[1].strip() for line in lines] == ["plain loop", "mil-asc classify"]
    (found,) = json.loads((tmp_path / "numbers.json").read_text())
    assert set(found) == {"plain loop", "mil-asc classify"} and all(len(times) == 2 for times in found.values())
    assert list((tmp_path / "temporary").glob("mil_asc_*")) == []


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "the following arguments are required: model"),
        (["m", "--files=19"], "--files must be a whole number from 20 up"),
        (["m", "--rounds=0"], "--rounds must be a whole number from 1 up"),
        (["m", "--jobs=1"], "--jobs must be a whole number from 2 up"),
        (["m", "--seconds=0"], "--seconds must be a whole number from 1 to 600"),
        (["m", "--json=/no/such/folder/a.json"], "--json: no such folder: /no/such/folder"),
    ],
)
def test_bad_arguments_end_with_2_and_a_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        TOOL.main(words)
    assert caught.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_turn_that_fails_is_named_with_its_status():
    with pytest.raises(UserError, match="^a turn ended with status 1: .*no such thing"):
        TOOL.turn([[sys.executable, "-c", "raise SystemExit('no such thing')"]])
