"""Results that are there already belong to the recordings that are classified, or the command says so."""

import json
import os

import pytest
from calls import start, write_noise


@pytest.fixture
def two_sites(tmp_path):
    """Two folders with a recording of the same name, of different content."""
    for seed, name in enumerate(["north/a.wav", "south/a.wav"]):
        write_noise(tmp_path / name, 1.0 + seed, seed)
    return tmp_path / "north", tmp_path / "south"


def one_error(outcome, *words):
    status, out, err = outcome
    assert (status, out) == (1, "") and err.count("\n") == 1 and all(word in err for word in words), err


@pytest.mark.parametrize("form", ["audacity", "raven"])
def test_file_of_another_folders_recording_is_not_taken_for_ones_own(mil_asc, two_sites, model, tmp_path, form):
    north, south = two_sites
    words = ["--model", model, "--format", form, "--to", tmp_path / "labels"]
    assert mil_asc("classify", north, *words)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "labels").iterdir()}
    for place in (south, south / "a.wav"):
        one_error(mil_asc("classify", place, *words), "is there already, from recordings in", str(north), "--force")
    assert {path.name: path.read_bytes() for path in (tmp_path / "labels").iterdir()} == before
    for place in (north, north / "a.wav"):
        assert "1 were there before" in mil_asc("classify", place, *words)[2]
    write_noise(south / "b.wav")
    assert mil_asc("classify", south / "b.wav", *words)[0] == 0
    assert mil_asc("classify", south, *words, "--force")[0] == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_paths_relative_to_another_folder_are_not_those_of_the_rows(
    mil_asc, two_sites, model, tmp_path, monkeypatch, form
):
    north, south = two_sites
    words = ["classify", "a.wav", "--model", model, "--to", tmp_path / f"rows.{form}"]
    monkeypatch.chdir(north)
    assert mil_asc(*words)[0] == 0
    before = (tmp_path / f"rows.{form}").read_bytes()
    monkeypatch.chdir(south)
    one_error(mil_asc(*words), f"paths relative to {north}, not to {south}")
    assert (tmp_path / f"rows.{form}").read_bytes() == before
    assert mil_asc("classify", south / "a.wav", *words[2:])[0] == 0
    monkeypatch.chdir(north)
    assert "1 were there before" in mil_asc(*words)[2]


@pytest.mark.parametrize("to", ["rows.csv", "rows.jsonl", "rows"])
def test_other_spellings_of_a_folder_name_the_same_recordings(mil_asc, recordings, model, tmp_path, monkeypatch, to):
    if to == "rows":
        pytest.importorskip("pyarrow", reason='needs pyarrow: pip install -e ".[parquet]"')
    words = ["--model", model, "--to", tmp_path / to, *(["--format", "parquet"] if to == "rows" else [])]
    monkeypatch.chdir(recordings.parent)
    assert mil_asc("classify", recordings.name, *words)[0] == 0
    for spelling in (f"./{recordings.name}", f"../{recordings.parent.name}/{recordings.name}/", recordings):
        status, _, err = mil_asc("classify", spelling, *words)
        assert status == 0 and "0 recordings classified" in err and "4 were there before" in err, err
    monkeypatch.chdir(tmp_path)
    assert "4 were there before" in mil_asc("classify", recordings, *words)[2]


@pytest.mark.parametrize("to", ["rows.csv", "rows.jsonl"])
def test_relative_paths_are_no_rows_of_full_ones(mil_asc, two_sites, model, tmp_path, monkeypatch, to):
    north, _ = two_sites
    words = ["--model", model, "--to", tmp_path / to]
    assert mil_asc("classify", north, *words)[0] == 0
    monkeypatch.chdir(tmp_path)
    one_error(mil_asc("classify", "north", *words), "has full paths: give full paths")
    assert "1 were there before" in mil_asc("classify", f"{north}/../north", *words)[2]


def test_recording_that_is_newer_than_its_row_is_named(mil_asc, recordings, model, tmp_path):
    words = ["classify", recordings, "--model", model, "--to", tmp_path / "a.csv"]
    assert "warning" not in mil_asc(*words)[2] + mil_asc(*words)[2]
    later = os.stat(tmp_path / "a.csv").st_mtime + 5
    os.utime(recordings / "b.wav", (later, later))
    for _ in range(2):
        status, _, err = mil_asc(*words)
        assert status == 0 and "warning: 1 recordings are newer than their rows" in err and "b.wav" in err


def test_recording_that_is_newer_than_its_file_is_classified_again(mil_asc, recordings, model, tmp_path):
    words = ["classify", recordings, "--model", model, "--format", "audacity", "--to", tmp_path / "labels"]
    mil_asc(*words)
    past = os.stat(tmp_path / "labels/b.wav.txt").st_mtime - 0.001
    os.utime(recordings / "a.flac", (past - 60, past - 60))
    later = past + 60
    os.utime(recordings / "b.wav", (later, later))
    assert "1 recordings classified, 3 were there before" in mil_asc(*words)[2]


@pytest.mark.parametrize("form, row", [("jsonl", '{"path": 5}'), ("jsonl", '{"path": ' + "[" * 100_000)])
def test_row_that_was_edited_is_refused_in_one_line(mil_asc, recordings, model, tmp_path, form, row):
    file = tmp_path / f"a.{form}"
    mil_asc("classify", recordings, "--model", model, "--to", file)
    file.write_text(file.read_text() + row + "\n")
    before = file.read_bytes()
    one_error(mil_asc("classify", recordings, "--model", model, "--to", file), "does not hold rows of mil-asc classify")
    assert file.read_bytes() == before


def test_row_of_csv_with_an_endless_field_is_refused_in_one_line(mil_asc, recordings, model, tmp_path):
    file = tmp_path / "a.csv"
    mil_asc("classify", recordings, "--model", model, "--to", file)
    file.write_text(f'{file.read_text()}"{"a" * 200_000}",1\n')
    one_error(mil_asc("classify", recordings, "--model", model, "--to", file), "does not hold rows of mil-asc classify")


@pytest.mark.parametrize("content", [b"\x95\x00", b"[1]", b"[" * 100_000, json.dumps({"format": "csv"}).encode()])
def test_damaged_settings_are_refused_in_one_line(mil_asc, recordings, model, tmp_path, content):
    mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "a.csv")
    (tmp_path / "a.csv.settings.json").write_bytes(content)
    one_error(mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "a.csv"), "results of another run")


def test_place_that_cannot_be_written_gets_no_settings(recordings, model, tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "none/a.csv")
    process = start("classify", recordings, "--model", model, "--to", tmp_path / "a.csv")
    out, err = process.communicate()
    one_error((process.returncode, out, err), "No such file")
    assert not (tmp_path / "a.csv.settings.json").exists()


@pytest.mark.parametrize("form", ["json", "table", "parquet"])
def test_file_that_appears_meanwhile_is_kept(mil_asc, recordings, model, tmp_path, monkeypatch, form):
    from mil_asc.inference.onnx import OnnxSceneClassifier

    file, explain = tmp_path / f"a.{form}", OnnxSceneClassifier.explain_file

    def late(*words):
        file.write_text("mine")
        return explain(*words)

    monkeypatch.setattr(OnnxSceneClassifier, "explain_file", late)
    words = ["classify", recordings, "--model", model, "--format", form, "--to", file]
    one_error(mil_asc(*words), "was made by another program meanwhile: the results are in", f"a.{form}.new")
    assert file.read_text() == "mine" and (tmp_path / f"a.{form}.new").stat().st_size > 100
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_two_programs_do_not_make_one_file(mil_asc, recordings, model, tmp_path, form):
    import fcntl

    with open(tmp_path / f".a.{form}.partial", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        words = ["classify", recordings, "--model", model, "--to", tmp_path / f"a.{form}"]
        one_error(mil_asc(*words), "is being written by another mil-asc classify")
        assert (tmp_path / f".a.{form}.partial").exists()
    assert mil_asc(*words)[0] == 0  # what a killed program left is replaced
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{form}", "recordings"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_name_with_a_line_break_and_its_escaped_form_have_different_rows(mil_asc, model, tmp_path, form):
    for seed, name in enumerate(["a\nb.wav", r"a\nb.wav", r"a\\nb.wav"]):
        write_noise(tmp_path / "recordings" / name, seed=seed)
    words = ["classify", tmp_path / "recordings", "--model", model, "--to", tmp_path / f"rows.{form}"]
    assert mil_asc(*words)[0] == 0
    rows = (tmp_path / f"rows.{form}").read_text().splitlines()[-3:]
    paths = {row.partition(",")[0] for row in rows}
    assert len(paths) == 3
    (tmp_path / f"rows.{form}").write_text("\n".join((tmp_path / f"rows.{form}").read_text().splitlines()[:-1]) + "\n")
    assert "1 recordings classified, 2 were there before" in mil_asc(*words)[2]


# -- what is read is not written over


@pytest.mark.parametrize("words", [["explain"], ["classify", "--format", "json"], ["classify", "--format", "csv"]])
def test_results_never_replace_a_recording(mil_asc, recordings, model, tmp_path, words):
    odd = tmp_path / "odd"
    (recordings / "b.wav").rename(odd)
    (tmp_path / "linked").hardlink_to(odd)
    for source, to in ((odd, odd), (odd, tmp_path / "linked"), (odd, recordings / "a.flac"), (odd, "new.wav")):
        before = odd.read_bytes(), (recordings / "a.flac").read_bytes()
        one_error(mil_asc(*words, source, "--model", model, "--to", to, "--force"), f"--to {to} is ", "for the results")
        assert (odd.read_bytes(), (recordings / "a.flac").read_bytes()) == before
    folder = ["classify", recordings, "--model", model, "--format", "csv", "--force", "--to"]
    one_error(mil_asc(*folder, recordings / "night/c.wav"), "is the name of a recording")


def test_results_never_replace_the_list_of_recordings(mil_asc, recordings, model, tmp_path):
    (tmp_path / "list.csv").write_text("filename\na.flac\n")
    words = ["classify", recordings, "--model", model, "--list", tmp_path / "list.csv", "--force", "--to"]
    one_error(mil_asc(*words, tmp_path / "list.csv"), "which is read")
    assert (tmp_path / "list.csv").read_text() == "filename\na.flac\n"


def test_sound_in_formats_that_are_not_read_is_counted(mil_asc, recordings, model, tmp_path):
    for name in ("x.wma", "night/y.WMA", "night/z.amr", ".hidden.wma", "notes.txt"):
        (recordings / name).write_bytes(b"any")
    status, _, err = mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "a.csv")
    assert status == 0
    assert "warning: files in formats that are not read were passed over (2 .wma, 1 .amr)" in err
    (tmp_path / "only").mkdir()
    (tmp_path / "only/x.wma").write_bytes(b"any")
    one_error(mil_asc("classify", tmp_path / "only", "--model", model), "holds no audio file, but files in", "1 .wma")
