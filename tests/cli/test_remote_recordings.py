"""Recordings at URLs are classified as local ones are: fetched one by one, exactly one row each, after any kill."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import object_store
import pytest
from calls import start, write_noise

from mil_asc.runtime.remote_files import objects_below

NAMES = ("b.wav", "a.flac", "night/c.wav", "night/deep/d 1.ogg")


@pytest.fixture
def store():
    with object_store.running() as running:
        yield running


@pytest.fixture
def url(store, recordings):
    """A bucket's folder of five recordings, one of them bad, and of objects that are none."""
    (recordings / "night/deep/d.ogg").rename(recordings / "night/deep/d 1.ogg")
    (recordings / "night/bad.wav").write_text("no audio")
    (recordings / "night/notes.txt").write_text("no recording")
    (recordings / ".hidden").mkdir()
    shutil.copy(recordings / "b.wav", recordings / ".hidden/b.wav")
    return store.put(recordings, "field")


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_a_bucket_are_those_of_a_local_copy(url, recordings, model, mil_asc, tmp_path):
    status, _, err = mil_asc("classify", url, "--model", model, "--to", tmp_path / "remote.csv")
    assert status == 3 and "1 of 5 recordings could not be classified" in err
    assert f"{url}/night/bad.wav: unreadable, not audio or corrupt" in err
    assert mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "local.csv")[0] == 3
    remote, local = rows_of(tmp_path / "remote.csv"), rows_of(tmp_path / "local.csv")
    assert [row.pop("path") for row in remote] == [f"{url}/{name}" for name in sorted(NAMES, key=depth_first)]
    assert [os.path.relpath(row.pop("path"), recordings) for row in local] == sorted(NAMES, key=depth_first)
    assert remote == local


def depth_first(name):
    return name.count("/"), name


@pytest.mark.parametrize("form", ["jsonl", "json", "table"])
def test_every_format_names_the_url(url, model, mil_asc, form):
    status, out, _ = mil_asc("classify", url, "--model", model, "--format", form)
    assert status == 3 and all(f"{url}/{name}" in out for name in NAMES)


@pytest.mark.parametrize("form", ["audacity", "raven"])
def test_a_file_per_object_is_made_once(url, model, mil_asc, tmp_path, form):
    words = ["classify", url, "--model", model, "--format", form, "--to", tmp_path / "out"]
    assert mil_asc(*words)[0] == 3
    made = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.txt")]
    assert len(made) == len(NAMES) and all(any(file.startswith(name) for file in made) for name in NAMES)
    status, _, err = mil_asc(*words)
    assert status == 3 and "0 recordings classified, 4 were there before" in err


def test_parquet_has_a_row_for_every_object(url, model, mil_asc, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install -e ".[parquet]"')
    words = ["classify", url, "--model", model, "--format", "parquet", "--to", tmp_path / "out"]
    assert mil_asc(*words)[0] == 3
    assert mil_asc(*words)[0] == 3
    rows = [row for part in (tmp_path / "out").glob("part-*") for row in parquet.read_table(part).to_pylist()]
    assert sorted(row["path"] for row in rows) == sorted(f"{url}/{name}" for name in (*NAMES, "night/bad.wav"))
    (bad,) = (row for row in rows if row["error"])
    assert bad["path"] == f"{url}/night/bad.wav" and bad["error"].startswith(f"{bad['path']}: unreadable")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_object_that_only_ffmpeg_decodes_is_classified(store, recordings, model, mil_asc, tmp_path):
    convert = ["ffmpeg", "-v", "error", "-i", recordings / "b.wav", recordings / "e.m4a"]
    subprocess.run(list(map(str, convert)), check=True)
    url = store.put(recordings, "field")
    scenes = []
    for path in (recordings / "e.m4a", f"{url}/e.m4a"):
        status, out, err = mil_asc("classify", path, "--model", model, "--format", "jsonl")
        assert status == 0, err
        scenes.append(json.loads(out) | {"path": ""})
    assert scenes[0] == scenes[1]


def test_urls_local_folders_and_single_objects_are_mixed(url, recordings, model, mil_asc, tmp_path):
    other = write_noise(tmp_path / "other/e.wav")
    words = ["classify", f"{url}/night/c.wav", other.parent, f"{url}/night/", "--model", model]
    status, out, _ = mil_asc(*words, "--format", "jsonl")
    paths = [json.loads(line)["path"] for line in out.splitlines()]
    assert status == 3
    assert paths == [f"{url}/night/c.wav", str(other), f"{url}/night/deep/d 1.ogg"]  # c.wav once


def test_working_folder_holds_no_url(url, model, mil_asc, tmp_path, monkeypatch):
    """A URL after the working folder is not taken for a path below it."""
    write_noise(tmp_path / "here/e.wav")
    monkeypatch.chdir(tmp_path / "here")
    _, out, _ = mil_asc("classify", ".", f"{url}/b.wav", "--model", model, "--format", "jsonl")
    assert [json.loads(line)["path"] for line in out.splitlines()] == ["./e.wav", f"{url}/b.wav"]


def test_list_holds_urls_and_names_below_a_url(url, recordings, model, mil_asc, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text(f"filename\nb.wav\n{url}/night/c.wav\n{url}/lost.wav\n")
    status, out, err = mil_asc("classify", recordings, "--list", listed, "--model", model, "--format", "jsonl")
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(recordings / "b.wav"), f"{url}/night/c.wav"]
    assert status == 3 and f"{url}/lost.wav: there is no such object" in err
    listed.write_text("filename\nb.wav\nnight/c.wav\n")
    status, out, _ = mil_asc("classify", f"{url}/", "--list", listed, "--model", model, "--format", "jsonl")
    assert [json.loads(line)["path"] for line in out.splitlines()] == [f"{url}/b.wav", f"{url}/night/c.wav"]
    assert status == 0
    listed.write_text(f"filename\n{url}/../b.wav\n")
    status, _, err = mil_asc("classify", recordings, "--list", listed, "--model", model)
    assert status == 1 and "list.csv, line 2" in err


def test_object_that_vanishes_is_a_bad_row(store, url, model, tmp_path, monkeypatch, mil_asc):
    def listing(folder):
        found = list(objects_below(folder))
        store.remove("field/a.flac")
        yield from found

    monkeypatch.setattr("mil_asc.cli.found_recordings.objects_below", listing)
    status, _, err = mil_asc("classify", url, "--model", model, "--to", tmp_path / "a.csv")
    assert status == 3 and f"{url}/a.flac: there is no such object" in err
    assert len(rows_of(tmp_path / "a.csv")) == 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://nowhere/field", "s3://nowhere/field: there is no such object, folder or bucket"),
        ("s3://sounds/none/", "s3://sounds/none: there is no such object, folder or bucket"),
        ("s5://sounds/field", "fsspec knows no s5://"),
        ("s3://sounds/field/night/notes.txt", "notes.txt: unreadable, not audio or corrupt"),
    ],
)
def test_url_with_nothing_to_classify_is_one_line(url, model, mil_asc, path, said):
    status, out, err = mil_asc("classify", path, "--model", model, "--format", "csv")
    assert status in (1, 3) and said in err and "Traceback" not in err
    assert err.count("\n") == (1 if status == 1 else 2)


def test_missing_credentials_are_one_line(url, model, mil_asc, monkeypatch, tmp_path):
    for name in object_store.CREDENTIALS:
        monkeypatch.delenv(name)
    status, _, err = mil_asc("classify", url, "--model", model, "--to", tmp_path / "a.csv")
    assert status == 1 and err == f"error: {url}: Unable to locate credentials\n"
    assert not (tmp_path / "a.csv").exists()


def test_results_go_to_local_places(model, mil_asc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_noise(tmp_path / "a.wav")
    status, _, err = mil_asc("classify", "a.wav", "--model", model, "--to", "s3://sounds/a.csv")
    assert status == 1 and "--to s3://sounds/a.csv: a URL does not work here" in err
    assert os.listdir(tmp_path) == ["a.wav"]


def test_local_recordings_are_classified_without_fsspec(model, tmp_path):
    write_noise(tmp_path / "a.wav")
    block = "import sys; sys.modules['fsspec'] = None; from mil_asc.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", block, "classify", tmp_path, "--model", model]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0 and "a.wav" in done.stdout, done.stderr


@pytest.mark.slow
def test_killed_and_resumed_jobs_have_one_row_per_object(store, model, tmp_path):
    """The command is killed at random, six times; nothing is left in the folder of temporary files."""
    parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install -e ".[parquet]"')
    for number in range(80):
        write_noise(tmp_path / "corpus" / f"{number % 7}" / f"{number:03}.wav", 0.4 + 0.002 * number, seed=number)
    url = store.put(tmp_path / "corpus", "corpus")
    shutil.rmtree(tmp_path / "corpus")
    scratch, out, chance = tmp_path / "scratch", tmp_path / "out", random.Random(1)
    scratch.mkdir()
    words = ["classify", url, "--model", model, "--format", "parquet", "--part-rows", 7, "--jobs", 2, "--to", out]
    killed = 0
    while killed < 6:
        process = start(*words, settings={"TMPDIR": str(scratch)})
        before, more = written(out), chance.randrange(1, 6)
        while process.poll() is None and written(out) < before + more:
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
    assert killed == 6
    process = start(*words, settings={"TMPDIR": str(scratch)})
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "were there before" in err, err
    rows = [row for part in out.glob("part-*") for row in parquet.read_table(part).to_pylist()]
    assert sorted(row["path"] for row in rows) == sorted(f"{url}/{n % 7}/{n:03}.wav" for n in range(80))
    assert not any(row["error"] for row in rows)
    assert not [path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size > 1000]


def written(folder):
    """Rows on the disk, in parts and in the journal; a part that appears meanwhile may count twice."""
    import pyarrow.parquet

    try:
        parts = sum(pyarrow.parquet.read_metadata(part).num_rows for part in folder.glob("part-*"))
        return parts + sum(file.read_bytes().count(b"\n") for file in folder.glob(".part-*.jsonl"))
    except FileNotFoundError:
        return 0
