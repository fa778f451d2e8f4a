"""The command that every recipe's <set>_prepare.py is: manifests and waveform store of a set."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mil_asc.corpora import json_manifests
from mil_asc.corpora.json_manifests import read_manifests
from mil_asc.store import prepare as prepare_module
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.prepare import main

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/train.py"))
TAU2019 = ROOT / "hparams/data/tau2019.yaml"


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; returns (status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*words, block=TAU2019):
        with pytest.raises(SystemExit) as done:
            main(block, [str(word) for word in words])
        return done.value.code, *capsys.readouterr()

    return run


def refused(result):
    """The one line of an error, below a progress bar if there was one."""
    status, _, err = result
    line = err.splitlines()[-1]
    assert status == 1 and line.startswith("error: ") and "Traceback" not in err
    return line


def test_official_list_is_split_by_location_and_counted(call, dcase_folder, tmp_path):
    status, out, _ = call(dcase_folder, "save", "--valid_fraction=0.3", "--labels=[airport, park, tram]")
    corpus = read_manifests(tmp_path / "save")
    assert status == 0 and len(corpus.train + corpus.validation) == 8 and len(corpus.evaluate) == 4
    assert corpus.labels == ["airport", "park", "tram"] and len(corpus.validation) == 3
    assert f"save/valid.json: {len(corpus.validation)} clips" in out and "manifests written" in out
    assert "partial set: 8 of the official 9185 train clips" in out
    assert not (tmp_path / "results").exists()


def test_tenth_of_the_locations_is_held_out_by_default(call, tmp_path):
    for label in ("cat", "dog"):
        for group in range(20):
            path = tmp_path / f"data/{label}/{label}-{group}/a.wav"
            path.parent.mkdir(parents=True)
            soundfile.write(path, np.full(160, 0.1), 16000)
    block = ROOT / "hparams/data/any_folder.yaml"
    assert call("data", "save", "--evaluate_fraction=0.5", "--clip_seconds=2.5", block=block)[0] == 0
    corpus = read_manifests(tmp_path / "save")
    assert (len(corpus.train), len(corpus.validation), len(corpus.evaluate)) == (18, 2, 20)
    assert corpus.clip_seconds == 2.5


def test_header_of_a_file_is_read_once(call, dcase_folder, monkeypatch):
    read, names = json_manifests.read_duration, []
    monkeypatch.setattr(json_manifests, "read_duration", lambda path: names.append(path) or read(path))
    assert call(dcase_folder, "save")[0] == 0
    assert len(names) == len(set(names)) == 12


def test_second_call_changes_nothing(call, dcase_folder, tmp_path):
    call(dcase_folder, "save", "--waveforms")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    status, out, _ = call(dcase_folder, "save", "--waveforms")
    assert status == 0 and "the manifests were there already" in out
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_store_is_the_one_that_training_reads(call, dcase_folder, tmp_path, monkeypatch):
    call(dcase_folder, "save", "--waveforms", "--cache_folder=cache")
    monkeypatch.setattr("mil_asc.store.build.decode", None)
    corpus = read_manifests(tmp_path / "save")
    store = prepare_waveforms(corpus.folder, [clip.path for clip in corpus.clips], tmp_path / "cache", progress=False)
    assert len(store) == 12 and store.sample_rate == 16000


def test_seed_chooses_other_locations(call, dcase_folder, tmp_path):
    held = set()
    for seed in range(5):
        call(dcase_folder, f"save-{seed}", f"--seed={seed}")
        held.add(tuple(clip.path for clip in read_manifests(tmp_path / f"save-{seed}").validation))
    assert len(held) > 1


def test_no_share_leaves_the_validation_list_empty(call, dcase_folder, tmp_path):
    call(dcase_folder, "save", "--valid_fraction=0")
    assert json.loads((tmp_path / "save/valid.json").read_text()) == {}
    assert len(read_manifests(tmp_path / "save").train) == 8


def test_bad_recording_stops_or_is_left_out(call, dcase_folder, tmp_path):
    bad = "audio/airport-lisbon-10-0-a.wav"
    (dcase_folder / bad).write_bytes(b"")
    assert f"{bad}: empty (0 bytes); fix them, or leave them out with --on_bad_audio=skip" in refused(
        call(dcase_folder, "save")
    )
    status, out, _ = call(dcase_folder, "save", "--on_bad_audio=skip", "--valid_fraction=0")
    assert status == 0 and "left out: 1 bad audio file(s): " in out and f"{bad}: empty (0 bytes)" in out
    assert len(read_manifests(tmp_path / "save").train) == 7


def test_silent_recording_is_found_by_decoding(call, dcase_folder):
    soundfile.write(dcase_folder / "audio/airport-lisbon-10-0-a.wav", np.zeros(16000), 16000)
    assert "airport-lisbon-10-0-a.wav: silent" in refused(call(dcase_folder, "save", "--waveforms"))


def test_fold_of_a_cross_validation_has_manifests_of_its_own(call, dcase_folder, tmp_path):
    names = []
    for fold in (1, 2, 3):
        words = [f"save-{fold}", "--folds=3", f"--fold={fold}", "--labels=[airport, park, tram]"]
        assert call(dcase_folder, *words)[0] == 0
        names += json.loads((tmp_path / f"save-{fold}/test.json").read_text())
    assert len(names) == len(set(names)) == 12
    assert "--folds=3 has 3 pairs of lists: name one of them" in refused(call(dcase_folder, "save", "--folds=3"))


@pytest.mark.parametrize(
    "words, part",
    [
        (["--fold=2"], "fold=2 needs the number of folds too, such as --folds=5"),
        (["--valid_fraction=1"], "--valid_fraction must be at least 0 and below 1, got 1.0"),
        (["--valid_fraction=nan"], "--valid_fraction must be at least 0 and below 1, got nan"),
        (["--cashe_folder=x"], "--cashe_folder matches no key; did you mean cache_folder? legal: cache_folder,"),
        (["--data_folder=x"], "--data_folder matches no key"),
        (["--manifests=x"], "--manifests matches no key"),
        (["--on_bad_audio=ignore"], "on_bad_audio must be stop or skip, got 'ignore'"),
        (["--labels=[a"], "--labels=[a: the value is not valid YAML"),
        (["--cache_folder=<name>"], "--cache_folder: '<name>' contains <name>, which stands for another key"),
        (["--cache_folder=7", "--waveforms"], "cache_folder must be text"),
        (["--seed=-1"], "--seed must be a whole number from 0 up, got -1"),
        (["--sample_rate=0"], "--sample_rate must be a whole number from 1 up, got 0"),
        (["--labels=1" + "0" * 5000], "the value is not valid YAML"),
        (["third"], "third is not understood: give --KEY=VALUE with one of cache_folder,"),
    ],
)
def test_wrong_word_is_refused_in_one_line(call, dcase_folder, words, part):
    assert part in refused(call(dcase_folder, "save", *words))


def test_missing_data_folder_is_refused(call):
    assert "nowhere is not a folder" in refused(call("nowhere", "save"))


def test_url_is_refused_and_nothing_is_written(call, tmp_path):
    assert "DATA_FOLDER s3://sounds/set: a URL does not work here" in refused(call("s3://sounds/set", "save"))
    synth = ROOT / "hparams/data/synth_scenes.yaml"
    assert "a URL does not work here" in refused(call("s3://sounds/set", "save", block=synth))
    assert list(tmp_path.iterdir()) == []


def test_interrupt_is_one_line_and_130(call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_module, "read_block", interrupt)
    assert call("data", "save") == (130, "", "stopped; the same command continues\n")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_every_recipe_has_the_command_of_its_data_block(recipe):
    (program,) = recipe.glob("*_prepare.py")
    block = ROOT / f"hparams/data/{program.stem.removesuffix('_prepare')}.yaml"
    assert f"name: {recipe.name}\n" in block.read_text() and f'hparams/data/{block.name}"' in program.read_text()


def test_synthetic_set_is_made_and_prepared_by_its_recipe(tmp_path):
    program = ROOT / "recipes/SynthScenes/synth_scenes_prepare.py"
    sizes = ["--train_clips=20", "--evaluate_clips=10", "--seconds=2.0"]
    command = [sys.executable, program, "scenes", "save", *sizes, "--waveforms"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    corpus = read_manifests(tmp_path / "save")
    assert len(corpus.train + corpus.validation) == 20 and corpus.folder == (tmp_path / "scenes").resolve()
    assert corpus.events and any("synthetic" in note for note in corpus.notes)
    assert "waveforms of 30 clips" in done.stdout
