"""``mil-asc classify``: the scene of every recording in every format, bad files, and what is refused."""

import csv
import io
import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from calls import start, write_noise
from finished_run import write_run

from mil_asc import SceneClassifier
from mil_asc.errors import DoubtWarning
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.scene import UNFAMILIAR
from mil_asc.presentation.scene_formats import FORMATS

ORDER = ["a.flac", "b.wav", "night/c.wav", "night/deep/d.ogg"]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def audacity_rows(text):
    rows = [line.split("\t") for line in text.splitlines()]
    return [(float(start), float(end), label) for start, end, label in rows]


# -- what is classified, and in which order


def test_folder_is_classified_with_its_sub_folders_in_sorted_order(mil_asc, recordings, model):
    (recordings / ".hidden.wav").write_bytes(b"")
    (recordings / "notes.txt").write_text("no audio")
    status, out, err = mil_asc("classify", recordings, "--model", model, "--format", "csv")
    assert status == 0 and err == ""
    assert [row["path"] for row in rows_of(out)] == [str(recordings / name) for name in ORDER]


def test_recording_that_is_named_twice_is_classified_once(mil_asc, recordings, model):
    words = [recordings / "night/c.wav", recordings, recordings / "b.wav", recordings / "night"]
    _, out, _ = mil_asc("classify", *words, "--model", model, "--format", "csv")
    names = [os.path.relpath(row["path"], recordings) for row in rows_of(out)]
    assert names == ["night/c.wav", "a.flac", "b.wav", "night/deep/d.ogg"]


def test_links_in_a_circle_end(mil_asc, recordings, model):
    (recordings / "night/again").symlink_to(recordings)
    _, out, _ = mil_asc("classify", recordings, "--model", model, "--format", "csv")
    assert [row["path"] for row in rows_of(out)] == [str(recordings / name) for name in ORDER]


def test_file_is_taken_whatever_its_ending(mil_asc, tmp_path, model):
    os.rename(write_noise(tmp_path / "a.wav"), tmp_path / "a.dat")
    status, out, _ = mil_asc("classify", tmp_path / "a.dat", "--model", model)
    assert status == 0 and "a.dat" in out


def test_folder_without_audio_is_an_error(mil_asc, tmp_path, model):
    status, out, err = mil_asc("classify", tmp_path, "--model", model)
    assert status == 1 and err == f"error: {tmp_path} holds no audio file\n"


# -- formats


def test_csv_has_what_the_classifier_says(mil_asc, tmp_path, model):
    path = write_noise(tmp_path / "noise.wav", 0.5, seed=3)  # like the clips of the calibration
    _, out, _ = mil_asc("classify", path, "--model", model, "--format", "csv")
    (row,) = rows_of(out)
    scene = OnnxSceneClassifier.from_hparams(model).explain_file(path)
    assert scene.familiar
    assert row["label"] == scene.label and row["assumption"] == scene.assumption == "smi"
    assert float(row["score"]) == pytest.approx(scene.scores["smi"][scene.label], abs=1e-5)
    assert float(row["probability"]) == pytest.approx(scene.probability, abs=1e-5)
    assert float(row["unfamiliarity"]) == pytest.approx(scene.unfamiliarity, abs=1e-4)
    assert row["familiar"] == str(scene.familiar).lower() and int(row["instances"]) == len(scene.instances)
    assert int(row["positive"]) == len(scene.instances.positive()) and float(row["end"]) == scene.end
    assert float(row["score:park"]) == pytest.approx(scene.scores["smi"]["park"], abs=1e-5)


def test_json_lines_have_scores_instances_and_timeline(mil_asc, recordings, model):
    words = ["--format", "jsonl", "--timeline", "0.5", "--assumption", "cmi"]
    _, out, _ = mil_asc("classify", recordings / "b.wav", "--model", model, *words)
    row = json.loads(out)
    scene = OnnxSceneClassifier.from_hparams(model).explain_file(recordings / "b.wav", "cmi")
    assert (row["label"], row["assumption"]) == (scene.label, "cmi") and set(row["scores"]) == {"smi", "cmi", "bag"}
    assert len(row["instances"]) == len(scene.instances)
    for found, one in zip(row["instances"], scene.instances):
        assert set(found) == {"start", "end", "label", "confidence", "positive"}
        assert found["start"] == pytest.approx(one.start) and found["positive"] == one.positive
    timeline = scene.timeline(0.5)
    assert [part["start"] for part in row["timeline"]] == pytest.approx([part.start for part in timeline])
    assert [part["label"] for part in row["timeline"]] == [part.label for part in timeline]


def test_json_is_one_list(mil_asc, recordings, model):
    _, out, _ = mil_asc("classify", recordings, "--model", model, "--format", "json")
    _, lines, _ = mil_asc("classify", recordings, "--model", model, "--format", "jsonl")
    assert json.loads(out) == [json.loads(line) for line in lines.splitlines()]


def test_model_without_calibration_gives_null(mil_asc, recordings, plain_model):
    _, out, _ = mil_asc("classify", recordings / "b.wav", "--model", plain_model, "--format", "jsonl")
    row = json.loads(out)
    assert row["probability"] is row["familiar"] is row["unfamiliarity"] is None
    _, out, _ = mil_asc("classify", recordings / "b.wav", "--model", plain_model, "--format", "csv")
    assert rows_of(out)[0]["familiar"] == rows_of(out)[0]["probability"] == ""


def test_audacity_labels_read_back_are_the_positive_moments(mil_asc, recordings, model, tmp_path):
    status, _, _ = mil_asc(
        "classify", recordings, "--model", model, "--format", "audacity", "--to", tmp_path / "labels"
    )
    assert status == 0
    classifier = OnnxSceneClassifier.from_hparams(model)
    for name in ORDER:
        scene = classifier.explain_file(recordings / name)
        rows = audacity_rows((tmp_path / "labels" / f"{name}.txt").read_text())
        for one in scene.instances:
            middle = (one.start + one.end) / 2
            assert any(start <= middle <= end for start, end, _ in rows) == one.positive
        assert all(row[2].startswith(scene.label) for row in rows)
        assert all(first[1] < second[0] for first, second in zip(rows, rows[1:]))


def test_raven_tables_read_back_are_the_positive_moments(mil_asc, recordings, model, tmp_path):
    mil_asc("classify", recordings, "--model", model, "--format", "raven", "--to", tmp_path / "tables")
    text = (tmp_path / "tables/night/c.wav.Table.1.selections.txt").read_text()
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    scene = OnnxSceneClassifier.from_hparams(model).explain_file(recordings / "night/c.wav")
    columns = "Selection,View,Channel,Begin Time (s),End Time (s),Low Freq (Hz),High Freq (Hz),Label,Confidence"
    assert list(rows[0]) == columns.split(",")
    assert [row["Selection"] for row in rows] == [str(i + 1) for i in range(len(rows))]
    assert {(row["View"], row["Channel"], row["Low Freq (Hz)"], row["High Freq (Hz)"]) for row in rows} == {
        ("Spectrogram 1", "1", "0", "8000")
    }
    inside = [
        one
        for one in scene.instances
        if any(
            float(r["Begin Time (s)"]) <= one.start + 1e-6 and one.end <= float(r["End Time (s)"]) + 1e-6 for r in rows
        )
    ]
    assert inside == scene.instances.positive()
    assert max(float(row["Confidence"]) for row in rows) == pytest.approx(
        max(one.confidence for one in scene.instances.positive()), abs=1e-3
    )


def test_one_recording_may_go_to_standard_output_in_every_format_for_it(mil_asc, recordings, model):
    status, out, _ = mil_asc("classify", recordings / "b.wav", "--model", model, "--format", "audacity")
    assert status == 0 and audacity_rows(out)
    status, out, err = mil_asc("classify", recordings, "--model", model, "--format", "audacity")
    assert status == 2 and "--to DIR" in err


def test_parquet_has_the_rows_of_csv(mil_asc, recordings, model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    status, out, _ = mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "scenes.parquet")
    assert status == 0 and out == ""
    _, text, _ = mil_asc("classify", recordings, "--model", model, "--format", "csv")
    rows = parquet.read_table(tmp_path / "scenes.parquet").to_pylist()
    for found, row in zip(rows, rows_of(text), strict=True):
        assert found["path"] == row["path"] and found["score"] == float(row["score"])
        assert found["familiar"] == (row["familiar"] == "true") and found["moments"][0]["end"] > 0


def test_table_has_a_line_per_recording_and_window(mil_asc, recordings, model):
    _, out, _ = mil_asc("classify", recordings, "--model", model)
    assert len(out.splitlines()) == 5 and "\x1b" not in out
    _, out, _ = mil_asc("classify", recordings / "b.wav", "--model", model, "--timeline", "0.5")
    assert "0:00.00 - 0:00.5" in out


def test_recording_unlike_the_training_data_is_marked(mil_asc, tmp_path, model):
    soundfile.write(tmp_path / "tone.wav", 0.9 * np.sin(np.arange(32000) * 0.05), 16000)
    write_noise(tmp_path / "noise.wav", 0.5, seed=3)
    _, out, _ = mil_asc("classify", tmp_path, "--model", model)
    noise, tone = out.splitlines()[1:]
    assert UNFAMILIAR in tone and UNFAMILIAR not in noise
    _, out, _ = mil_asc("classify", tmp_path / "tone.wav", "--model", model, "--format", "audacity")
    assert all(UNFAMILIAR in label for _, _, label in audacity_rows(out))


@pytest.mark.parametrize("form", ["csv", "audacity", "raven", "parquet", "dcase"])
def test_timeline_of_a_format_without_one_is_wrong_usage(mil_asc, recordings, model, tmp_path, form):
    words = ["--format", form, "--timeline", "1", "--to", tmp_path / "out"]
    status, _, err = mil_asc("classify", recordings, "--model", model, *words)
    assert status == 2 and f"--format {form} has no timeline" in err


def test_ending_of_the_file_decides_the_format(mil_asc, recordings, model, tmp_path):
    mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "a.jsonl")
    assert len([json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]) == 4
    status, _, err = mil_asc("classify", recordings, "--model", model, "--to", tmp_path / "a.xyz")
    assert status == 2 and "--format" in err


# -- names and bad files


HOSTILE = ["new\nline.wav", "esc\x1b[2Jape.wav", 'quo"te,comma.wav', "tab\tbed.wav", "caf\udce9.wav", "<b>&amp;.wav"]


@pytest.fixture
def hostile(tmp_path):
    source = write_noise(tmp_path / "source.wav", 0.5)
    for name in HOSTILE:
        os.makedirs(tmp_path / "hostile", exist_ok=True)
        shutil.copy(source, tmp_path / "hostile" / name)
    return tmp_path / "hostile"


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("parquet", "audacity", "raven", "dcase")])
def test_hostile_names_break_no_format_and_no_terminal(mil_asc, hostile, model, form):
    status, out, err = mil_asc("classify", hostile, "--model", model, "--format", form)
    assert status == 0 and not set(out) & {"\x1b", "\t"} and err == ""
    paths = {
        "csv": lambda: [row["path"] for row in rows_of(out)],
        "json": lambda: [row["path"] for row in json.loads(out)],
        "jsonl": lambda: [json.loads(line)["path"] for line in out.splitlines()],
        "table": lambda: out.splitlines()[1:],
    }[form]()
    assert len(paths) == len(HOSTILE)
    assert any('quo"te,comma.wav' in path for path in paths) and any("\\x1b[2J" in path for path in paths)


@pytest.mark.parametrize("form, ending", [("audacity", ".txt"), ("raven", ".Table.1.selections.txt")])
def test_files_of_hostile_names_have_the_same_names(mil_asc, hostile, model, tmp_path, form, ending):
    assert mil_asc("classify", hostile, "--model", model, "--format", form, "--to", tmp_path / "out")[0] == 0
    found = {name for name in os.listdir(tmp_path / "out") if name.endswith(".txt")}
    assert found == {f"{name}{ending}" for name in HOSTILE}


def test_bad_files_are_listed_at_the_end_with_status_3(mil_asc, recordings, model):
    (recordings / "broken\n.wav").write_text("no audio")
    soundfile.write(recordings / "silent.wav", np.zeros(16000), 16000)
    words = [recordings / "none.wav", recordings]
    status, out, err = mil_asc("classify", *words, "--model", model, "--format", "csv")
    assert status == 3 and len(rows_of(out)) == 4
    lines = err.splitlines()
    assert lines[0] == "3 of 7 recordings could not be classified:" and len(lines) == 4
    assert "none.wav: no such file" in lines[1] and "broken\\n.wav: unreadable" in lines[2] and "silent" in lines[3]


def test_two_paths_with_one_name_are_refused_where_results_would_be_mixed_up(mil_asc, recordings, model, tmp_path):
    other = write_noise(tmp_path / "other/b.wav")
    words = ["--model", model, "--format", "raven", "--to", tmp_path / "out"]
    status, _, err = mil_asc("classify", recordings / "b.wav", other, *words)
    assert status == 2 and "two paths end in b.wav" in err


# -- backends


def test_both_backends_give_the_same_scenes(mil_asc, recordings, model):
    found = []
    for backend in ("onnx", "torch"):
        _, out, _ = mil_asc("classify", recordings, "--model", model, "--backend", backend, "--format", "jsonl")
        found.append([json.loads(line) for line in out.splitlines()])
    for first, second in zip(*found, strict=True):
        assert first["label"] == second["label"] and first["familiar"] == second["familiar"]
        for own, theirs in zip(first["instances"], second["instances"], strict=True):
            assert own["confidence"] == pytest.approx(theirs["confidence"], abs=1e-4)


def test_run_is_classified_with_pytorch(mil_asc, recordings, one_run):
    status, out, _ = mil_asc("classify", recordings / "b.wav", "--model", one_run, "--format", "jsonl")
    scene = SceneClassifier.from_hparams(one_run, run_opts={"device": "cpu"}).explain_file(recordings / "b.wav")
    assert status == 0 and json.loads(out)["label"] == scene.label


def test_device_is_for_pytorch(mil_asc, recordings, model):
    status, _, err = mil_asc("classify", recordings, "--model", model, "--backend", "onnx", "--device", "cpu")
    assert status == 2 and "--backend torch" in err


def test_onnx_file_is_a_model(mil_asc, recordings, model):
    words = ["classify", recordings / "b.wav", "--format", "csv", "--model"]
    assert mil_asc(*words, f"{model}/model.onnx") == mil_asc(*words, model)


# -- terminals


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_colour_is_on_a_terminal_only_unless_no_color_is_set(recordings, model, no_colour):
    reader, writer = os.openpty()
    settings = {"NO_COLOR": no_colour, "TERM": "xterm"}
    process = start("classify", recordings / "b.wav", "--model", model, settings=settings, stdout=writer)
    os.close(writer)
    assert process.wait(60) == 0, process.stderr.read()
    out = os.read(reader, 10_000)
    os.close(reader)
    process.stderr.close()
    assert (b"\x1b[1m" in out) == (not no_colour)


def test_windows_too_short_to_be_judged_have_no_probability_in_an_unfamiliar_recording(mil_asc, model, tmp_path):
    soundfile.write(tmp_path / "tone.wav", 0.9 * np.sin(np.arange(32000) * 0.05), 16000)
    write_noise(tmp_path / "noise.wav", 0.6, seed=3)
    words = ["classify", tmp_path / "noise.wav", tmp_path / "tone.wav", "--model", model, "--timeline", 0.01]
    status, out, err = mil_asc(*words, "--format", "jsonl")
    assert status == 0 and err == "note: windows are longer than 0.01 s: an instance of this model has 0.256 s\n"
    noise, tone = (json.loads(line) for line in out.splitlines())
    assert (noise["familiar"], tone["familiar"]) == (True, False)
    for row, is_shown in ((noise, True), (tone, False)):
        parts = row["timeline"]
        assert len(parts) == len(row["instances"]) > 1 and all(part["familiar"] is None for part in parts)
        assert all((part["probability"] is not None) == is_shown for part in parts)
    assert mil_asc(*words, "--quiet")[2] == "" and mil_asc(*words[:-1], 0.5)[2] == ""


def test_unfamiliar_recording_has_no_probability(mil_asc, model, tmp_path):
    soundfile.write(tmp_path / "tone.wav", 0.9 * np.sin(np.arange(32000) * 0.05), 16000)
    words = ["classify", tmp_path / "tone.wav", "--model", model]
    row = json.loads(mil_asc(*words, "--format", "jsonl")[1])
    assert (row["familiar"], row["probability"]) == (False, None) and row["unfamiliarity"] > 0
    head, line = mil_asc(*words)[1].splitlines()
    assert "P(correct)" in head and line.split()[2] == "-" and UNFAMILIAR in line
    assert rows_of(mil_asc(*words, "--format", "csv")[1])[0]["probability"] == ""


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_share_to_reject_is_refused_without_a_calibration(mil_asc, recordings, plain_model, model, backend):
    words = ["classify", recordings / "b.wav", "--backend", backend, "--rejected", "0.05", "--model"]
    status, out, err = mil_asc(*words, plain_model)
    assert (status, out) == (1, "") and err.count("\n") == 1 and "no calibration" in err
    assert mil_asc(*words, model)[0] == 0


def test_table_without_a_row_has_no_header(mil_asc, model, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    status, out, err = mil_asc("classify", tmp_path / "bad.wav", "--model", model)
    assert (status, out) == (3, "") and "bad.wav" in err


def test_debug_run_is_used_with_a_warning(mil_asc, recordings, tmp_path):
    folder = write_run(tmp_path / "seed-1_debug")
    report = json.loads((folder / "report.json").read_text())
    report["run"]["debug"] = True
    (folder / "report.json").write_text(json.dumps(report))
    for words in (["classify", recordings / "b.wav", "--model", folder], ["info", folder]):
        status, _, err = mil_asc(*words)
        assert status == 0 and err == f"warning: {folder} is a debug run, whose results mean nothing\n"
    with pytest.warns(DoubtWarning, match="is a debug run"):
        SceneClassifier.from_hparams(folder)
    status, _, err = mil_asc("pack", tmp_path / "seed-1", "--to", tmp_path / "model")
    assert status == 1 and "no such folder" in err and f"there is {folder}, a debug run" in err
