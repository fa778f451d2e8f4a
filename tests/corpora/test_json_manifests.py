"""Manifests in SpeechBrain's form: what is written, what is read back, what is refused."""

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.json_manifests import measure_durations, read_manifests, write_manifests
from mil_asc.corpora.manifest import Clip, Corpus, Event
from mil_asc.corpora.manifest_entries import CORPUS, FILES, KEYS
from mil_asc.errors import AudioError, UserError

LABELS = ["tram", "park", "airport"]  # not sorted


@pytest.fixture
def corpus(dcase_folder):
    """Eight training clips, two of them held out, and four to evaluate on."""
    corpus = read_dcase_folder(dcase_folder, LABELS)
    corpus.train, corpus.validation = corpus.train[:6], corpus.train[6:]
    return corpus


@pytest.fixture
def written(corpus, tmp_path):
    """The folder of the manifests of ``corpus``."""
    write_manifests(corpus, tmp_path / "manifests")
    return tmp_path / "manifests"


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def change(path, edit):
    content = load(path)
    edit(content)
    path.write_text(json.dumps(content))


def first(content):
    return next(iter(content.values()))


def refused(folder, **options):
    with pytest.raises(UserError) as caught:
        read_manifests(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- written


def test_writing_takes_little_memory_per_clip(tmp_path):
    """All pieces of JSON text at once, as ``json.dumps`` joins them, took more than 2 kB per clip."""
    peaks = []
    for count in (500, 2500):
        clips = [Clip(f"audio/park-lisbon-{i}-0-a.wav", "park", "lisbon", f"lisbon-{i}", "a") for i in range(count)]
        durations = {clip.path: 10.0 for clip in clips}
        tracemalloc.start()
        write_manifests(Corpus(tmp_path, ["park"], clips, []), tmp_path / f"{count}", durations)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 2000 < 1000, peaks


@pytest.mark.parametrize("count", [0, 1, 3])
def test_manifest_is_the_text_of_json_with_an_indent_of_one(tmp_path, count):
    names = ['a "b" \n{c}.wav', "é\u2028.wav", "d\\.wav"][:count]
    clips = [Clip(name, "park", "lisbon", name, "a") for name in names]
    events = {names[0]: [Event(0.5, 1.0, "bird\nsong", "distinct")]} if count else {}
    corpus = Corpus(tmp_path, ["park"], clips, [], events=events)
    write_manifests(corpus, tmp_path / "manifests", dict.fromkeys(names, 1.5))
    text = (tmp_path / "manifests/train.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    assert list(json.loads(text)) == names


def test_entries_hold_what_is_known_of_a_clip(written):
    entry = first(load(written / "train.json"))
    assert entry == {
        "wav": "{data_root}/audio/airport-lisbon-10-0-a.wav",
        "duration": 1.0,
        "label": "airport",
        "city": "lisbon",
        "location": "lisbon-10",
        "device": "a",
    }
    assert {path.name for path in written.iterdir()} == {*FILES.values(), CORPUS}


def test_speechbrain_loads_the_manifests_and_finds_the_audio(written, dcase_folder):
    for name, count in (("train.json", 6), ("valid.json", 2), ("test.json", 4)):
        dataset = DynamicItemDataset.from_json(written / name, replacements={"data_root": str(dcase_folder)})
        dataset.set_output_keys(["id", *KEYS])
        assert len(dataset) == count
        for item in dataset:
            info = soundfile.info(item["wav"])
            assert info.duration == item["duration"] and item["label"] in LABELS
            assert item["id"] in item["wav"] and item["location"].startswith(item["city"])


def test_speechbrain_and_the_package_read_names_with_braces_alike(tmp_path):
    root = tmp_path / "data {1}"
    root.mkdir()
    soundfile.write(root / "{a}.wav", [0.1] * 800, 16000)
    soundfile.write(root / "b.wav", [0.1] * 800, 16000)
    train, test = Clip("{a}.wav", "in{door}", "ü", "{x", "a"), Clip("b.wav", "in{door}", "ü", "y", "a")
    write_manifests(Corpus(root, ["in{door}"], [train], [test]), tmp_path / "manifests")
    (item,) = DynamicItemDataset.from_json(
        tmp_path / "manifests/train.json", {"data_root": str(root)}, output_keys=["wav", "label", "location"]
    )
    assert item == {"wav": f"{root}/{{a}}.wav", "label": "in{door}", "location": "{x"}
    assert read_manifests(tmp_path / "manifests").train == [train]


def test_counts_and_seconds_are_returned(corpus, tmp_path):
    found = write_manifests(corpus, tmp_path / "manifests")
    assert found.clips == {"train.json": 6, "valid.json": 2, "test.json": 4}
    assert found.seconds == {"train.json": 6.0, "valid.json": 2.0, "test.json": 4.0} and found.changed


def test_second_call_writes_nothing_and_another_corpus_replaces_the_first(corpus, written):
    before = {path: path.stat().st_mtime_ns for path in written.iterdir()}
    assert not write_manifests(corpus, written).changed
    assert {path: path.stat().st_mtime_ns for path in written.iterdir()} == before
    corpus.train, corpus.validation = corpus.train + corpus.validation, []
    assert write_manifests(corpus, written).changed
    assert read_manifests(written).validation == [] and len(read_manifests(written).train) == 8


def test_manifests_of_another_origin_are_not_overwritten(corpus, tmp_path):
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UserError, match="holds a train.json of another origin: give another folder"):
        write_manifests(corpus, tmp_path)
    assert (tmp_path / "train.json").read_text() == "{}"


def test_interrupted_manifests_are_not_read_and_written_again(corpus, written, monkeypatch):
    def fail(path, text):
        if path.name == "valid.json":
            raise KeyboardInterrupt
        path.write_text(text)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mil_asc.corpora.json_manifests.write_atomically", fail)
        corpus.train = corpus.train[1:]
        write_manifests(corpus, written)
    assert "the manifests are unfinished" in refused(written)
    write_manifests(corpus, written)
    assert len(read_manifests(written).train) == 5


@pytest.mark.parametrize("content, words", [(None, "no such file"), (b"", "empty"), (b"no sound at all", "not audio")])
def test_bad_recordings_are_named_and_counted(corpus, tmp_path, content, words):
    for clip in corpus.evaluate[:2]:
        (corpus.folder / clip.path).unlink()
        if content is not None:
            (corpus.folder / clip.path).write_bytes(content)
    with pytest.raises(AudioError, match=rf"2 bad audio file\(s\): .*{corpus.evaluate[0].path}: .*{words}.*; /"):
        write_manifests(corpus, tmp_path / "manifests")
    assert not (tmp_path / "manifests").exists()


def test_reason_of_a_bad_recording_with_an_escape_code_in_its_name_is_the_reason_alone(tmp_path):
    clip = Clip("a\x1b[2J.wav", "park", "lisbon", "lisbon-1", "a")
    assert measure_durations(Corpus(tmp_path, ["park"], train=[clip], evaluate=[])) == ({}, {clip.path: "no such file"})


def test_clip_in_two_lists_is_refused(corpus, tmp_path):
    corpus.evaluate = [*corpus.evaluate, corpus.train[0]]
    with pytest.raises(UserError, match="airport-lisbon-10-0-a.wav is in train.json and again in test.json"):
        write_manifests(corpus, tmp_path / "manifests")


def test_folder_that_cannot_be_written_is_one_line(corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="the manifests cannot be written: Not a directory"):
        write_manifests(corpus, tmp_path / "file/below")


# -- read


def test_what_was_written_is_read_back(corpus, written):
    corpus.clip_seconds = 2.5
    write_manifests(corpus, written)
    assert read_manifests(written) == corpus


def test_events_and_warnings_are_kept(corpus, written):
    corpus.events = {corpus.train[0].path: [Event(0.1, 0.5, "door", "distinct"), Event(0.6, 0.75, "car", "ambiguous")]}
    corpus.warnings = ["something doubtful"]
    write_manifests(corpus, written)
    assert read_manifests(written) == corpus
    DynamicItemDataset.from_json(written / "train.json", {"data_root": "/"}, output_keys=["events"])


def test_data_that_moved_is_found_by_data_root(written, dcase_folder, tmp_path, monkeypatch):
    moved = dcase_folder.rename(tmp_path / "moved")
    assert read_manifests(written, data_root=moved).folder == moved
    monkeypatch.chdir(tmp_path)
    assert read_manifests(written, data_root="moved").folder == moved


def test_manifests_with_absolute_paths_need_no_corpus_json(written, dcase_folder):
    for name in FILES.values():
        text = (written / name).read_text().replace("{data_root}", str(dcase_folder))
        (written / name).write_text(text)
    (written / CORPUS).unlink()
    corpus = read_manifests(written)
    assert corpus.folder == dcase_folder / "audio" and corpus.labels == sorted(LABELS)
    assert corpus.train[0] == Clip("airport-lisbon-10-0-a.wav", "airport", "lisbon", "lisbon-10", "a")
    assert len(corpus.clips) == 12


def test_audio_outside_the_data_root_is_read_from_a_folder_around_all(written, dcase_folder, tmp_path):
    outside = tmp_path / "other/x.wav"
    outside.parent.mkdir()
    soundfile.write(outside, np.full(16000, 0.1), 16000)
    change(written / "train.json", lambda content: first(content).update(wav=str(outside)))
    corpus = read_manifests(written)
    assert corpus.folder == tmp_path and corpus.train[0].path == "other/x.wav"
    assert all((corpus.folder / clip.path).is_file() for clip in corpus.clips)


def test_location_in_train_and_test_is_warned_of(written):
    change(written / "test.json", lambda content: first(content).update(location="lisbon-10"))
    (warning,) = read_manifests(written).warnings
    assert "lisbon-10" in warning


@pytest.mark.parametrize("name", FILES.values())
def test_missing_manifest_is_named(written, name):
    (written / name).unlink()
    assert f"{name} is missing; a folder of manifests holds train.json, valid.json, test.json" in refused(written)


@pytest.mark.parametrize("text, words", [("{", "cannot be read"), ("[]", "an object of clips by name is needed")])
@pytest.mark.parametrize("name", ["train.json", CORPUS])
def test_file_that_is_no_manifest_is_named(written, name, text, words):
    (written / name).write_text(text)
    message = refused(written)
    assert message.startswith(f"{written / name}") and words in message


@pytest.mark.parametrize("key", KEYS)
def test_missing_key_of_a_clip_is_named(written, key):
    change(written / "test.json", lambda content: first(content).pop(key))
    assert f"test.json: audio/airport-prague-50-0-a.wav has no {key}; wav, duration, label" in refused(written)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"duration": 0}, "duration must be a number of seconds above 0, got 0"),
        ({"duration": "1"}, "duration must be a number of seconds above 0, got '1'"),
        ({"duration": float("nan")}, "duration must be a number of seconds above 0, got nan"),
        ({"label": "parc"}, "unknown class 'parc'; did you mean 'park'?"),
        ({"city": None}, "city must be text, got None"),
        ({"location": ""}, "location must be text, got ''"),
        ({"wav": "audio/a.wav"}, "wav must begin with {data_root}/ or be an absolute path, got audio/a.wav"),
        ({"wav": "{data}/a.wav"}, "{data}/a.wav names {data}; only {data_root} is replaced"),
        ({"wav": "{data_root/a.wav"}, "is no text with replacements"),
        ({"wav": "{data_root}/audio/park-lisbon-11-0-a.wav"}, "is in train.json and again in train.json"),
        ({"events": [{"onset": 0.1}]}, "an event must have onset, offset, kind, role"),
    ],
)
def test_value_that_cannot_be_used_is_named(written, values, words):
    change(written / "train.json", lambda content: first(content).update(values))
    assert words in refused(written)


def test_placeholder_without_a_data_root_is_refused(written):
    (written / CORPUS).unlink()
    assert "there is no corpus.json that names the data folder" in refused(written)


def test_lists_with_a_validation_list_hold_nothing_more_out(written):
    corpus = read_manifests(written)
    assert corpus.hold_out(0) is corpus
    with pytest.raises(UserError, match="validation_fraction must be 0 here"):
        corpus.hold_out(0.1)


def test_train_and_valid_together_are_the_official_list(dcase_folder, tmp_path):
    official = read_dcase_folder(dcase_folder, LABELS)
    write_manifests(official.hold_out(0.3, seed=2), tmp_path / "manifests")
    corpus = read_manifests(tmp_path / "manifests")
    assert corpus.validation and sorted(clip.path for clip in corpus.train + corpus.validation) == sorted(
        clip.path for clip in official.train
    )
    assert not {clip.location for clip in corpus.train} & {clip.location for clip in corpus.validation}
    assert Path(corpus.folder) == dcase_folder


def test_entry_on_the_page_on_recipes_is_one_that_is_written(written):
    page = (Path(__file__).parents[2] / "recipes/README.md").read_text()
    (text,) = re.findall(r"```\n(\"audio/park.*?)```", page, flags=re.DOTALL)
    (shown,) = json.loads(f"{{{text}}}").values()
    assert shown.keys() == first(load(written / "train.json")).keys() and shown["wav"].startswith("{data_root}/")
