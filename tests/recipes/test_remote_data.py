"""Training from a data folder at a URL gives what training from a local copy gives, and fails in one line."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import object_store
import pytest
import soundfile
import tiny
from esc50_tree import write_tree

from mil_asc.training.entry import main

TAU, FOLDERS, ESC50, SYNTH = (
    f"recipes/{name}/hparams/fuse_pnl.yaml" for name in ("TAU2019", "AnyFolder", "ESC50", "SynthScenes")
)

ODD = "50%41 #1?é.wav"
"""A name that a URL has to spell out."""


@pytest.fixture
def store():
    with object_store.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    monkeypatch.setattr("mil_asc.results.report.render_page", lambda *arguments: "")  # slow, and has its own tests


@pytest.fixture
def class_folders(tmp_path):
    """Three classes of four groups each, and files that are none of the data."""
    random = np.random.default_rng(0)
    for number, label in enumerate(["bus", "park", "tram"]):
        for group in range(4):
            place = tmp_path / "data" / label / f"day {group}" / f"{label}+{group}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            tone = 0.1 * np.sin(np.arange(16000) * (0.05 + 0.1 * number))
            soundfile.write(place, tone + 0.01 * random.normal(size=16000), 16000)
    (tmp_path / "data/bus/notes.txt").write_text("no audio")
    (tmp_path / "data/LICENSE").write_text("any")
    return tmp_path / "data"


def train(recipe, data, run, *more):
    """The exit status of a training."""
    return main(tiny.tiny_run(recipe, data, run, "--number_of_epochs=1", *more))


def refusal(capsys, recipe, data, run, *more):
    """The one line of a training that fails."""
    capsys.readouterr()
    assert train(recipe, data, run, *more) == 1
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in err
    return lines[0]


def trained_alike(remote, local, url):
    """Assert that two runs differ in the place of their data alone."""
    names = {file.name for file in (local / "manifests").glob("*.json")} - {"corpus.json"}
    assert len(names) == 3
    for name in names:
        assert (remote / "manifests" / name).read_bytes() == (local / "manifests" / name).read_bytes()
    facts, own = (json.loads((run / "manifests/corpus.json").read_text()) for run in (remote, local))
    assert facts["data_root"] == url
    assert [line for line in facts["notes"] if "as listed on" not in line] == own["notes"]
    lists, own = (json.loads((run / "lists.json").read_text()) for run in (remote, local))
    assert lists.pop("data_folder") == url and own.pop("data_folder") != url
    assert lists == own and lists["audio"]
    with np.load(remote / "predictions.npz") as found, np.load(local / "predictions.npz") as expected:
        assert found.files == expected.files
        for name in found.files:
            np.testing.assert_array_equal(found[name], expected[name])
    results = json.loads((remote / "report.json").read_text())
    assert results["run"]["data_folder"] == url


def compare(store, recipe, data, tmp_path, *more):
    """Train from a local folder and from a bucket, compare, then train again without either."""
    url = store.put(data, "corpora/set 1")
    assert train(recipe, data, tmp_path / "local/run", *more) == 0
    shutil.rmtree(data)
    assert train(recipe, f"{url}/", tmp_path / "remote/run", *more) == 0
    trained_alike(tmp_path / "remote/run", tmp_path / "local/run", url)
    store.stop()
    assert train(recipe, url, tmp_path / "remote/again", *more) == 0
    trained_alike(tmp_path / "remote/again", tmp_path / "local/run", url)
    assert train(recipe, url, tmp_path / "remote/run", *more, "--test_only") == 0
    left = {file.suffix for file in (tmp_path / "remote/waveforms").rglob("*") if file.stat().st_size}
    assert ".wav" not in left  # no copy of a recording


def test_class_folders_of_a_bucket_train_as_local_ones(store, class_folders, tmp_path):
    soundfile.write(class_folders / f"park/day 1/{ODD}", np.sin(np.arange(16000)), 16000)
    compare(store, FOLDERS, class_folders, tmp_path, "--num_classes=3")


@pytest.mark.slow
def test_groups_of_a_table_in_a_bucket_are_used(store, class_folders, tmp_path):
    files = sorted(path.relative_to(class_folders).as_posix() for path in class_folders.rglob("*.wav"))
    (class_folders / "groups.csv").write_text("path,group\n" + "".join(f"{f},{f[-5]}\n" for f in files))
    compare(store, FOLDERS, class_folders, tmp_path, "--num_classes=3", "--evaluate_groups=[2]")


@pytest.mark.slow
def test_official_layout_in_a_bucket_trains_as_a_local_one(store, dcase_folder, tmp_path):
    compare(store, TAU, dcase_folder, tmp_path)


@pytest.mark.slow
def test_fold_of_esc50_in_a_bucket_trains_as_a_local_one(store, tmp_path):
    data = write_tree(tmp_path / "data", classes=10, folds=(1, 2))
    compare(store, ESC50, data, tmp_path, "--num_classes=10", "--evaluate_fold=2")


@pytest.mark.slow
def test_run_on_a_bucket_is_evaluated_on_a_local_copy_with_a_warning(store, class_folders, tmp_path):
    url = store.put(class_folders, "set")
    assert train(FOLDERS, url, tmp_path / "runs/run", "--num_classes=3") == 0
    words = [tmp_path / "runs/run", f"--data_folder={class_folders}", f"--output_folder={tmp_path / 'report'}"]
    done = subprocess.run(
        [sys.executable, tiny.ROOT / "tools/evaluate.py", *words, "--device=cpu", "--noprogressbar"],
        env=os.environ | {"PYTHONPATH": str(tiny.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    warnings = json.loads((tmp_path / "report/report.json").read_text())["warnings"]
    assert any("have the path and the class of one that the model was trained on" in line for line in warnings)


@pytest.mark.slow
def test_two_ranks_read_a_bucket_once(store, class_folders, tmp_path):
    url = store.put(class_folders, "set")
    words = tiny.tiny_run(FOLDERS, url, tmp_path / "a/run", "--number_of_epochs=1", "--num_classes=3")
    place = tiny.ROOT / "recipes/AnyFolder/train.py"
    command = [sys.executable, "-m", "mil_asc.training.start_ranks", "--nproc_per_node=2", place, *words]
    environment = os.environ | {"PYTHONPATH": str(tiny.ROOT)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a/run/report.json").read_text())["run"]["ranks"] == 2
    assert len(list((tmp_path / "a/waveforms").glob("*/index.json"))) == 1
    assert train(FOLDERS, class_folders, tmp_path / "local/run", "--num_classes=3") == 0
    lists, own = (json.loads((tmp_path / f"{run}/run/lists.json").read_text()) for run in ("a", "local"))
    assert lists.pop("data_folder") == url and own.pop("data_folder") and lists == own


# -- what changes or fails


def test_object_that_vanishes_after_the_listing_stops_with_what_to_do(store, class_folders, tmp_path, capsys):
    url = store.put(class_folders, "set")
    refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=4")  # lists, and decodes nothing
    store.remove("set/park/day 1/park+1.wav")
    run = (FOLDERS, url, tmp_path / "a/run", "--num_classes=3")
    line = refusal(capsys, *run)
    record = line.partition("remove ")[2].partition(" to list it anew")[0]
    assert f"{url}/park/day 1/park+1.wav: there is no such object" in line
    shutil.rmtree(record)
    assert train(*run) == 0
    assert json.loads((tmp_path / "a/run/lists.json").read_text())["train_clips"] < 9


def test_object_that_is_replaced_after_the_listing_is_refused(store, class_folders, tmp_path, capsys):
    url = store.put(class_folders, "set")
    refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=4")
    store.client.put_object(Bucket="sounds", Key="set/park/day 1/park+1.wav", Body=b"RIFF")
    line = refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=3")
    assert "park+1.wav: 4 bytes, 32044 were listed" in line


def test_object_that_is_replaced_by_one_of_its_size_is_refused(store, class_folders, tmp_path, capsys):
    url = store.put(class_folders, "set")
    refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=4")
    other = bytearray((class_folders / "park/day 1/park+1.wav").read_bytes())
    other[-1] ^= 1
    store.client.put_object(Bucket="sounds", Key="set/park/day 1/park+1.wav", Body=bytes(other))
    line = refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=3")
    assert "park+1.wav: it was replaced since it was listed" in line


def test_a_listing_that_no_reader_can_use_says_how_to_list_anew(store, class_folders, tmp_path, capsys):
    for label in ("bus", "tram"):
        shutil.rmtree(class_folders / label, ignore_errors=True)
    url = store.put(class_folders, "few")
    run = (FOLDERS, url, tmp_path / "a/run", "--num_classes=2")
    line = refusal(capsys, *run)
    assert "to list it anew" in line
    record = Path(line.partition("remove ")[2].partition(" to list it anew")[0])
    for damaged in ("[]", "{}", "null", "{", '{"objects": [], "listed": "x"}'):
        (record / "objects.json").write_text(damaged)
        assert "is damaged: remove" in refusal(capsys, *run)


def test_bad_recording_of_a_bucket_is_named_by_its_url_or_left_out(store, class_folders, tmp_path, capsys):
    (class_folders / "park/day 1/park+1.wav").write_bytes(b"no audio")
    url = store.put(class_folders, "set")
    line = refusal(capsys, FOLDERS, url, tmp_path / "a/run", "--num_classes=3")
    assert f"1 bad audio file(s): {url}/park/day 1/park+1.wav: unreadable" in line
    assert train(FOLDERS, url, tmp_path / "a/run", "--num_classes=3", "--on_bad_audio=skip") == 0


def test_listed_recording_that_is_not_in_the_bucket_is_named(store, dcase_folder, tmp_path, capsys):
    lost = min((dcase_folder / "audio").iterdir())
    lost.unlink()
    url = store.put(dcase_folder, "set")
    line = refusal(capsys, TAU, url, tmp_path / "a/run")
    assert f"1 bad audio file(s): {url}/audio/{lost.name}: no such file" in line


def test_hint_at_the_official_layout_is_a_url(store, dcase_folder, tmp_path, capsys):
    url = store.put(dcase_folder, "deep/tau")
    line = refusal(capsys, TAU, "s3://sounds/deep", tmp_path / "a/run")
    assert line.startswith("error: s3://sounds/deep/meta.csv is missing")
    assert f"did you mean --data_folder={url}? (s3://" in line


def test_hint_at_class_folders_is_a_url(store, class_folders, tmp_path, capsys):
    url = store.put(class_folders, "deep/set")
    line = refusal(capsys, FOLDERS, "s3://sounds/deep", tmp_path / "a/run")
    assert f"did you mean --data_folder={url}? (s3://" in line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://nowhere/set", "s3://nowhere/set: there is no such object, folder or bucket"),
        ("s3://sounds/none", "s3://sounds/none: there is no such object, folder or bucket"),
        ("s5://sounds/set", "fsspec knows no s5://"),
        ("s3://me:secret@sounds/set", "a name or password before an @"),
    ],
)
def test_url_with_nothing_behind_it_is_refused(store, tmp_path, capsys, url, said):
    line = refusal(capsys, FOLDERS, url, tmp_path / "a/run")
    assert said in line and "secret" not in line
    assert not (tmp_path / "a/run/report.json").exists()


def test_missing_credentials_are_named(store, class_folders, tmp_path, capsys, monkeypatch):
    url = store.put(class_folders, "set")
    for name in object_store.CREDENTIALS:
        monkeypatch.delenv(name)
    assert f"{url}: Unable to locate credentials" in refusal(capsys, FOLDERS, url, tmp_path / "a/run")


def test_object_and_folder_of_one_name_are_refused(store, class_folders, tmp_path, capsys):
    url = store.put(class_folders, "set")
    store.client.put_object(Bucket="sounds", Key="set/park", Body=b"a")
    assert "an object and a folder have this name" in refusal(capsys, FOLDERS, url, tmp_path / "a/run")


@pytest.mark.parametrize("name", ["set/park/../a.wav", "set/park//a.wav"])
def test_name_that_is_no_path_is_refused(store, class_folders, tmp_path, capsys, name):
    url = store.put(class_folders, "set")
    store.client.put_object(Bucket="sounds", Key=name, Body=b"a")
    assert "must not have empty parts" in refusal(capsys, FOLDERS, url, tmp_path / "a/run")


# -- without a server


def test_reader_that_makes_its_set_refuses_a_url(tmp_path, capsys):
    line = refusal(capsys, SYNTH, "s3://sounds/set", tmp_path / "a/run")
    assert "prepare_synth_scenes needs a local folder" in line


@pytest.mark.parametrize("option", ["--cache_folder=s3://sounds/cache", "--output_folder=s3://sounds/run"])
def test_folders_that_are_written_to_are_local(tmp_path, capsys, option, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refusal(capsys, FOLDERS, "data", tmp_path / "a/run", option)
    assert "a URL does not work here" in line and not list(tmp_path.glob("s3*"))


def test_url_of_manifests_is_refused(tmp_path, capsys):
    line = refusal(capsys, FOLDERS, "data", tmp_path / "a/run", "--manifests=s3://sounds/lists")
    assert "manifests s3://sounds/lists: a URL does not work here" in line


def test_missing_fsspec_is_named_with_its_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert 'pip install -e ".[remote]"' in refusal(capsys, FOLDERS, "s3://sounds/set", tmp_path / "a/run")


@pytest.mark.slow
def test_local_training_imports_no_fsspec(class_folders, tmp_path):
    words = tiny.tiny_run(FOLDERS, class_folders, tmp_path / "a/run", "--number_of_epochs=1", "--num_classes=3")
    block = "import sys; sys.modules['fsspec'] = None; "
    block += "from mil_asc.training.entry import main; sys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(tiny.ROOT)}
    done = subprocess.run([sys.executable, "-c", block, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def in_memory(folder):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.put(str(folder), "/corpora/set", recursive=True)
    try:
        yield "memory://corpora/set"
    finally:
        memory.rm("/corpora", recursive=True)


@contextlib.contextmanager
def on_the_web(folder):
    """The listing of a web server, which states neither sizes nor versions."""
    pytest.importorskip("aiohttp", reason=object_store.REASON)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("place", [in_memory, on_the_web, lambda folder: contextlib.nullcontext(f"file://{folder}")])
def test_folders_of_other_schemes_train_as_local_ones(class_folders, tmp_path, place, capsys):
    soundfile.write(class_folders / f"park/day 1/{ODD}", np.sin(np.arange(16000)), 16000)
    with place(class_folders) as url:
        status = train(FOLDERS, url, tmp_path / "remote/run", "--num_classes=3")
        assert status == 0, capsys.readouterr().err
    assert train(FOLDERS, class_folders, tmp_path / "local/run", "--num_classes=3") == 0
    trained_alike(tmp_path / "remote/run", tmp_path / "local/run", url)
