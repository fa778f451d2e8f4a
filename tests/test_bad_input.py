"""Bad input, end to end: the error is one line, and the next run with good input works."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from dcase_files import write_dcase_folder
from filelock import FileLock
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from mil_asc.store import build as cache
from mil_asc.training.entry import main

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"
FEW = "fewer than 30 training clips, too few to rely on the scores: {}"
CLIP = "audio/airport-lisbon-10-0-a.wav"


@pytest.fixture(autouse=True)
def own_seed(monkeypatch):
    """Every loaded recipe sets SpeechBrain's seed in the environment; it is reset after the test."""
    monkeypatch.setenv("SB_GLOBAL_SEED", "0")


class Bench:
    """A tiny run on a data folder, in process; ``words`` returns its command line."""

    def __init__(self, tmp_path, data, capsys):
        self.data, self.out, self.cache, self.capsys = data, tmp_path / "out", tmp_path / "cache", capsys

    def words(self, *more, recipe=RECIPE):
        return [
            str(recipe),
            f"--data_folder={self.data}",
            f"--output_folder={self.out}",
            f"--cache_folder={self.cache}",
            "--device=cpu",
            "--precision=fp32",
            "--model.channels=[4,4,4,4]",
            "--model.features.n_mels=16",
            "--model.head.instance_dim=8",
            "--number_of_epochs=1",
            "--batch_size=4",
            "--noprogressbar",
            *more,
        ]

    def refuses(self, *more, recipe=RECIPE):
        """The one-line error message of a run that is refused."""
        status = main(self.words(*more, recipe=recipe))
        err = self.capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("error:")]
        assert (status, len(lines)) == (1, 1) and "Traceback" not in err, err
        return lines[0]

    def succeeds(self, *more):
        """``report.json`` of a successful run, and its output on standard error."""
        status = main(self.words(*more))
        err = self.capsys.readouterr().err
        assert status == 0 and "error:" not in err, err
        return json.loads((self.out / "report.json").read_text()), err


@pytest.fixture
def bench(tmp_path, dcase_folder, capsys, monkeypatch):
    monkeypatch.setattr("mil_asc.results.report.render_page", lambda *arguments: "")  # slow, and has its own tests
    return Bench(tmp_path, dcase_folder, capsys)


@pytest.fixture
def small_disk(tmp_path):
    """``small_disk(size)`` mounts or resizes a file system of ``size`` kilobytes, and returns its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size):
        options = f"{'remount,' if folder.is_mount() else ''}size={size}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
        return folder

    yield resize
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


# -- a good run, for comparison


def test_good_run_reports_and_draws_curves(bench):
    report, err = bench.succeeds("--number_of_epochs=2")
    assert [record["epoch"] for record in report["history"]] == [1, 2]
    assert report["bad_audio"] == {} and report["warnings"][0] == FEW.format("airport (3), park (3), tram (2)")
    assert "note: partial set: 8 of the official 9185 train clips" in err
    (file,) = (bench.out / "tensorboard").iterdir()
    points = [(e.step, v.tag) for e in EventFileLoader(str(file)).Load() for v in e.summary.value]
    assert (1, "train/loss") in points and (2, "monitor/accuracy") in points


@pytest.mark.parametrize("labels", ["[a, a]", "airport", "[]"])
def test_labels_must_be_a_list_of_names(bench, labels):
    assert "data: labels must be a list of different names" in bench.refuses(f"--data.labels={labels}")


def test_epochs_and_batch_size_come_from_the_training_block(bench):
    report, _ = bench.succeeds("--training.number_of_epochs=2", "--training.batch_size=8")
    assert len(report["history"]) == 2


@pytest.mark.parametrize("name, kind", [("flac", "FLAC"), ("ogg", "OGG")])
def test_other_audio_formats_can_be_trained_on(bench, name, kind):
    rng = np.random.default_rng(0)
    for path in bench.data.glob("audio/*.wav"):
        soundfile.write(path.with_suffix(f".{name}"), 0.1 * rng.normal(size=(44100, 2)), 44100, format=kind)
        path.unlink()
    for path in [bench.data / "meta.csv", *bench.data.glob("evaluation_setup/*.csv")]:
        path.write_text(path.read_text().replace(".wav", f".{name}"))
    report, _ = bench.succeeds()
    assert report["bad_audio"] == {} and report["evaluation"]["clips"] == 4


# -- the data folder


def write(name, content):
    return lambda data: (data / name).write_bytes(content)


def replace(name, old, new):
    return lambda data: (data / name).write_text((data / name).read_text().replace(old, new, 1))


def sound(samples, subtype="PCM_16", name=CLIP):
    return lambda data: soundfile.write(data / name, samples, 16000, subtype=subtype)


def cut(data):
    content = (data / CLIP).read_bytes()
    (data / CLIP).write_bytes(content[: len(content) // 2])


def add_unlisted(data):
    path = data / "evaluation_setup/fold1_train.csv"
    path.write_text(path.read_text() + "audio/park-oslo-1-0-a.wav\tpark\n")


NAN = np.where(np.arange(16000) == 99, np.nan, 0.1).astype(np.float32)
DAMAGES = {
    "no folder": (shutil.rmtree, "data is not a folder"),
    "no meta.csv": (lambda data: (data / "meta.csv").unlink(), "meta.csv is missing"),
    "no list": (lambda data: (data / "evaluation_setup/fold1_train.csv").unlink(), "fold1_train.csv is missing"),
    "no column": (replace("meta.csv", "source_label", "device"), "no column 'source_label'"),
    "not in meta.csv": (add_unlisted, "line 10: audio/park-oslo-1-0-a.wav is not listed in meta.csv"),
    "unknown class": (replace("evaluation_setup/fold1_train.csv", "\ttram", "\ttrain"), "unknown class 'train'"),
    "no audio file": (lambda data: (data / CLIP).unlink(), f"{CLIP}: no such file"),
    "empty file": (write(CLIP, b""), f"{CLIP}: empty"),
    "truncated": (cut, f"{CLIP}: truncated"),
    "garbage": (write(CLIP, bytes(range(256)) * 99), f"{CLIP}: unreadable"),
    "silence": (sound(np.zeros(16000)), f"{CLIP}: silent"),
    "not a number": (sound(NAN, "FLOAT"), f"{CLIP}: holds NaN"),
    "10 ms": (sound(np.full(160, 0.1)), f"{CLIP}: too short"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_folder_raises_one_line_and_can_be_repaired(bench, tmp_path, damage):
    spoil, part = DAMAGES[damage]
    shutil.copytree(bench.data, tmp_path / "sound")
    spoil(bench.data)
    assert part in bench.refuses()
    shutil.rmtree(bench.data, ignore_errors=True)
    (tmp_path / "sound").rename(bench.data)
    report, _ = bench.succeeds()
    assert report["evaluation"]["clips"] == 4 and report["run"]["train_clips"] == 8


def test_bad_audio_is_skipped_with_on_bad_audio_skip(bench):
    sound(np.zeros(16000))(bench.data)
    other, third = "audio/park-prague-51-0-a.wav", "audio/park-lisbon-11-0-a.wav"
    lost = bench.data / other
    content = lost.read_bytes()
    lost.unlink()
    sound(np.full(160, 0.1), name=third)(bench.data)
    message = bench.refuses()  # missing files, before any is decoded
    assert f"1 bad audio file(s): {lost}: no such file; fix them, or" in message
    lost.write_bytes(content)
    message = bench.refuses()
    assert "2 bad audio file(s): " in message and CLIP in message and third in message
    lost.unlink()
    report, err = bench.succeeds("--on_bad_audio=skip")
    assert report["bad_audio"].keys() == {CLIP, other, third} and report["bad_audio"][other] == "no such file"
    assert report["evaluation"]["clips"] == 3 and report["run"]["train_clips"] == 6
    assert "WARNING: left out: 3 bad audio file(s): " in err


def test_data_folder_as_output_folder_is_refused(bench):
    before = sorted(bench.data.iterdir())
    bench.out = bench.data / "../data"
    assert "output_folder" in (message := bench.refuses()) and "lies in the data folder" in message
    assert sorted(bench.data.iterdir()) == before


def test_missing_files_and_files_with_a_bad_header_are_named_together(bench):
    lost, empty, text = (bench.data / f"audio/park-lisbon-{place}-0-a.wav" for place in (11, 14, 17))
    lost.unlink()
    empty.write_bytes(b"")
    text.write_text("no audio at all")
    message = bench.refuses()
    assert "3 bad audio file(s): " in message and all(str(path) in message for path in (lost, empty, text))
    assert not bench.cache.exists()  # nothing was decoded


@pytest.mark.parametrize("name, city", [("training", "lisbon"), ("evaluation", "prague")])
def test_set_without_usable_clips_is_refused(bench, name, city):
    for path in bench.data.glob(f"audio/*-{city}-*"):
        path.write_bytes(b"")
    assert f"no usable clip is left in the {name} set" in bench.refuses("--on_bad_audio=skip")


def test_location_in_both_lists_gives_a_warning(bench):
    shutil.rmtree(bench.data)
    places = {"train": (1, 2, 3, 4), "evaluate": (4, 5)}
    write_dcase_folder(
        bench.data, [(name, "park", "paris", place, name[0]) for name in places for place in places[name]]
    )
    report, err = bench.succeeds()
    assert "WARNING: 1 location(s) are in both the training set and the evaluation set (paris-4)" in err
    shared, few, floor = [warning for warning in report["warnings"] if not warning.startswith("the warm-up")]
    assert "paris-4" in shared and few == FEW.format("park (4)")
    assert "is not better than the floor (100.0 %)" in floor  # which has one class to decide for


def test_number_of_classes_must_match_the_model(bench):
    line = bench.refuses("--data.labels=[airport, park, tram]")
    assert "the data has 3 classes, the model 10: set --num_classes=3" in line


# -- output folders


def test_output_folder_below_a_file_is_refused(bench, tmp_path):
    (tmp_path / "file").write_text("")
    good, bench.out = bench.out, tmp_path / "file/out"
    assert f"output_folder {bench.out} cannot be written: Not a directory" in bench.refuses()
    bench.out = good
    bench.succeeds()


def test_cache_folder_below_a_file_is_refused(bench, tmp_path):
    (tmp_path / "file").write_text("")
    good, bench.cache = bench.cache, tmp_path / "file/cache"
    assert f"{bench.cache}: cannot keep waveforms there: Not a directory" in bench.refuses()
    bench.cache = good
    bench.succeeds()


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 360])  # less than the estimate; full while writing
def test_full_disk_while_decoding_is_reported(bench, small_disk, size):
    bench.cache = small_disk(size) / "cache"
    assert str(bench.cache) in bench.refuses()
    small_disk(4000)
    bench.succeeds()


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 12, 40, 160])  # settings, log, first checkpoint, second checkpoint
def test_full_disk_while_training_is_reported(bench, small_disk, size):
    bench.out = small_disk(size) / "out"
    assert str(bench.out) in bench.refuses("--number_of_epochs=2")
    small_disk(4000)
    report, _ = bench.succeeds("--number_of_epochs=2")
    assert len(report["history"]) == 2
    assert not list(bench.out.glob("save/.*"))


def test_second_run_in_the_same_folder_is_refused(bench):
    bench.out.mkdir()
    with FileLock(bench.out / ".lock"):
        assert f"{bench.out} is in use by another run" in bench.refuses()
    bench.succeeds()


# -- a folder that contains a run


def test_other_settings_in_the_folder_of_a_run_are_refused(bench):
    first, _ = bench.succeeds()
    assert "number_of_epochs: 1 before, 2 now" in bench.refuses("--number_of_epochs=2")
    other = bench.refuses("--experiment=fuse_pnl", recipe=RECIPE.with_name("fuse_gt.yaml"))
    assert "positive_negative_labels before, !name:mil_asc.mil.assigners.ground_truth_labels now" in other
    assert bench.succeeds("--on_bad_audio=skip")[0]["history"] == first["history"]


def test_other_classes_in_the_folder_of_a_run_are_refused(bench):
    """The data folder may move between two starts; a set with other classes is another set, even if it has as many."""
    bench.succeeds("--data.labels=[airport, park, tram]", "--num_classes=3")
    for path in [*bench.data.glob("*.csv"), *bench.data.glob("evaluation_setup/*.csv")]:
        path.write_text(path.read_text().replace("\tairport", "\tharbour"))
    other = bench.refuses("--data.labels=[harbour, park, tram]", "--num_classes=3")
    assert "data.labels" in other
    settings = bench.out / "hyperparams.yaml"  # as a set has it whose classes are not settings
    settings.write_text(settings.read_text().replace("airport", "harbour"))
    other = bench.refuses("--data.labels=[harbour, park, tram]", "--num_classes=3")
    assert "contains a run with other classes (airport, park, tram), the data has harbour, park, tram" in other


def test_other_train_list_in_the_folder_of_a_run_is_refused(bench):
    """Otherwise, clips that are moved to the evaluation set could have been trained on."""
    bench.succeeds()
    lists = bench.data / "evaluation_setup"
    train = (lists / "fold1_train.csv").read_text().splitlines()
    (lists / "fold1_train.csv").write_text("\n".join(train[:-1]) + "\n")
    (lists / "fold1_evaluate.csv").write_text((lists / "fold1_evaluate.csv").read_text() + train[-1] + "\n")
    for words in ([], ["--test_only"]):
        assert "contains a run with another training set (8 clips before, 7 now)" in bench.refuses(*words)


def test_evaluating_again_keeps_the_report_of_the_training(bench):
    first, _ = bench.succeeds()
    for words in ([], ["--test_only"]):
        again, _ = bench.succeeds(*words)
        assert again["run"].pop("evaluated_again")["mil_asc"]
        assert again["run"] == first["run"]


def test_objective_must_match_the_confidences(bench):
    line = bench.refuses("--confidence=softmax")
    assert "the bag loss (BagBCE) requires sigmoid confidences, the model has softmax: set --confidence=sigmoid" in line


def test_evaluation_needs_a_trained_run_with_the_same_model(bench):
    assert f"no checkpoint in {bench.out / 'save'}: train first" in bench.refuses("--test_only")
    assert not bench.out.exists()
    trained, _ = bench.succeeds()
    assert "model.num_blocks: 3 before, 2 now" in bench.refuses("--test_only", "--model.num_blocks=2")
    assert bench.succeeds("--test_only")[0]["decisions"] == trained["decisions"]


def test_debug_run_has_a_separate_folder(bench):
    bench.out = bench.out / "deep" / ".."  # a name that Path.with_name would refuse
    assert main(bench.words("--debug")) == 0
    assert Path(f"{bench.out}_debug").is_dir() and not (bench.out / "report.json").exists()


def test_mutually_exclusive_run_options_are_refused(bench):
    line = bench.refuses("--ckpt_interval_minutes=1", "--ckpt_interval_steps=1")
    assert "mutually exclusive" in line
    bench.succeeds("--ckpt_interval_steps=1")


# -- Ctrl-C


def test_ctrl_c_while_decoding_stops_and_resumes(bench, monkeypatch):
    decode = cache.decode

    def interrupted(path, *arguments):
        if Path(path).name == Path(CLIP).name:
            os.kill(os.getpid(), signal.SIGINT)
        return decode(path, *arguments)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(cache, "decode", interrupted)
            assert main(bench.words()) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    assert bench.capsys.readouterr().err.splitlines()[-1].startswith("stopped; the same command resumes")
    bench.succeeds()


@pytest.mark.slow
def test_ctrl_c_while_training_stops_and_resumes(bench):
    words = ["--number_of_epochs=20", "--training.evaluate_every=20"]
    command = [sys.executable, ROOT / "recipes/TAU2019/train.py", *bench.words(*words)]
    before = []
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    ) as process:
        for line in process.stderr:
            before.append(line)
            if line.startswith("epoch 3/"):
                process.send_signal(signal.SIGINT)
                break
        _, after = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(before) + after
    assert "Traceback" not in after and "error:" not in after
    assert after.splitlines()[-1] == "stopped; the same command resumes from the last checkpoint, if one exists"
    report, err = bench.succeeds(*words)
    assert [record["epoch"] for record in report["history"]] == list(range(1, 21))
    assert "epoch 1/20" not in err and "epoch 20/20" in err
