"""Training from manifests, and the manifests that a run keeps."""

import json

import pytest
import tiny
from speechbrain.dataio.dataset import DynamicItemDataset

from mil_asc.store.prepare import main as prepare
from mil_asc.training.entry import main

RECIPE = "recipes/TAU2019/hparams/fuse_pnl.yaml"


@pytest.fixture
def manifests(dcase_folder, tmp_path, capsys):
    """Manifests of a tiny set, some of its training locations held out."""
    with pytest.raises(SystemExit) as ended:
        prepare(
            tiny.ROOT / "hparams/data/tau2019.yaml",
            [str(dcase_folder), str(tmp_path / "lists"), "--valid_fraction=0.3"],
        )
    assert ended.value.code == 0, capsys.readouterr().err
    return tmp_path / "lists"


def words(manifests, output, *more, **options):
    arguments = tiny.tiny_run(RECIPE, options.get("data_folder", "x"), output, "--number_of_epochs=1", *more)
    arguments = [word for word in arguments if "data_folder" in options or not word.startswith("--data_folder")]
    return [*arguments, f"--manifests={manifests}"]


def report_of(output):
    return json.loads((output / "report.json").read_text())


def test_a_run_trains_from_manifests_alone(manifests, dcase_folder, tmp_path):
    assert main(words(manifests, tmp_path / "run")) == 0
    report = report_of(tmp_path / "run")
    valid = json.loads((manifests / "valid.json").read_text())
    assert 0 < len(valid) and report["run"]["train_clips"] == 8 - len(valid)
    assert report["evaluation"]["clips"] == 4 and report["monitored_list"] == "validation"
    assert report["run"]["data_folder"] == str(dcase_folder)


def test_a_run_keeps_its_own_manifests(manifests, tmp_path):
    assert main(words(manifests, tmp_path / "run")) == 0
    for name in ("train.json", "valid.json", "test.json"):
        kept = json.loads((tmp_path / "run/manifests" / name).read_text())
        assert kept == json.loads((manifests / name).read_text())


def test_the_manifests_of_a_run_load_in_speechbrain(dcase_folder, tmp_path):
    assert main(tiny.tiny_run(RECIPE, dcase_folder, tmp_path / "run", "--number_of_epochs=1")) == 0
    path = tmp_path / "run/manifests/train.json"
    dataset = DynamicItemDataset.from_json(path, replacements={"data_root": str(dcase_folder)})
    dataset.set_output_keys(["wav", "duration", "label"])
    items = [dataset[i] for i in range(len(dataset))]
    assert len(items) == 8
    assert all(item["wav"].startswith(str(dcase_folder)) and item["duration"] == 1.0 for item in items)


def test_the_run_from_manifests_is_the_run_from_the_lists(dcase_folder, tmp_path):
    """The same lists give the same run: what the first keeps trains the second to the same losses."""
    assert main(tiny.tiny_run(RECIPE, dcase_folder, tmp_path / "first", "--number_of_epochs=1")) == 0
    assert main(words(tmp_path / "first/manifests", tmp_path / "second")) == 0
    first, second = (report_of(tmp_path / name) for name in ("first", "second"))
    assert first["evaluation"] == second["evaluation"]
    assert first["history"][0]["train"] == second["history"][0]["train"]


def test_audio_may_have_moved(manifests, dcase_folder, tmp_path):
    moved = dcase_folder.rename(tmp_path / "elsewhere")
    assert main(words(manifests, tmp_path / "run", data_folder=moved)) == 0
    assert report_of(tmp_path / "run")["run"]["data_folder"] == str(moved)


def test_two_validation_sets_are_refused(manifests, tmp_path, capsys):
    assert main(words(manifests, tmp_path / "run", "--data.validation_fraction=0.2")) == 1
    assert "has a validation set already: leave out validation_fraction" in capsys.readouterr().err


def test_options_for_the_reader_are_refused_with_manifests(manifests, tmp_path, capsys):
    assert main(words(manifests, tmp_path / "run", "--data.labels=[airport, park, tram]")) == 1
    assert "--labels has no effect with --manifests" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_manifests_gets_one_line(tmp_path, capsys):
    assert main(words(tmp_path / "nowhere", tmp_path / "run")) == 1
    err = capsys.readouterr().err
    assert err.count("error:") == 1 and "a folder of manifests holds train.json" in err


def refusal(arguments, capsys):
    """The one line of a start that is refused."""
    capsys.readouterr()
    assert main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def test_a_clip_that_moves_to_the_validation_set_changes_the_training_set(manifests, tmp_path, capsys):
    """Else an epoch could be selected on clips that were trained on."""
    assert main(words(manifests, tmp_path / "run")) == 0
    train, valid = (json.loads((manifests / name).read_text()) for name in ("train.json", "valid.json"))
    moved = sorted(train)[0]
    valid[moved] = train.pop(moved)
    (manifests / "train.json").write_text(json.dumps(train))
    (manifests / "valid.json").write_text(json.dumps(valid))
    line = refusal(words(manifests, tmp_path / "run"), capsys)
    assert f"a run with another training set ({len(train) + 1} clips before, {len(train)} now)" in line


def test_another_length_of_the_clips_is_refused(manifests, tmp_path, capsys):
    assert main(words(manifests, tmp_path / "run")) == 0
    facts = json.loads((manifests / "corpus.json").read_text())
    (manifests / "corpus.json").write_text(json.dumps(facts | {"clip_seconds": 0.95}))
    line = refusal(words(manifests, tmp_path / "run"), capsys)
    assert "a run with other settings (clip_seconds: 0.0 before, 0.95 now)" in line


def test_other_durations_than_stated_are_warned_of(manifests, tmp_path):
    """An edited duration has no effect on what is read of a file."""
    train = json.loads((manifests / "train.json").read_text())
    path = sorted(train)[0]
    train[path]["duration"] = 0.2
    (manifests / "train.json").write_text(json.dumps(train))
    assert main(words(manifests, tmp_path / "run")) == 0
    words_of_it = f"not as long as their manifest states, and are used in full: {path} (1.00 s, not 0.20 s)"
    assert [words_of_it in warning for warning in report_of(tmp_path / "run")["warnings"]].count(True) == 1
