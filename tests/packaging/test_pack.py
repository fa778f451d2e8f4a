"""From a finished run to a model folder: everything of the run that a stranger needs, and nothing of its machine."""

import json
import subprocess

import finished_run
import pytest
import ruamel.yaml
import torch
from small_calibration import of_dimension

from mil_asc.errors import ArgumentError, UserError
from mil_asc.packaging.card import command_of, without_machine_paths
from mil_asc.packaging.folder import load_any, load_model_folder
from mil_asc.packaging.layout import CARD, MOST_BYTES, check_files
from mil_asc.packaging.pack import pack_run
from mil_asc.results.run import Run
from mil_asc.results.settings import read_settings


def front_matter(card):
    _, head, body = card.split("---\n", 2)
    return ruamel.yaml.YAML(typ="safe").load(head), body


def test_packed_model_scores_as_its_run(one_run, one_model):
    run, packed = load_any(one_run), load_any(one_model)
    wav_BN = 0.1 * torch.randn(2, 16000)
    assert torch.equal(run.network(wav_BN).logits_BIC, packed.network(wav_BN).logits_BIC)
    assert packed.config.labels == finished_run.LABELS and not packed.network.training
    assert packed.config.trained_on | {"seed": "7", "dataset": "TAU2019"} == packed.config.trained_on


def test_packed_folder_has_the_files_of_the_layout(one_model):
    names = {path.name for path in one_model.iterdir()}
    assert names == set(MOST_BYTES) - {"model.onnx"}
    assert load_model_folder(one_model).calibration == of_dimension(8)


def test_checksums_are_those_of_sha256sum(one_model):
    done = subprocess.run(["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=one_model, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_weights_leave_out_what_the_config_rebuilds(one_model):
    content = (one_model / "model.safetensors").read_bytes()
    names = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert "detector.bias" in names
    assert not [name for name in names if name.startswith("front_end.") or name.endswith("num_batches_tracked")]


def test_graph_is_made_of_the_network_and_the_checksum(one_run, tmp_path):
    asked = {}

    def graph(network, labels, *, weights_sha256, calibration):
        asked.update(labels=labels, sha=weights_sha256, calibration=calibration, training=network.training)
        return b"a graph"

    folder = pack_run(one_run, tmp_path / "model", calibration=of_dimension(8), graph=graph)
    sums = check_files(folder)
    assert (folder / "model.onnx").read_bytes() == b"a graph" and "model.onnx" in sums
    expected = {
        "labels": finished_run.LABELS,
        "sha": sums["model.safetensors"],
        "calibration": of_dimension(8),
        "training": False,
    }
    assert asked == expected


def test_card_has_the_front_matter_of_the_hub(one_model):
    values, _ = front_matter((one_model / "README.md").read_text())
    assert values["pipeline_tag"] == "audio-classification" and values["library_name"] == "mil_asc"
    assert values["license"] == "other" and values["datasets"] == ["TAU2019"] and values["metrics"] == ["accuracy"]


def test_card_has_data_scores_limits_and_how_it_was_made(one_run, tmp_path):
    words = {"data_license": "CC-BY", "description": "A model | of things", "attribution": "Anna | Ben", "name": "mine"}
    _, card = front_matter((finished_run.write_packed(tmp_path / "m", one_run, **words) / "README.md").read_text())
    assert "# mine" in card and "A model \\| of things" in card and "## Attribution\n\nAnna | Ben" in card
    assert "licence of the data: CC-BY" in card and "90 clips" in card and "30 clips, not trained on" in card
    assert "| SMI (decides by default) | 80.0 % | 62.7 % to 90.5 % |" in card and "| CMI | 70.0 % |" in card
    assert (
        "| 50.0 % |" in card and "+30.0 points" in card and "+10.0 to +50.0" in card and "always bus | 33.3 %" in card
    )
    assert "a note \\| with \\<b\\>marks\\</b\\>" in card and "| SMI | 90.0 % | 0.100 | 0.020 |" in card
    assert "`python train.py hparams/fuse_pnl.yaml --seed=7`" in card and "seed 7" in card and "torch 2.14.1" in card


def test_model_without_calibration_says_so(one_run, tmp_path):
    folder = pack_run(one_run, tmp_path / "model", graph=None)
    assert "## Calibration\n\nNone, for want of enough clips" in (folder / "README.md").read_text()
    assert load_model_folder(folder).calibration is None


def test_no_file_holds_a_path_of_the_machine(one_run, one_model):
    for path in one_model.iterdir():
        assert b"/home/anna" not in path.read_bytes() and str(one_run).encode() not in path.read_bytes(), path.name
    assert read_settings((one_model / "hyperparams.yaml").read_text())["data_folder"] == ".../TAU2019"


def test_settings_without_machine_paths_are_the_same_otherwise(one_run):
    text = (one_run / "hyperparams.yaml").read_text()
    before, after = read_settings(text), read_settings(without_machine_paths(text))
    assert before.keys() == after.keys()
    changed = {key for key in before if str(before[key]) != str(after[key]) and not isinstance(before[key], dict)}
    assert changed and all(str(before[key]).startswith("/") for key in changed)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a: /home/anna/x", "a: .../x"),
        ("a: '/home/anna/x/' # note", "a: '.../x' # note"),
        ("[/a/b, /c]", "[.../b, .../c]"),
        ("--data_folder=/a/b/c", "--data_folder=.../c"),
        (r"a: C:\Users\anna\x", "a: .../x"),
        ("a: ~/data/x", "a: .../x"),
        ("folder: results/x/seed-1", "folder: results/x/seed-1"),
        ("!new:mil_asc.model.heads.Head", "!new:mil_asc.model.heads.Head"),
        ("https://zenodo.org/records/1", "https://zenodo.org/records/1"),
        ("names: mil_asc/mil/pooling/", "names: mil_asc/mil/pooling/"),
        ("a/b and 1 / 2", "a/b and 1 / 2"),
    ],
)
def test_only_absolute_paths_are_shortened(text, expected):
    assert without_machine_paths(text) == expected


def test_command_is_that_of_the_console_without_folders(run_copy):
    first = (
        "$ /home/anna/bin/python3 train.py hparams/fuse_pnl.yaml --seed=3 --output_folder=x --list=/home/anna/a.csv\n"
    )
    (run_copy / "console.log").write_text(first + "more\n")
    assert command_of(Run(run_copy)) == "python train.py hparams/fuse_pnl.yaml --seed=3 --list=.../a.csv"


def changed_report(folder, **values):
    report = json.loads((folder / "report.json").read_text())
    report["run"] |= values
    (folder / "report.json").write_text(json.dumps(report))


@pytest.mark.parametrize(
    "values, words",
    [
        ({"debug": True}, "is a debug run"),
        ({"epochs": 1}, "is not finished: 1 of"),
        ({"weights_sha256": "0" * 64}, "its report is not that of its weights"),
    ],
)
def test_run_that_is_no_finished_one_is_refused(run_copy, tmp_path, values, words):
    changed_report(run_copy, **values)
    with pytest.raises(UserError, match=words):
        pack_run(run_copy, tmp_path / "model", graph=None)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["report.json", "model.ckpt", "model.yaml", "hyperparams.yaml"])
def test_run_without_a_file_is_refused(run_copy, tmp_path, name):
    (run_copy / name).unlink()
    with pytest.raises(UserError, match=name):
        pack_run(run_copy, tmp_path / "model", graph=None)


@pytest.mark.parametrize("text, words", [("[]", "must have the keys"), ("{", "JSON"), ('{"a": NaN}', "NaN")])
def test_calibration_that_is_none_is_refused(one_run, tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        pack_run(one_run, tmp_path / "model", calibration=text, graph=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("license", ["", None, "a\nb", "x" * 200])
def test_license_that_is_no_name_is_refused(one_run, tmp_path, license):
    with pytest.raises(ArgumentError, match="license must be a short name"):
        pack_run(one_run, tmp_path / "model", license=license, graph=None)


def test_card_has_the_licence_of_an_official_set_unless_another_is_stated(one_run, tmp_path):
    cards = [
        (pack_run(one_run, tmp_path / str(place), graph=None, data_license=words) / CARD).read_text()
        for place, words in enumerate(["", "my own"])
    ]
    assert "licence of the data: non-commercial use only\n" in cards[0] and "licence of the data: my own\n" in cards[1]
