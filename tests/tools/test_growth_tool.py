"""``tools/growth.py``: rows at two sizes, resuming, exponents, the page, and what it refuses."""

import csv
import os
import sys

import pytest
import tiny

sys.path.append(str(tiny.ROOT / "tools"))  # the tool finds its parts there

import growth
from bench import growth_page, growth_rows
from bench.growth_steps import STEPS, Size, measure
from bench.tiny_corpus import write_lists, write_recordings

from mil_asc.audio.decode import decode
from mil_asc.errors import UserError
from mil_asc.store.prepare import read_block

FACTS = {"settings": "tiny", "machine": "a processor", "versions": "mil_asc 1"}


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.md").write_text("# Growth\n\n<!-- results -->\n<!-- /results -->\n\nEnd.\n")
    return tmp_path / "page.md"


@pytest.fixture
def call(tmp_path, page, capsys):
    """Calls the tool; returns the lines of standard error."""

    def run(*words):
        files = {"--csv": "rows.csv", "--page": page.name, "--picture": "picture.svg"}
        words = [*words, *(f"{option}={tmp_path / name}" for option, name in files.items()), f"--work={tmp_path}"]
        assert growth.main(words) == 0
        return capsys.readouterr().err.splitlines()

    return run


def rows_of(tmp_path):
    with open(tmp_path / "rows.csv", newline="") as file:
        return [(row["step"], int(row["files"])) for row in csv.DictReader(file)]


def row(step, files, seconds, cpu_seconds, peak_mib):
    numbers = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib}
    return (step, files), {"step": step, "files": files, **numbers, **FACTS}


def test_steps_at_two_sizes_have_rows_and_are_not_measured_again(call, tmp_path, page):
    words = ["--files=20,40", "--rows=30"]
    assert len(call(*words, "--steps=list,lists")) == 3
    said = call(*words, "--steps=list,open,lists")
    assert [line.partition(":")[0] for line in said] == ["open, 20 files", "open, 40 files"]
    assert rows_of(tmp_path) == [("list", 20), ("list", 40), ("open", 20), ("open", 40), ("lists", 30)]
    text = page.read_text()
    assert "| `open`: the same again: the store is there |" in text and text.endswith("<!-- /results -->\n\nEnd.\n")
    assert (tmp_path / "picture.svg").read_text().count("open: ") == 2
    assert sorted(os.listdir(tmp_path)) == ["page.md", "picture.svg", "rows.csv"]
    before = page.read_text()
    assert call("--no_run") == [] and page.read_text() == before


@pytest.mark.slow
def test_every_step_runs(call, tmp_path):
    pytest.importorskip("pyarrow", reason='needs pyarrow: pip install -e ".[parquet]"')
    call("--files=20,40", "--rows=20,40")
    assert rows_of(tmp_path) == [(step, size) for step in STEPS for size in (20, 40)]


def test_recordings_are_different_files_of_ten_classes(tmp_path):
    write_recordings(tmp_path / "made", 40)
    files = sorted((tmp_path / "made").glob("*/*.wav"))
    assert len({path.parent.name for path in files}) == 10 and len({path.read_bytes() for path in files}) == 40
    assert all(len(decode(path)) == 4000 for path in files[:3])


def test_lists_are_read_in_full_by_the_recipe(tmp_path):
    write_lists(tmp_path / "lists", 10_000)
    corpus = read_block(tiny.ROOT / "hparams/data/tau2022m.yaml", str(tmp_path / "lists"), [])["corpus"]()
    assert (len(corpus.train), len(corpus.evaluate)) == (6061, 1288) and corpus.warnings == []
    assert "2651 of 10000 files are in neither list" in corpus.notes
    assert len(corpus.counts("evaluate", "source_device")) == 9 and all(corpus.counts("train").values())


def test_disk_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(UserError, match="1000000000000 files need about .*give another --work"):
        write_recordings(tmp_path / "made", 10**12)


def test_peak_is_that_of_the_command_and_processor_time_counts():
    used = measure("large", ["-c", "x = b'a' * 200_000_000; sum(range(3_000_000))"])
    small = measure("small", ["-c", "pass"])
    assert used["peak_mib"] > 190 > small["peak_mib"] and used["cpu_seconds"] > small["cpu_seconds"]


def test_step_that_fails_is_named_with_its_last_line(tmp_path):
    with pytest.raises(UserError, match="^a title: ended with status 1: no such thing$"):
        measure("a title", ["-c", "raise SystemExit('no such thing')"])
    size = Size(tmp_path, 20)
    size.place.recordings.mkdir(parents=True)
    with pytest.raises(UserError, match="^list, 20 files: ended with status 1: error: .*two class folders are needed"):
        size.measure("list")


def test_page_has_exponents_prices_and_constant_parts():
    rows = dict([row("list", 100, 1, 2, 50), row("list", 1000, 1, 11, 50), row("list", 10_000, 1, 101, 59)])
    text = growth_page.growth_text(rows, STEPS)
    assert "**No step grows faster than the number of files**" in text and "at most 0.96 (`list`)" in text
    assert "| 2 (1) | 11 (1) | 101 (1) | 0.74, 0.96 | 10, 10 | 1 |" in text
    assert "| `list` | 50 | 50 | 59 | 0.00, 0.07 | 0, 1049 | 50 |" in text


def test_growth_faster_than_the_input_is_said():
    rows = dict([row("list", 100, 1, 1, 50), row("list", 1000, 1, 30, 50), row("open", 100, 1, 1, 50)])
    text = growth_page.growth_text(rows, STEPS)
    assert "**Faster than the number of files grow: list (1.48).**" in text


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = dict([row("tag", 40, 1.5, 2.25, 50), row("list", 100, 1, 2, 50.25)])
    growth_rows.write_rows(tmp_path / "rows.csv", rows, STEPS)
    found = growth_rows.read_rows(tmp_path / "rows.csv", STEPS)
    assert found == rows and list(found) == [("list", 100), ("tag", 40)]


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda text: text.replace("list", "lost"), "line 2: unknown step 'lost'; legal: list, prepare"),
        (lambda text: text.replace("50.25", "nan"), "line 2: peak_mib must be a number above 0, got 'nan'"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 4: a second row of list, 100 files"),
        (lambda text: text.replace("seconds", "s"), "line 2: not a row of growth.py"),
        (lambda text: text.replace("a processor", "another", 1), "has the machine 'a processor', not 'another'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, change, said):
    rows = dict([row("tag", 40, 1.5, 2.25, 50), row("list", 100, 1, 2, 50.25)])
    growth_rows.write_rows(tmp_path / "rows.csv", rows, STEPS)
    (tmp_path / "rows.csv").write_text(change((tmp_path / "rows.csv").read_text()))
    with pytest.raises(UserError, match=said):
        growth_rows.read_rows(tmp_path / "rows.csv", STEPS)


def test_rows_of_another_machine_are_not_gone_on_with(call, tmp_path):
    growth_rows.write_rows(tmp_path / "rows.csv", dict([row("list", 20, 1, 1, 50)]), STEPS)
    with pytest.raises(UserError, match="the row of list, 20 files has the settings .*remove it, or give another"):
        call("--files=20,40", "--steps=list")
    call("--no_run")


@pytest.mark.parametrize(
    "words, said",
    [
        (["--files=19"], "must be whole numbers from 20 up"),
        (["--rows=a"], "must be whole numbers from 20 up"),
        (["--steps=list,all"], "unknown step 'all'; legal: list, prepare, open, train"),
        (["--work=/no/such/folder"], "--work: no such folder: /no/such/folder"),
        (["--csv=/no/such/folder/rows.csv"], "--csv: no such folder: /no/such/folder"),
    ],
)
def test_bad_arguments_end_with_2_and_a_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        growth.main(words)
    assert caught.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]
