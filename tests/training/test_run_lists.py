"""A run keeps its data, run options and settings: what differs at the next start is refused in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
from dcase_files import write_dcase_folder

from mil_asc.errors import UserError
from mil_asc.training.entry import main
from mil_asc.training.run_folder import RunFolder

RECIPE = "recipes/TAU2019/hparams/fuse_pnl.yaml"
CLASSES = ("airport", "park", "tram")
BOTH = [[], ["--test_only"]]


class Place:
    """A data folder and the output folder of a run on it."""

    def __init__(self, folder, capsys):
        self.data, self.run, self.capsys = folder / "data", folder / "run", capsys

    def start(self, *more):
        """(exit status, standard error) of a start."""
        status = main(tiny.tiny_run(RECIPE, self.data, self.run, "--number_of_epochs=1", *more))
        return status, self.capsys.readouterr().err

    def report(self, *more):
        """``report.json`` after a start that succeeds."""
        status, err = self.start(*more)
        assert status == 0, err
        return json.loads((self.run / "report.json").read_text())

    def refusal(self, *more):
        """The one line of a start that is refused; the run is untouched."""
        before = self.content()
        status, err = self.start(*more)
        lines = [line for line in err.splitlines() if line.startswith("error:")]
        assert status == 1 and len(lines) == 1 and "Traceback" not in err
        assert self.content() == before
        return lines[0]

    def content(self):
        """Every file of the run but its log, by path."""
        files = [path for path in self.run.rglob("*") if path.is_file() and path.name != "log.txt"]
        return {str(path): path.read_bytes() for path in files if "tensorboard" not in path.parts}

    def silence(self, *paths):
        """Make recordings silent, which makes them unusable."""
        for path in paths:
            soundfile.write(path, np.zeros(16000), 16000, subtype="PCM_24")


def test_start_that_is_refused_leaves_no_folder(place):
    assert "the data has 10 classes, the model 4" in place.refusal("--num_classes=4") and not place.run.exists()
    place.run.mkdir()
    assert place.start("--num_classes=4")[0] == 1 and place.run.exists()  # it was there before


def test_start_that_is_refused_leaves_decoded_clips_and_the_folder_of_another_start(place, monkeypatch):
    bad = sorted((place.data / "audio").iterdir())[0]
    place.silence(bad)
    line = place.start(f"--cache_folder={place.run}/waveforms")[1]
    assert "fix them, or leave them out" in line and [path.name for path in place.run.iterdir()] == ["waveforms"]
    first, second = RunFolder(place.run / "new"), RunFolder(place.run / "new")
    first.open("seed: 1")
    monkeypatch.setattr(Path, "exists", lambda path: False)  # as if both had looked before either made it
    with pytest.raises(UserError, match="is in use by another run"):
        second.open("seed: 1")
    second.close()
    monkeypatch.undo()
    assert (place.run / "new/log.txt").exists()
    first.close()
    assert not (place.run / "new").exists()


def test_clips_longer_than_those_of_the_data_set_are_warned_of(place):
    words = "longer than this data set's clips of 0.5 s, up to 1.0 s: another data set?"
    assert any(words in warning for warning in place.report("--data.corpus.official_seconds=0.5")["warnings"])
    assert not any("longer than this" in warning for warning in place.report()["warnings"])  # the same run


@pytest.fixture
def place(tmp_path, dcase_folder, capsys, monkeypatch):
    monkeypatch.setattr("mil_asc.results.report.render_page", lambda *arguments: "")  # slow, and has its own tests
    return Place(tmp_path, capsys)


def about_lists(report):
    """The warnings of a report, but for those that a tiny set and a short training always give."""
    always = ("fewer than 30 training clips", "the warm-up", "the model (0.0 % under SMI) is not better than the floor")
    return [warning for warning in report["warnings"] if not warning.startswith(always)]


def clips(place, pattern):
    return sorted(place.data.glob(f"audio/{pattern}"))


# -- the lists are judged after bad files were left out


def test_class_that_loses_all_its_training_clips_is_warned_of(place):
    place.silence(*clips(place, "tram-lisbon-*"))
    report = place.report("--on_bad_audio=skip")
    assert len(report["bad_audio"]) == 2
    assert about_lists(report) == ["evaluated on but with no clip to train on: tram"]
    assert [note for note in report["notes"] if "training set" in note] == [
        "no clips in the training set of: bus, metro, metro_station, public_square, shopping_mall, street_pedestrian, "
        "street_traffic, tram"
    ]


def test_a_warning_leaves_with_the_bad_file_that_caused_it(place):
    shutil.rmtree(place.data)
    shared = [("train", "park", "paris", 4, 0), ("evaluate", "park", "paris", 4, 1)]
    train = [("train", label, "lisbon", i, 0) for i, label in enumerate(CLASSES)]
    evaluate = [("evaluate", label, "prague", 10 + i, 0) for i, label in enumerate(CLASSES)]
    write_dcase_folder(place.data, shared + train + evaluate)
    place.silence(*clips(place, "park-paris-4-0-*"))
    report = place.report("--on_bad_audio=skip")
    assert about_lists(report) == [] and len(report["bad_audio"]) == 1


def test_a_training_clip_that_becomes_bad_changes_the_training_set(place):
    place.report()
    place.silence(clips(place, "tram-lisbon-*")[0])
    words = "contains a run with another training set (8 clips before, 7 now)"
    for more in BOTH:
        assert words in place.refusal("--on_bad_audio=skip", *more)


def test_a_training_clip_that_is_repaired_changes_the_training_set(place):
    (path,) = clips(place, "tram-lisbon-12-*")
    good = path.read_bytes()
    place.silence(path)
    place.report("--on_bad_audio=skip")
    assert place.report("--on_bad_audio=skip")["evaluation"]["clips"] == 4  # the same list again
    path.write_bytes(good)
    assert "another training set (7 clips before, 8 now)" in place.refusal("--on_bad_audio=skip")


def test_held_out_locations_are_chosen_among_usable_clips(place):
    place.silence(*clips(place, "tram-lisbon-12-*"))
    report = place.report("--on_bad_audio=skip", "--data.validation_fraction=0.4")
    assert about_lists(report) == [] and report["monitored_list"] == "validation"


# -- another evaluation set, another data folder


@pytest.mark.parametrize("more", BOTH, ids=["train", "test_only"])
def test_another_evaluation_set_is_refused(place, more):
    place.report()
    path = place.data / "evaluation_setup/fold1_evaluate.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    message = place.refusal(*more)
    assert "contains a run with another evaluation set (4 clips before, 3 now)" in message
    assert "tools/evaluate.py" in message


@pytest.mark.parametrize("more", BOTH, ids=["train", "test_only"])
def test_another_data_folder_is_refused_once_there_is_a_report(place, tmp_path, more):
    place.report()
    shutil.copytree(place.data, tmp_path / "copy")
    first, place.data = place.data, tmp_path / "copy"
    assert f"has the report of a run on {first}, not on {place.data}: evaluate the run there" in place.refusal(*more)


def test_the_data_of_an_unfinished_run_may_have_moved(place, tmp_path):
    place.report()
    (place.run / "report.json").unlink()
    place.data = place.data.rename(tmp_path / "moved")
    assert place.report()["run"]["data_folder"] == str(place.data)


# -- run options


@pytest.mark.parametrize(
    "option, change",
    [
        ("--precision=bf16", "precision: fp32 before, bf16 now"),
        ("--grad_accumulation_factor=2", "grad_accumulation_factor: 1 before, 2 now"),
        ("--max_grad_norm=5", "max_grad_norm: -1.0 before, 5.0 now"),
        ("--remove_vector_weight_decay", "remove_vector_weight_decay: False before, True now"),
        ("--eval_precision=bf16", "eval_precision: fp32 before, bf16 now"),
    ],
)
def test_other_run_options_are_refused(place, option, change):
    place.report()
    assert f"contains a run with other settings ({change})" in place.refusal(option)


def test_evaluation_with_another_validation_share_is_refused(place):
    place.report()
    assert "data.validation_fraction: 0.0 before, 0.5 now" in place.refusal("--test_only", "--validation_fraction=0.5")


def test_options_of_the_training_do_not_matter_to_an_evaluation(place):
    first = place.report("--max_grad_norm=5")
    assert "max_grad_norm: 5.0 before, -1.0 now" in place.refusal()
    assert place.report("--test_only", "--precision=bf16")["evaluation"] == first["evaluation"]
    assert "eval_precision: fp32 before, bf16 now" in place.refusal("--test_only", "--eval_precision=bf16")
    assert place.report("--max_grad_norm=5")["run"]["run_options"] == first["run"]["run_options"]


@pytest.mark.parametrize("recorded", ["by this version", "by one without the choice"])
def test_a_run_goes_on_with_the_kernels_of_its_beginning(place, monkeypatch, recorded):
    monkeypatch.setenv("MIL_ASC_KERNELS", "pytorch")
    assert place.report()["run"]["kernels"] == "pytorch"
    if recorded != "by this version":
        options = json.loads((place.run / "run_options.json").read_text())
        assert options.pop("MIL_ASC_KERNELS") == "pytorch"
        (place.run / "run_options.json").write_text(json.dumps(options))
    monkeypatch.setenv("MIL_ASC_KERNELS", "numba")
    assert place.report()["run"]["kernels"] == "pytorch"  # nothing is left to train
    (place.run / "report.json").unlink()
    refusal = place.refusal()
    assert "contains a run with other settings (MIL_ASC_KERNELS: pytorch before, numba now)" in refusal
    assert "set MIL_ASC_KERNELS=pytorch, or give another --output_folder" in refusal
    monkeypatch.setenv("MIL_ASC_KERNELS", "fast")
    assert "MIL_ASC_KERNELS must be numba or pytorch; got 'fast'" in place.refusal()


# -- damage


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("hyperparams.yaml", "a: [", "hyperparams.yaml is damaged (ParserError)"),
        ("hyperparams.yaml", "text", "hyperparams.yaml is damaged"),
        ("hyperparams.yaml", "[" * 3000, "hyperparams.yaml is damaged (RecursionError)"),
        ("hyperparams.yaml", b"\xff\xfe", "hyperparams.yaml is damaged (UnicodeDecodeError)"),
        ("lists.json", "{", "lists.json is damaged (JSONDecodeError)"),
        ("lists.json", "[]", "lists.json is damaged (it has no labels)"),
        ("lists.json", '{"labels": "park"}', "lists.json is damaged (it has no labels)"),
        ("run_options.json", b"\xff", "run_options.json is damaged (UnicodeDecodeError)"),
        ("run_options.json", "{}", "run_options.json is damaged (it has no precision)"),
    ],
)
def test_damaged_records_are_refused_in_one_line(place, name, content, words):
    place.report()
    (place.run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    status, err = place.start()
    assert status == 1 and err.count("error: ") == 1 and "Traceback" not in err
    assert words in err and "give another --output_folder, or remove that one" in err


@pytest.mark.parametrize("name", ["hyperparams.yaml", "lists.json", "run_options.json"])
def test_trained_run_without_a_record_is_refused(place, name):
    place.report()
    (place.run / name).unlink()
    for more in ([], ["--test_only"]):
        status, err = place.start(*more)
        assert status == 1 and err.count("error: ") == 1 and f"{name} is missing" in err


def test_damaged_report_is_written_again_with_a_warning(place):
    first = place.report()
    (place.run / "report.json").write_text("{")
    again = place.report("--test_only")
    assert again["evaluation"] == first["evaluation"]
    (warning,) = about_lists(again)
    assert "report.json is damaged" in warning and "those of this evaluation" in warning


@pytest.mark.parametrize("more", BOTH, ids=["train", "test_only"])
def test_damaged_checkpoint_without_an_earlier_one_is_refused(place, more):
    place.report()
    (path,) = place.run.glob("save/CKPT*/model.ckpt")
    path.write_bytes(path.read_bytes()[:1000])
    assert "is damaged (model.ckpt does not match its checksum in SHA256SUMS)" in place.refusal(*more)


def test_a_training_clip_with_another_class_changes_the_training_set(place):
    place.report()
    for path in (place.data / "meta.csv", place.data / "evaluation_setup/fold1_train.csv"):
        lines = path.read_text().splitlines()
        (row,) = [k for k, line in enumerate(lines) if line.startswith("audio/park-lisbon-11-0-a.wav\t")]
        lines[row] = lines[row].replace("\tpark", "\ttram", 1)
        path.write_text("\n".join(lines) + "\n")
    assert "another training set (8 clips before, 8 now)" in place.refusal()


def test_held_out_locations_depend_on_the_seed(place):
    def held_out(seed):
        status, err = place.start("--debug", "--data.validation_fraction=0.4", f"--seed={seed}")
        assert status == 0, err
        return sorted(json.loads(Path(f"{place.run}_debug/manifests/valid.json").read_text()))

    chosen = {seed: held_out(seed) for seed in (1, 2, 3)}
    assert len({tuple(names) for names in chosen.values()}) > 1
    assert held_out(1) == chosen[1]


@pytest.mark.parametrize("more", BOTH)
def test_recordings_that_changed_since_the_first_start_are_warned_of(place, more):
    """With the same names and classes; the warning stays in the reports of later starts."""
    words = "are not those that"
    assert not any(words in warning for warning in place.report()["warnings"])
    path = place.data / "audio/airport-lisbon-10-0-a.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(7).normal(size=16000), 16000, subtype="PCM_24")
    for _ in range(2):
        assert [words in warning for warning in place.report(*more)["warnings"]].count(True) == 1


def test_recordings_that_moved_are_the_same(place, tmp_path):
    place.report()
    (place.run / "report.json").unlink()
    place.data = place.data.rename(tmp_path / "elsewhere")
    assert not any("are not those that" in warning for warning in place.report()["warnings"])


@pytest.mark.parametrize("more", BOTH)
def test_checkpoints_of_another_seed_are_refused(place, tmp_path, more):
    place.report("--seed=2")
    (place.run / "save").rename(tmp_path / "of_seed_2")
    shutil.rmtree(place.run)
    place.report()
    shutil.rmtree(place.run / "save")
    (tmp_path / "of_seed_2").rename(place.run / "save")
    assert "is a checkpoint of another run, with other settings or another seed" in place.refusal(*more)
