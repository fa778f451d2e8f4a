"""``mil-asc classify --format parquet --to FOLDER``: files of rows that appear one after the other."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from calls import write_noise

import mil_asc
from mil_asc.cli import parquet_parts, progress_line
from mil_asc.cli.classification import Classify
from mil_asc.cli.model_choice import ModelChoice
from mil_asc.cli.parquet_parts import open_parts
from mil_asc.cli.ray_pool import Place
from mil_asc.errors import UserError
from mil_asc.presentation.part_rows import bad_row
from mil_asc.presentation.scene_formats import Formatting

parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install -e ".[parquet]"')
dataset = pytest.importorskip("pyarrow.dataset", reason='needs pyarrow: pip install -e ".[parquet]"')
HOW = Formatting("parts", ["bus", "park"], 16000)


@pytest.fixture
def words(recordings, model, tmp_path):
    """A call for the four recordings, with three rows a part."""
    return ["classify", recordings, "--model", model, "--format", "parquet", "--part-rows", 3, "--to", tmp_path / "out"]


def rows_of(folder):
    """All rows, sorted by path, as a reader of the folder finds them."""
    return sorted(dataset.dataset(folder).to_table().to_pylist(), key=lambda row: row["path"])


def parts_of(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".parquet"))


def one_line(err, part):
    return err.count("\n") == 1 and part in err


def test_rows_are_those_of_csv_with_both_rules(mil_asc, words, recordings, model, tmp_path):
    status, out, err = mil_asc(*words)
    assert (status, out) == (0, "") and "4 recordings classified" in err and "hours of audio" in err
    assert parts_of(tmp_path / "out") == ["part-00000.parquet", "part-00001.parquet"]
    for rule in ("smi", "cmi"):
        _, text, _ = mil_asc(*words[:4], "--format", "csv", "--assumption", rule)
        expected = sorted(csv.DictReader(io.StringIO(text)), key=lambda row: row["path"])
        for row, other in zip(rows_of(tmp_path / "out"), expected, strict=True):
            assert row["path"] == other["path"] and row[f"label_{rule}"] == other["label"]
            scores = {key: float(value) for key, value in other.items() if key.startswith("score:")}
            assert {f"score:{label}": score for label, score in row[f"scores_{rule}"].items()} == scores
            assert row["error"] is None and row["moments"][0]["end"] <= float(other["end"]) <= row["duration"]
    assert [round(row["duration"], 2) for row in rows_of(tmp_path / "out")] == [1.3, 1.0, 1.6, 1.9]


@pytest.mark.parametrize("removed", [0, 1])
def test_a_part_that_is_removed_while_a_journal_is_there_is_classified_again(mil_asc, words, tmp_path, removed):
    folder = tmp_path / "out"
    assert mil_asc(*words[:-3], 1, *words[-2:])[0] == 0
    wanted = rows_of(folder)
    with contextlib.closing(parquet_parts._Parts(folder, HOW, 100, None)) as parts:
        parts.add("a", json.dumps({"path": "/elsewhere.wav", "error": "bad"}))
    assert (folder / ".part-00004.jsonl").exists()
    (folder / f"part-0000{removed + 2}.parquet").unlink()
    assert mil_asc(*words[:-3], 1, *words[-2:])[0] == 3  # of the bad row of before
    assert [row["path"] for row in rows_of(folder)] == sorted(["/elsewhere.wav", *(row["path"] for row in wanted)])
    assert not list(folder.glob(".part*"))


def test_several_journals_are_refused(tmp_path):
    for name in (".part-00004.jsonl", ".part-00006.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match="has 2 journals of rows"):
        parquet_parts._Parts(tmp_path, HOW, 100, None)


def test_label_and_score_are_those_of_the_rule_asked_for(mil_asc, words, tmp_path):
    assert mil_asc(*words, "--assumption", "bag")[0] == 0
    for row in rows_of(tmp_path / "out"):
        assert row["assumption"] == "bag" and row["score"] == row["scores_bag"][row["label"]] == max(
            row["scores_bag"].values()
        )


def test_bad_file_is_a_row_with_its_error_and_is_not_tried_again(mil_asc, words, recordings, tmp_path):
    (recordings / "new\nline.wav").write_text("no audio")
    status, _, err = mil_asc(*words)
    assert status == 3 and "1 of 5 recordings could not be classified" in err and "new\\nline.wav: unreadable" in err
    (bad,) = (row for row in rows_of(tmp_path / "out") if row["error"])
    assert bad["path"].endswith("new\\nline.wav") and "unreadable" in bad["error"]
    assert {bad[name] for name in bad if name not in ("path", "error")} == {None}
    status, _, err = mil_asc(*words)
    assert status == 3 and "0 recordings classified, 5 were there before" in err and "1 rows have no label" in err
    assert len(rows_of(tmp_path / "out")) == 5


def test_many_bad_files_are_counted_and_some_are_named(mil_asc, words, recordings):
    for number in range(25):
        (recordings / f"{number}.wav").write_text("no audio")
    status, _, err = mil_asc(*words)
    assert status == 3 and err.count("unreadable") == 20 and "25 rows have no label: the column error" in err


def test_files_of_a_removed_part_are_classified_again_and_no_others(mil_asc, words, tmp_path):
    mil_asc(*words)
    before = rows_of(tmp_path / "out")
    (tmp_path / "out/part-00000.parquet").unlink()
    assert "3 recordings classified, 1 were there before" in mil_asc(*words)[2]
    assert rows_of(tmp_path / "out") == before


def test_new_recordings_are_added(mil_asc, words, recordings, tmp_path):
    mil_asc(*words)
    write_noise(recordings / "later.wav")
    assert "1 recordings classified, 4 were there before" in mil_asc(*words)[2]
    assert len(rows_of(tmp_path / "out")) == 5 and len(parts_of(tmp_path / "out")) == 3


def test_recordings_of_a_list(mil_asc, words, recordings, tmp_path):
    (tmp_path / "list.txt").write_text("night/c.wav\nnone.wav\nb.wav\n")
    assert mil_asc(*words, "--list", tmp_path / "list.txt")[0] == 3
    found = {os.path.relpath(row["path"], recordings): row["error"] is None for row in rows_of(tmp_path / "out")}
    assert found == {"b.wav": True, "night/c.wav": True, "none.wav": False}


# -- what a killed program leaves


def journal(folder, number, count, first=0):
    lines = [bad_row(f"{i}.wav", "it is bad") + "\n" for i in range(first, first + count)]
    (folder / f".part-{number:05}.jsonl").write_text("".join(lines))


def open_again(folder, rows=100):
    return open_parts(folder, HOW, {}, False, rows)


@pytest.fixture
def folder(tmp_path):
    """A folder with one part, of the recordings 0.wav to 4.wav."""
    with open_again(tmp_path / "parts") as parts:
        for number in range(5):
            parts.add_bad(f"{number}.wav", "it is bad")
        parts.finish()
    return tmp_path / "parts"


def paths_of(folder):
    return sorted(row["path"] for row in rows_of(folder))


@pytest.mark.parametrize("rest", [b"", b'{"pa', b'{"path": "7.wav", "error": "x"}', b"\0" * 40 + b"\n", b'["a"]\n{}\n'])
def test_rows_of_a_journal_stay_and_what_was_cut_off_goes(folder, rest):
    journal(folder, 1, 2, first=5)
    with open(folder / ".part-00001.jsonl", "ab") as file:
        file.write(rest)
    with open_again(folder) as parts:
        assert parts.has("6.wav", "") and not parts.has("7.wav", "") and parts.bad_before == 7
        parts.add_bad("7.wav", "it is bad")
        parts.finish()
    assert paths_of(folder) == [f"{i}.wav" for i in range(8)]


def test_journal_that_became_a_part_is_not_written_twice(folder):
    journal(folder, 0, 5)
    (folder / ".part-00001.parquet.partial").write_bytes(b"PAR1 cut off")
    with open_again(folder) as parts:
        parts.finish()
    assert sorted(os.listdir(folder)) == [parquet_parts.SETTINGS, "part-00000.parquet"] and len(paths_of(folder)) == 5


def test_readers_see_finished_parts_only(folder):
    with open_again(folder, rows=2) as parts:
        parts.add_bad("5.wav", "it is bad")
        (folder / ".part-00007.parquet.partial").write_bytes(b"PAR1 cut off")
        assert len(paths_of(folder)) == 5
        parts.add_bad("6.wav", "it is bad")
        assert len(paths_of(folder)) == 7


def test_stopped_by_ctrl_c_has_all_rows_in_parts(folder):
    with pytest.raises(KeyboardInterrupt), open_again(folder) as parts:
        parts.add_bad("5.wav", "it is bad")
        raise KeyboardInterrupt
    assert len(paths_of(folder)) == 6 and not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize("name, value", [("PART_SECONDS", 0.0), ("PART_BYTES", 1)])
def test_part_ends_by_time_and_by_size_too(folder, monkeypatch, name, value):
    monkeypatch.setattr(parquet_parts, name, value)
    with open_again(folder) as parts:
        for number in range(5, 8):
            parts.add_bad(f"{number}.wav", "it is bad")
    assert len(parts_of(folder)) == 4 and len(paths_of(folder)) == 8


@pytest.mark.parametrize("name, value", [("GROUP_ROWS", 10), ("GROUP_BYTES", 400)])
def test_rows_are_written_in_bounded_groups(folder, monkeypatch, name, value):
    monkeypatch.setattr(parquet_parts, name, value)
    with open_again(folder) as parts:
        for number in range(100):
            parts.add_bad(f"new {number:03}.wav", "it is bad")
    with parquet.ParquetFile(folder / "part-00001.parquet") as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert sum(sizes) == 100 and max(sizes) <= 10
        assert file.read(["path"])["path"].to_pylist() == [f"new {number:03}.wav" for number in range(100)]


def test_row_with_a_moment_every_second_of_days(folder):
    row = json.loads(bad_row("long.wav", ""))
    row |= {"error": None, "moments": [{"start": i, "end": i + 0.5, "confidence": 0.9} for i in range(200_000)]}
    with open_again(folder) as parts:
        parts.add("long.wav", json.dumps(row))
        parts.finish()
    (found,) = (row["moments"] for row in rows_of(folder) if row["path"] == "long.wav")
    assert len(found) == 200_000 and found[-1]["end"] == 199_999.5


def test_damaged_part_is_one_line(mil_asc, words, tmp_path):
    mil_asc(*words)
    (tmp_path / "out/part-00000.parquet").write_bytes(b"PAR1 cut off")
    status, _, err = mil_asc(*words)
    assert status == 1 and one_line(err, "part-00000.parquet is no part of mil-asc classify")


# -- places


def test_folder_of_something_else_is_kept(mil_asc, words, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copy(__file__, tmp_path / "out/part-00000.parquet")
    for more in ([], ["--force"]):
        status, _, err = mil_asc(*words, *more)
        assert status == 1 and one_line(err, "holds files already") and len(os.listdir(tmp_path / "out")) == 1
    (tmp_path / "file").write_text("mine")
    status, _, err = mil_asc(*words[:-1], tmp_path / "file")
    assert status == 1 and one_line(err, "is a file: name a folder") and (tmp_path / "file").read_text() == "mine"


def test_other_options_or_another_model_are_not_mixed_in(mil_asc, words, plain_model, tmp_path):
    mil_asc(*words)
    before = rows_of(tmp_path / "out")
    status, _, err = mil_asc(*words, "--assumption", "cmi")
    assert status == 1 and one_line(err, "another assumption")
    other = [plain_model if word == words[3] else word for word in words]
    status, _, err = mil_asc(*other)
    assert status == 1 and one_line(err, "another model") and rows_of(tmp_path / "out") == before
    assert "4 recordings classified:" in mil_asc(*words, "--assumption", "cmi", "--force")[2]
    assert {row["assumption"] for row in rows_of(tmp_path / "out")} == {"cmi"} and len(parts_of(tmp_path / "out")) == 2


def test_force_that_is_killed_midway_mixes_nothing(folder):
    """Parts go before the settings change: whatever is left has the settings that are there."""
    seen = []
    names = os.listdir

    def list_and_look(place):
        seen.append((folder / parquet_parts.SETTINGS).read_text())
        return names(place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_parts.os, "listdir", list_and_look)
        with open_parts(folder, HOW, {"model": "another"}, True):
            pass
    assert json.loads(seen[0]) == {} and json.loads(seen[-1]) == {"model": "another"} and parts_of(folder) == []


def test_two_programs_do_not_write_to_one_folder(mil_asc, words, tmp_path):
    import fcntl

    mil_asc(*words)
    with open(tmp_path / "out" / parquet_parts.SETTINGS) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, _, err = mil_asc(*words)
    assert status == 1 and one_line(err, "is being written by another")


@pytest.mark.parametrize("option", [["--ray", "local"], ["--part-rows", "5"]])
@pytest.mark.parametrize("results", [["--format", "csv"], ["--to", "a.parquet"], []])
def test_options_of_parts_need_a_folder(mil_asc, recordings, model, option, results):
    status, _, err = mil_asc("classify", recordings, "--model", model, *results, *option)
    assert status == 2 and f"{option[0]} is for --format parquet --to FOLDER" in err


def test_ray_missing_is_one_line(mil_asc, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, err = mil_asc(*words, "--ray", "local")
    assert (status, err) == (1, 'error: --ray needs Ray: pip install -e ".[ray]"\n')


@pytest.mark.parametrize("more", [["--device", "cuda", "--backend", "torch"], []])
def test_ray_options_that_do_not_fit_are_wrong_usage(mil_asc, words, more):
    status, _, err = mil_asc(*words, "--ray", "local" if more else "ray://head:10001", *more)
    assert status == 2 and "--ray takes HOST:PORT, auto or local, and no --device" in err


def test_machine_that_lacks_something_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version = mil_asc.__version__
    Place(version, str(tmp_path), (".",)).enter()
    for place, said in [
        (Place("0.1.0", str(tmp_path), ()), f"has mil_asc {version}, not 0.1.0"),
        (Place(version, str(tmp_path / "none"), ()), "none is not on "),
        (Place(version, str(tmp_path), ("corpus",)), "corpus is not on "),
    ]:
        with pytest.raises(UserError, match=re.escape(said)):
            place.enter()


def test_another_model_at_the_same_place_is_refused(model):
    job = Classify(ModelChoice(Path(model), "onnx"), HOW, None, 1)
    assert callable(replace(job, identity=job.model.identity)())
    with pytest.raises(UserError, match="is another model than here"):
        replace(job, identity="0" * 64)()


def test_progress_has_lines_where_there_is_no_terminal(mil_asc, words, monkeypatch):
    monkeypatch.setattr(progress_line, "EVERY_LINE", 0.0)
    lines = mil_asc(*words)[2].splitlines()
    assert len(lines) == 5 and lines[3].startswith("4 done, ") and lines[3].endswith("a minute")
    assert mil_asc(*words, "--force", "--quiet")[2] == ""
