"""``tools/evaluate.py``: a trained run on other data, in a report of its own; the run stays as it is."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tiny
from dcase_files import write_dcase_folder

from mil_asc.corpora.json_manifests import read_manifests
from mil_asc.training.entry import main as train
from mil_asc.training.evaluate_run import main

CLASSES = ["airport", "park", "tram"]


def content(folder):
    """Every file of a folder, its bytes by path."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the run ``run``, trained on the folder ``data``; three classes."""
    root = tmp_path_factory.mktemp("trained")
    clips = [("train", CLASSES[i % 3], "lisbon", 10 + i, 0) for i in range(6)]
    clips += [("evaluate", CLASSES[i % 3], "prague", 50 + i, 0) for i in range(5)]
    write_dcase_folder(root / "data", clips)
    words = ["--number_of_epochs=1", "--num_classes=3", f"--data.labels=[{','.join(CLASSES)}]"]
    assert train(tiny.tiny_run("recipes/TAU2019/hparams/fuse_pnl.yaml", root / "data", root / "run", *words)) == 0
    return root


class Place:
    """A trained run, and where its evaluations go."""

    def __init__(self, trained, folder, capsys):
        self.run, self.trained_data, self.folder, self.capsys = trained / "run", trained / "data", folder, capsys
        self.out = folder / "evaluation"

    def start(self, data, *more, run=None, out=None):
        """(exit status, standard error); the trained run has the same bytes before and after."""
        before = content(self.run)
        words = [str(run or self.run), f"--data_folder={data}", f"--output_folder={out or self.out}", "--device=cpu"]
        self.capsys.readouterr()
        status = main([*words, "--noprogressbar", *more])
        assert content(self.run) == before
        return status, self.capsys.readouterr().err

    def report(self, data, *more, **kwargs):
        status, err = self.start(data, *more, **kwargs)
        assert status == 0, err
        return json.loads((self.out / "report.json").read_text())

    def refusal(self, data, *more, **kwargs):
        status, err = self.start(data, *more, **kwargs)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status == 1 and len(lines) == 1 and "Traceback" not in err, err
        return lines[0]


@pytest.fixture
def place(trained, tmp_path, capsys):
    return Place(trained, tmp_path, capsys)


@pytest.fixture
def other(tmp_path):
    """Other recordings in the official layout, three to evaluate on."""
    clips = [("train", label, "oslo", i, 0) for i, label in enumerate(CLASSES)]
    clips += [("evaluate", label, "rome", 10 + i, 0) for i, label in enumerate(CLASSES)]
    return write_dcase_folder(tmp_path / "other", clips)


@pytest.fixture
def class_folders(tmp_path):
    """Two class folders, of one and two recordings; one is 25 s long."""
    rng = np.random.default_rng(0)
    for name, seconds in (("tram/a.wav", 1), ("park/b.wav", 25), ("park/c.wav", 1)):
        path = tmp_path / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.normal(size=16000 * seconds), 16000)
    return tmp_path / "sounds"


# -- what it evaluates


def test_the_runs_own_data_give_the_runs_own_results(place):
    report = place.report(place.trained_data)
    trained = json.loads((place.run / "report.json").read_text())
    assert report["evaluation"] == trained["evaluation"] and report["decisions"] == trained["decisions"]
    assert report["warnings"] == []


def test_report_says_which_model_and_which_data(place, other):
    report = place.report(other)
    trained = json.loads((place.run / "report.json").read_text())
    weights = (place.run / "model.sha256").read_text().split()[0]
    assert report["dataset"] == "other" and report["evaluation"]["clips"] == 3
    assert report["model"] == {
        "folder": str(place.run),
        "weights_sha256": weights,
        "dataset": "TAU2019",
        "data_folder": str(place.trained_data),
    }
    assert report["run"]["data_folder"] == str(other) and report["run"]["seed"] == trained["run"]["seed"]
    page = (place.out / "report.html").read_text()
    assert "Evaluation of a model that was trained on TAU2019." in page
    assert weights in page and str(place.run) in page and str(other) in page
    assert (place.out / "predictions.npz").is_file()


def test_report_has_no_floor_and_says_why(place, other):
    report = place.report(other)
    assert report["floor"] is None
    (note,) = [note for note in report["notes"] if "floor" in note]
    assert note.startswith("no floor: it is trained on the training set that belongs to an evaluation set")
    page = (place.out / "report.html").read_text()
    assert note in page and "The floor:" not in page


def test_cities_that_the_model_was_not_trained_on_are_unseen(place, other, tmp_path):
    found = place.report(other)["evaluation"]["seen_unseen"]
    assert found["per_city"].keys() == {"unseen"} and found["per_city"]["unseen"]["names"] == ["rome"]
    assert "per_device" not in found
    shutil.copytree(place.run, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/manifests")
    place.out = tmp_path / "second"
    assert place.report(other, run=tmp_path / "copy")["evaluation"]["seen_unseen"] == {}


def test_all_clips_of_a_set_with_lists_can_be_evaluated(place, other):
    assert place.report(other, "--clips=all")["evaluation"]["clips"] == 6
    assert place.report(other, "--clips=train", "--name=Oslo")["dataset"] == "Oslo"


def test_all_of_a_folder_of_classes_is_evaluated(place, class_folders):
    report = place.report(class_folders)
    assert [row["path"] for row in report["decisions"]] == [
        *("park/b.wav@0", "park/b.wav@10", "park/b.wav@20"),
        *("park/c.wav", "tram/a.wav"),
    ]
    assert report["notes"][0] == "no clips in the evaluation set of: airport" and report["warnings"] == []
    assert place.report(class_folders, "--clip_seconds=0")["evaluation"]["clips"] == 3
    assert place.report(class_folders, "--classes=[tram]")["evaluation"]["clips"] == 1


def test_ready_lists_of_class_folders_decide(place, class_folders):
    shutil.copytree(class_folders, class_folders / "train")
    shutil.copytree(class_folders / "tram", class_folders / "test/tram")
    for name in ("park", "tram"):
        shutil.rmtree(class_folders / name)
    assert [row["path"] for row in place.report(class_folders)["decisions"]] == ["test/tram/a.wav"]


def test_groups_of_class_folders_can_be_chosen(place, class_folders):
    report = place.report(class_folders, "--evaluate_groups=[park/c.wav]")
    assert [row["path"] for row in report["decisions"]] == ["park/c.wav"]


def test_manifests_are_evaluated_and_classes_are_matched_by_name(place, other, tmp_path):
    expected = place.report(other)
    words = [*tiny.tiny_run("recipes/TAU2019/hparams/fuse_pnl.yaml", other, tmp_path / "more"), "--num_classes=3"]
    assert train([*words, "--number_of_epochs=1", "--data.labels=[tram, park, airport]"]) == 0
    manifests = tmp_path / "more/manifests"
    assert read_manifests(manifests).labels == ["tram", "park", "airport"]
    for name in ("train.json", "valid.json"):
        (manifests / name).unlink()
    place.out = tmp_path / "second"
    report = place.report(manifests)
    assert report["labels"] == CLASSES and report["evaluation"] == expected["evaluation"]
    moved = other.rename(tmp_path / "moved")
    place.out = tmp_path / "third"
    assert place.report(manifests, f"--data_root={moved}")["evaluation"] == expected["evaluation"]


def test_bad_files_are_left_out_and_reported(place, class_folders):
    (class_folders / "park/c.wav").write_bytes(b"")
    assert "park/c.wav: empty" in place.refusal(class_folders)
    report = place.report(class_folders, "--on_bad_audio=skip")
    assert list(report["bad_audio"]) == ["park/c.wav"] and report["evaluation"]["clips"] == 4
    for path in class_folders.rglob("*.wav"):
        path.write_bytes(b"")
    assert "no usable clip is left" in place.refusal(class_folders, "--on_bad_audio=skip")


def test_clips_of_the_training_are_warned_of(place):
    (warning,) = place.report(place.trained_data, "--clips=all")["warnings"]
    assert warning == "the model was trained on 6 of these 11 recordings: the scores are too high"


def test_copies_of_training_clips_are_warned_of(place, tmp_path):
    shutil.copytree(place.trained_data, tmp_path / "copy of data")
    (warning,) = place.report(tmp_path / "copy of data", "--clips=all")["warnings"]
    assert warning.startswith(
        "6 of these 11 recordings have the path and the class of one that the model was trained on"
    )


def test_a_debug_run_is_warned_of(place, other, tmp_path):
    shutil.copytree(place.run, tmp_path / "copy")
    report = json.loads((tmp_path / "copy/report.json").read_text())
    report["run"]["debug"] = True
    (tmp_path / "copy/report.json").write_text(json.dumps(report))
    (warning,) = place.report(other, run=tmp_path / "copy")["warnings"]
    assert warning.endswith("copy is a debug run, whose results mean nothing")


def test_a_run_without_manifests_cannot_tell_what_it_was_trained_on(place, other, tmp_path):
    shutil.copytree(place.run, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/manifests")
    (warning,) = place.report(other, run=tmp_path / "copy")["warnings"]
    assert warning.startswith("whether the model was trained on these clips is unknown")


# -- what it refuses


def test_a_class_that_the_model_lacks_is_refused(place, class_folders, other):
    (class_folders / "park").rename(class_folders / "parking")
    message = place.refusal(class_folders)
    assert "sounds/parking: no class of the model: unknown class 'parking'; did you mean 'park'?" in message
    for path in [*other.glob("*.csv"), *other.glob("*/*.csv")]:
        path.write_text(path.read_text().replace("\ttram", "\tharbour"))
    assert "unknown class 'harbour'; legal: airport, park, tram" in place.refusal(other)
    assert not place.out.exists()


@pytest.mark.parametrize("name", ["run", "run/evaluation", "run/save"])
def test_the_trained_run_is_no_output_folder(place, trained, other, name):
    assert "is in the folder of the trained run, which stays as it is" in place.refusal(other, out=trained / name)


def test_an_output_folder_of_another_run_is_refused(place, trained, other, tmp_path):
    place.out = tmp_path / "copy"
    shutil.copytree(place.run, place.out)
    assert "copy holds a training run (hyperparams.yaml): give another" in place.refusal(other)
    for path in place.out.iterdir():
        if path.name != "report.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "copy holds the report of another model or of other data" in place.refusal(other)


def test_an_evaluation_is_repeated_but_not_replaced_by_another(place, other, class_folders):
    first = place.report(other)
    assert place.report(other)["evaluation"] == first["evaluation"]
    assert "holds the report of another model or of other data" in place.refusal(class_folders)


@pytest.mark.parametrize(
    "words, part",
    [
        (["--fold=2"], "fold2_train.csv is missing"),
        (["--clip_seconds=5"], "--clip_seconds has no effect on"),
        (["--batch=5"], "--batch=5 is not understood: options of readers are --KEY=VALUE with"),
        (["--fold"], "--fold is not understood"),
        (["--device=tpu9"], "--device=tpu9: no such device is available"),
        (["--name=a\udcff"], "is not UTF-8 text"),
    ],
)
def test_wrong_options_are_refused_in_one_line(place, other, words, part):
    assert part in place.refusal(other, *words)


def test_folders_that_are_none_are_refused_in_one_line(place, other, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nowhere is not a folder" in place.refusal(tmp_path / "nowhere")
    assert "holds no test.json, no meta.csv and no class folders" in place.refusal(tmp_path / "empty")
    assert "empty holds no finished run (model.yaml is missing)" in place.refusal(other, run=tmp_path / "empty")
    (tmp_path / "file").write_text("")
    assert "Not a directory" in place.refusal(other, out=tmp_path / "file/out")


def test_the_model_of_another_run_is_refused(place, other, tmp_path):
    """Its files fit each other, but the report says how another model was trained."""
    run = tmp_path / "run"
    shutil.copytree(place.run, run)
    described = json.loads((run / "report.json").read_text())
    described["run"]["weights_sha256"] = "0" * 64
    (run / "report.json").write_text(json.dumps(described))
    assert "model.ckpt is not the model of report.json: give the training" in place.refusal(other, run=run)


def test_damaged_weights_are_refused(place, other, tmp_path):
    shutil.copytree(place.run, tmp_path / "copy")
    path = tmp_path / "copy/model.ckpt"
    path.write_bytes(path.read_bytes()[:-1])
    message = place.refusal(other, run=tmp_path / "copy")
    assert "copy is damaged (model.ckpt does not match its checksum in model.sha256)" in message


@pytest.mark.slow
def test_the_tool_says_how_it_is_used():
    command = [sys.executable, tiny.ROOT / "tools/evaluate.py", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--data_folder DIR --output_folder OUT" in text and "data_root of manifests" in text
