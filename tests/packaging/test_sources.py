"""What ``source=`` names: a folder, a shipped model or a model on a hub; the first two never touch the network."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mil_asc.errors import ArgumentError, UserError
from mil_asc.packaging import sources
from mil_asc.packaging.sources import repository_of, resolve_source, shipped_models


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two shipped models, and a network that must not be used."""
    for name in ("street-fuse", "forest-fuse"):
        (tmp_path / "shipped" / name).mkdir(parents=True)
        (tmp_path / "shipped" / name / "config.json").write_text("{}")
    (tmp_path / "shipped" / "no-model").mkdir()
    monkeypatch.setattr(sources, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(socket.socket, "connect", lambda *words: pytest.fail("the network was used"))
    return tmp_path / "shipped"


def test_shipped_models_are_those_with_a_config(shipped):
    assert shipped_models() == ["forest-fuse", "street-fuse"]


def test_name_of_a_shipped_model_is_its_folder(shipped):
    assert resolve_source("street-fuse") == shipped / "street-fuse"


@pytest.mark.parametrize("kind", [str, Path])
def test_folder_is_taken_as_it_is(shipped, tmp_path, kind):
    assert resolve_source(kind(tmp_path)) == tmp_path


def test_folder_comes_before_a_shipped_model(shipped, tmp_path, monkeypatch):
    (tmp_path / "street-fuse").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_source("street-fuse") == Path("street-fuse")


@pytest.mark.parametrize(
    "wrong", ["stret-fuse", "user/model", "../street-fuse/x", "shipped/none", "no-model", "HF:a/b"]
)
def test_unknown_name_is_refused_with_the_shipped_ones(shipped, wrong):
    with pytest.raises(UserError, match="shipped: forest-fuse, street-fuse") as caught:
        resolve_source(wrong)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(wrong)


def test_misspelt_name_is_told_what_was_meant(shipped):
    with pytest.raises(UserError, match=r"did you mean street-fuse\b"):
        resolve_source("stret-fuse")


def test_file_is_refused(shipped, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is no folder"):
        resolve_source(tmp_path / "file")


@pytest.mark.parametrize("wrong", [None, 5, "", b"x", "a\0b", ["x"]])
def test_source_of_another_kind_is_refused(wrong):
    with pytest.raises(ArgumentError, match="source must be a folder, a shipped model's name or hf:user/model"):
        resolve_source(wrong)


def test_revision_of_a_folder_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="revision is for models on the hub"):
        resolve_source(tmp_path, revision="main")


@pytest.mark.parametrize("wrong", ["hf:", "hf:a", "hf:a/b/c", "hf:../a", "hf:a/b@c", "hf:a/ b", "hf:a/b--c"])
def test_wrong_name_on_a_hub_is_refused_before_the_network(shipped, wrong):
    with pytest.raises(ArgumentError, match="like hf:user/model"):
        resolve_source(wrong)
    with pytest.raises(ArgumentError):
        repository_of(wrong)


def test_sources_need_no_pytorch():
    code = (
        "import sys, mil_asc.packaging.sources, mil_asc.packaging.layout; "
        "print([name for name in ('torch', 'safetensors', 'scipy', 'huggingface_hub') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_models_are_small():
    for name in shipped_models():
        assert sum(path.stat().st_size for path in resolve_source(name).iterdir()) < 2_500_000, name
