"""The folder of synthetic scenes: same bytes from the same seed, a complete layout, never a half-written folder."""

import csv
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from mil_asc.errors import ArgumentError, UserError
from mil_asc.synth import write
from mil_asc.synth.events import AMBIGUOUS_EVENTS, DISTINCT_EVENTS
from mil_asc.synth.scenes import SCENES
from mil_asc.synth.write import generate_synth_scenes, prepare_synth_scenes

SMALL = {"train_clips": 12, "evaluate_clips": 10, "seconds": 3.0, "progress": False}


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "scenes"
    generate_synth_scenes(folder, seed=1, workers=2, **SMALL)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "scenes")


def test_same_seed_gives_same_bytes_with_any_number_of_workers(made, tmp_path):
    generate_synth_scenes(tmp_path / "alone", seed=1, workers=1, **SMALL)
    assert contents(tmp_path / "alone") == contents(made)


def test_another_seed_gives_other_samples(made, tmp_path):
    generate_synth_scenes(tmp_path / "other", seed=2, **SMALL)
    ours, others = contents(made), contents(tmp_path / "other")
    assert ours.keys() == others.keys()
    assert all(ours[name] != others[name] for name in ours if name.endswith(".wav"))


def test_folder_has_the_official_layout_and_the_counts_asked_for(made):
    meta = read_table(made / "meta.csv")
    train = read_table(made / "evaluation_setup" / "fold1_train.csv")
    evaluate = read_table(made / "evaluation_setup" / "fold1_evaluate.csv")
    test = read_table(made / "evaluation_setup" / "fold1_test.csv")
    assert (len(train), len(evaluate), len(meta)) == (12, 10, 22)
    assert list(meta[0]) == ["filename", "scene_label", "identifier", "source_label"]
    assert list(train[0]) == list(evaluate[0]) == ["filename", "scene_label"]
    assert [set(row) for row in test] == [{"filename"}] * 10
    assert [row["filename"] for row in test] == [row["filename"] for row in evaluate]
    assert {row["scene_label"] for row in train} == {row["scene_label"] for row in evaluate} == set(SCENES)
    assert sorted(p.name for p in (made / "audio").iterdir()) == sorted(r["filename"][6:] for r in meta)
    for row in meta:
        scene, city, location, _, device = row["filename"].removeprefix("audio/")[:-4].split("-")
        assert (scene, f"{city}-{location}", device) == (
            row["scene_label"],
            row["identifier"],
            row["source_label"],
        )


def test_only_the_lock_is_left_beside_the_folder(made):
    assert {p.name for p in made.parent.iterdir()} <= {"scenes", ".scenes.lock"}


def test_events_are_inside_the_clip_and_those_of_a_role_do_not_overlap(made):
    by_clip = {row["filename"]: {"distinct": [], "ambiguous": []} for row in read_table(made / "meta.csv")}
    for row in read_table(made / "events.csv"):
        by_clip[row["filename"]][row["role"]].append((float(row["onset"]), float(row["offset"]), row["kind"]))
    for filename, layers in by_clip.items():
        scene = filename.removeprefix("audio/").split("-")[0]
        assert {kind for *_, kind in layers["distinct"]} <= {kind.name for kind in DISTINCT_EVENTS[scene]}
        assert {kind for *_, kind in layers["ambiguous"]} <= {kind.name for kind in AMBIGUOUS_EVENTS[scene]}
        for events in layers.values():
            assert events
            edges = [edge for onset, offset, _ in events for edge in (onset, offset)]
            assert edges == sorted(edges)
            assert edges[0] >= 0.0 and edges[-1] <= SMALL["seconds"]


def test_audio_is_pcm16_without_silence_or_clipping(made):
    for path in (made / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
        samples, _ = soundfile.read(path)
        assert len(samples) == 48000
        assert 0.05 < np.max(np.abs(samples)) < 0.5
        frames = samples.reshape(-1, 400)
        assert np.min(np.sqrt(np.mean(frames**2, axis=1))) > 1e-4


def test_second_call_leaves_the_folder_alone(made):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    generate_synth_scenes(made, seed=1, **SMALL)
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before


def test_other_parameters_are_refused(made):
    with pytest.raises(UserError, match=r"seed=1, requested were seed=2: .*delete this one") as caught:
        generate_synth_scenes(made, seed=2, **SMALL)
    assert "\n" not in str(caught.value) and "train_clips" not in str(caught.value)


def test_other_share_is_refused(made):
    with pytest.raises(UserError, match=r"event_share=0.5, requested were event_share=0.4: .*delete this one"):
        generate_synth_scenes(made, seed=1, event_share=0.4, **SMALL)


def test_folder_of_version_1_is_refused(copy):
    mark = json.loads((copy / write.MARK).read_text())
    mark["parameters"] = {name: value for name, value in mark["parameters"].items() if not name.endswith("_share")} | {
        "version": 1
    }
    (copy / write.MARK).write_text(json.dumps(mark))
    with pytest.raises(UserError, match="of generator version 1; this is version 2, whose scenes are different"):
        generate_synth_scenes(copy, seed=1, **SMALL)


def test_set_without_ambiguous_events(tmp_path):
    generate_synth_scenes(tmp_path / "scenes", ambiguous_share=0.0, **SMALL)
    assert {row["role"] for row in read_table(tmp_path / "scenes" / "events.csv")} == {"distinct"}


def test_other_version_is_refused(made, monkeypatch):
    monkeypatch.setattr(write, "GENERATOR_VERSION", write.GENERATOR_VERSION + 1)
    with pytest.raises(UserError, match="generator version 2; this is version 3.*delete this one"):
        generate_synth_scenes(made, seed=1, **SMALL)


@pytest.mark.parametrize("mark", ["", "[]", "{}", '{"parameters": 3}'])
def test_damaged_mark_is_refused(copy, mark):
    (copy / write.MARK).write_text(mark)
    with pytest.raises(UserError, match="not a finished set"):
        generate_synth_scenes(copy, seed=1, **SMALL)


def test_lost_file_is_reported(copy):
    next((copy / "audio").iterdir()).unlink()
    with pytest.raises(UserError, match="lost 1 of its files"):
        generate_synth_scenes(copy, seed=1, **SMALL)


def test_folder_of_something_else_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not a finished set"):
        generate_synth_scenes(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_interrupted_set_is_replaced(made, tmp_path):
    leftover = tmp_path / ".scenes.partial" / "audio"
    leftover.mkdir(parents=True)
    (leftover / "bus-arlen-99-0-a.wav").write_bytes(b"half")
    (tmp_path / "scenes").mkdir()
    generate_synth_scenes(tmp_path / "scenes", seed=1, **SMALL)
    assert contents(tmp_path / "scenes") == contents(made)
    assert not leftover.exists()


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch, failure):
    def fail(folder, clip, **_):
        if clip.index == 5:
            raise failure
        return []

    monkeypatch.setattr(write, "_write_clip", fail)
    expected = UserError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space left" if expected is UserError else None):
        generate_synth_scenes(tmp_path / "scenes", **SMALL)
    assert {p.name for p in tmp_path.iterdir()} <= {".scenes.lock"}


@pytest.mark.slow
def test_two_calls_at_once_make_one_complete_set(made, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(generate_synth_scenes, tmp_path / "scenes", seed=1, **SMALL) for _ in range(2)]
        for call in calls:
            call.result()
    assert contents(tmp_path / "scenes") == contents(made)


def test_path_below_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        generate_synth_scenes(tmp_path / "file" / "scenes", **SMALL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("train_clips", 9),
        ("evaluate_clips", 0),
        ("seconds", 1.0),
        ("seconds", "long"),
        ("sample_rate", 8000),
        ("event_share", 0.04),
        ("event_share", 0.91),
        ("event_share", 0.1),  # of three seconds is less than half a second
        ("event_share", [0.5]),
        ("event_share", float("nan")),
        ("ambiguous_share", -0.1),
        ("ambiguous_share", 0.1),
        ("ambiguous_share", 1.0),
    ],
)
def test_parameters_that_are_not_legal_are_refused(tmp_path, name, value):
    with pytest.raises(ArgumentError, match=f"^{name} must be"):
        generate_synth_scenes(tmp_path / "scenes", **{**SMALL, name: value})
    assert not list(tmp_path.iterdir())


def test_mark_states_how_the_set_was_made(made):
    mark = json.loads((made / write.MARK).read_text())
    assert mark["files"] == 22
    assert mark["parameters"] == {
        "version": write.GENERATOR_VERSION,
        "seed": 1,
        "train_clips": 12,
        "evaluate_clips": 10,
        "seconds": 3.0,
        "event_share": 0.5,
        "ambiguous_share": 0.3,
        "sample_rate": 16000,
    }


def test_prepared_set_has_the_events_of_every_clip(made):
    corpus = prepare_synth_scenes(made, train_clips=12, evaluate_clips=10, seconds=3.0)
    rows = read_table(made / "events.csv")
    assert sum(map(len, corpus.events.values())) == len(rows)
    assert corpus.events.keys() == {clip.path for clip in corpus.clips}
    first = corpus.events[rows[0]["filename"]][0]
    assert (first.kind, first.role, f"{first.onset:.3f}") == (rows[0]["kind"], rows[0]["role"], rows[0]["onset"])


@pytest.mark.parametrize("how", [{"train_clips": 10**12}, {"seconds": 1e12}])
def test_set_that_is_larger_than_the_disk_is_refused_before_it_is_made(tmp_path, how):
    with pytest.raises(UserError, match="synthetic scenes of .* are free: make fewer or shorter ones"):
        generate_synth_scenes(tmp_path / "set", progress=False, **how)
    assert not (tmp_path / "set").exists() and not list(tmp_path.glob("*.partial"))
