"""The trained model of a run: loaded exactly as it was saved, or refused in one line; its YAML runs no code."""

import pytest
import tiny
import torch

from mil_asc.errors import UserError
from mil_asc.results.trained_model import load_model, save_model
from mil_asc.runtime.checksums import checksum, write_checksums
from mil_asc.training.config import load_hparams

LABELS = ["bus", "park", "tram"]
FILES = ("model.ckpt", "model.yaml")


@pytest.fixture(scope="module")
def built():
    """A tiny network, and the settings that build it."""
    sizes = {"data_folder": "x", "num_classes": 3, "channels": [4, 4, 6, 8], "n_mels": 16, "instance_dim": 8}
    hparams, settings = load_hparams(tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml", sizes)
    return hparams["model"]["network"], settings


@pytest.fixture
def folder(tmp_path, built):
    save_model(tmp_path, *built, LABELS)
    return tmp_path


def refusal(folder):
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def rewrite(folder, name, content):
    """Replace a file and its checksum: what a careful editor of the folder could do."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    write_checksums(folder / "model.sha256", FILES)


def edit(folder, old, new):
    text = (folder / "model.yaml").read_text()
    assert old in text
    rewrite(folder, "model.yaml", text.replace(old, new, 1))


def test_model_is_loaded_as_it_was_saved(folder, built):
    network, labels, found = load_model(folder)
    expected = built[0].state_dict()
    assert labels == LABELS and found == checksum(folder / "model.ckpt") and not network.training
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_labels_that_look_like_other_values_are_kept(tmp_path, built):
    save_model(tmp_path, *built, ["on", "1", "null"])
    assert load_model(tmp_path).labels == ["on", "1", "null"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_flipped_byte_is_refused(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 0x01
    (folder / name).write_bytes(content)
    assert f"is damaged ({name} does not match its checksum in model.sha256)" in refusal(folder)


@pytest.mark.parametrize("name", [*FILES, "model.sha256"])
def test_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


def test_checksums_that_leave_out_a_file_are_refused(folder):
    write_checksums(folder / "model.sha256", ["model.yaml"])
    assert "model.sha256 has no checksum of model.ckpt" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_loaded_nor_saved(folder, built, value):
    weights = torch.load(folder / "model.ckpt", weights_only=True)
    weights["detector.bias"][1] = value
    torch.save(weights, folder / "model.ckpt")
    rewrite(folder, "model.ckpt", (folder / "model.ckpt").read_bytes())
    assert "model.ckpt: weights that are not finite (NaN or infinite): detector.bias" in refusal(folder)
    network, settings = built
    good = network.state_dict()["detector.bias"].clone()
    try:
        network.state_dict()["detector.bias"][1] = value
        with pytest.raises(UserError, match="the model is not saved: weights that are not finite"):
            save_model(folder, network, settings, LABELS)
    finally:
        network.state_dict()["detector.bias"].copy_(good)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", b"\x80\x02K\x05."])
def test_weights_that_are_no_weights_are_refused(folder, content):
    rewrite(folder, "model.ckpt", content)
    assert "model.ckpt does not fit model.yaml" in refusal(folder)


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "it has no model.network"),
        ("labels: [", "is damaged"),
        ("just text", "it has no model.network"),
        ("labels: [a]\nlabels: [b]\n", "is damaged"),
        (b"\xff\xfe\x00", "is damaged"),
        ("labels: [bus, park, tram]\n", "it has no model.network"),
        ("labels: [bus, park, tram]\nmodel: {network: 5}\n", "it has no model.network that is a MILClassifier"),
        ("[" * 5000, "is damaged"),
    ],
)
def test_damaged_settings_are_refused(folder, content, words):
    rewrite(folder, "model.yaml", content)
    assert words in refusal(folder)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("- tram\n", "", "2 labels for a model of 3 classes"),
        ("- tram\n", "- bus\n", "labels must be a list of different names"),
        ("- tram\n", "- 5\n", "labels must be a list of different names"),
        ("labels:", "names:", "labels must be a list of different names, got None"),
        ("num_blocks: 3\n      frequency", "num_blocks: -1.5\n      frequency", "model.yaml is damaged: "),
        ("num_blocks: 3\n      frequency", "blocks: 3\n      frequency", "model.yaml is damaged: "),
    ],
)
def test_inconsistent_settings_are_refused(folder, old, new, words):
    edit(folder, old, new)
    assert words in refusal(folder)


@pytest.mark.parametrize(
    "code",
    [
        "!apply:os.mkdir [{path}]",
        "!new:pathlib.Path [{path}]",
        "!name:os.mkdir {{path: {path}}}",
        "!module:os",
        "!include:other.yaml",
        "!ref <labels>",
        "!copy <labels>",
        "!tuple (1, 2)",
        "!applyref:os.mkdir {{path: {path}}}",
        "!!python/object/apply:os.mkdir [{path}]",
        "!!python/name:os.mkdir",
        "!new:custom.Model {{}}",
        "!new:mil_asc.training.run_folder.RunFolder [{path}]",
        "!new:mil_asc.model.classifier.torch.nn.Linear [1, 1]",
        "!new:mil_asc.model.classifier.torch.utils.checkpoint.os.mkdir [{path}]",
        "!new:mil_asc.model.complexity.complexity [1]",
        "!new:mil_asc.model.heads.InstanceDetector.__init__ [1]",
        "!new:mil_asc.model.no_such_file.Model {{}}",
    ],
)
def test_code_is_refused_before_anything_is_built(folder, monkeypatch, code):
    made = folder / "made"
    (folder / "custom.py").write_text(f"import os\nos.mkdir({str(made)!r})\n")
    (folder / "other.yaml").write_text("a: 1\n")
    monkeypatch.syspath_prepend(folder)
    text = (folder / "model.yaml").read_text()
    rewrite(folder, "model.yaml", f"extra: {code.format(path=made)}\n{text}")
    message = refusal(folder)
    assert "model.yaml, line 1: " in message and "is not allowed" in message
    assert not made.exists()


def test_tag_by_another_handle_is_refused(folder):
    text = (folder / "model.yaml").read_text()
    made = folder / "made"
    rewrite(folder, "model.yaml", f"%TAG !x! !apply:os.\n---\nextra: !x!mkdir [{made}]\n{text}")
    assert "is not allowed" in refusal(folder) and not made.exists()


def test_every_extractor_and_head_can_be_loaded(tmp_path):
    """Each model block of ``hparams/models`` names allowed classes only."""
    recipe = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"
    from mil_asc.model.extractors import registered_extractors
    from mil_asc.training.command_line import parse_command_line

    for name in registered_extractors():
        words = [str(recipe), "--data_folder=x", f"--model={name}", *tiny.tiny_model(name)]
        hparams, settings = load_hparams(recipe, parse_command_line(words)[2])
        save_model(tmp_path, hparams["model"]["network"], settings, [str(c) for c in range(10)])
        assert type(load_model(tmp_path).network.extractor) is registered_extractors()[name]
