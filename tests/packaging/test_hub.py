"""Upload and download of a model folder, with a hub on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import running_hub

from mil_asc.errors import ArgumentError, UserError
from mil_asc.packaging.folder import load_model_folder
from mil_asc.packaging.hub import push
from mil_asc.packaging.sources import resolve_source

NAME = "hf:anna/sounds"
ROOT = Path(__file__).parents[2]
# huggingface_hub 2.4 hands the bytes of an upload to its HTTP client in an old way
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    with running_hub() as server:
        yield server


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_pushed_model_is_downloaded_as_it_was(hub, one_model, tmp_path):
    address = push(one_model, NAME, endpoint=hub.address, token="hf_x")
    assert address.startswith(hub.address) and hub.files == contents(one_model)
    found = resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    assert contents(found) == contents(one_model)
    assert load_model_folder(found).config == load_model_folder(one_model).config


def test_private_model_is_made_private(hub, one_model):
    push(one_model, NAME, endpoint=hub.address, token="hf_x", private=True)
    assert hub.repository["visibility" if "visibility" in hub.repository else "private"] in ("private", True)


def test_other_files_are_neither_uploaded_nor_downloaded(hub, model_copy, tmp_path):
    (model_copy / "notes.py").write_text("import os")
    push(model_copy, NAME, endpoint=hub.address, token="hf_x")
    assert "notes.py" not in hub.files
    hub.files["setup.py"] = b"import os"
    found = resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    assert not (found / "setup.py").exists()


def test_damaged_folder_is_not_uploaded(hub, model_copy):
    (model_copy / "README.md").write_text("other")
    with pytest.raises(UserError, match="README.md does not match its checksum"):
        push(model_copy, NAME, endpoint=hub.address, token="hf_x")
    assert not hub.asked


def test_file_that_is_too_large_is_not_downloaded(hub, one_model, tmp_path):
    hub.files |= contents(one_model) | {"config.json": bytes(1_000_001)}
    with pytest.raises(UserError, match=r"config.json has 1.0 MB, at most 1.0 MB are legal"):
        resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    assert not [path for method, path in hub.asked if method == "GET" and "/resolve/" in path]


def test_offline_takes_the_cache_alone(hub, one_model, tmp_path):
    push(one_model, NAME, endpoint=hub.address, token="hf_x")
    with pytest.raises(UserError, match="not in the cache"):
        resolve_source(NAME, cache=tmp_path, endpoint=hub.address, offline=True)
    online = resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    before = len(hub.asked)
    assert resolve_source(NAME, cache=tmp_path, endpoint=hub.address, offline=True) == online
    assert len(hub.asked) == before


def test_environment_variable_for_offline_mode_is_obeyed(hub, one_model, tmp_path):
    code = f"from mil_asc.packaging.sources import resolve_source; resolve_source({NAME!r}, cache={str(tmp_path)!r})"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.address, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "UserError: hf:anna/sounds" in done.stderr.splitlines()[-1] and not hub.asked


def test_environment_variable_for_offline_mode_takes_the_cache(hub, one_model, tmp_path):
    push(one_model, NAME, endpoint=hub.address, token="hf_x")
    found = resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    code = f"from mil_asc.packaging.sources import *; print(resolve_source({NAME!r}, cache={str(tmp_path)!r}))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.address, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(found), done.stderr


def test_hub_that_cannot_be_reached_leaves_the_cache(hub, one_model, tmp_path):
    nowhere = "http://127.0.0.1:1"
    with pytest.raises(UserError) as caught:
        resolve_source(NAME, cache=tmp_path, endpoint=nowhere)
    assert str(caught.value) == "hf:anna/sounds: the hub cannot be reached, and it is not in the cache"
    push(one_model, NAME, endpoint=hub.address, token="hf_x")
    online = resolve_source(NAME, cache=tmp_path, endpoint=hub.address)
    assert resolve_source(NAME, cache=tmp_path, endpoint=nowhere) == online


def test_unknown_model_is_refused_in_one_line(hub, tmp_path):
    with pytest.raises(UserError) as caught:
        resolve_source("hf:anna/nothing", cache=tmp_path, endpoint=hub.address)
    assert str(caught.value) == "hf:anna/nothing cannot be downloaded: the hub has no such model, or it is private"


def test_hub_that_does_not_answer_is_refused_in_one_line(one_model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with running_hub() as server:
        closed = server.address
    with pytest.raises(UserError, match="hf:anna/sounds"):
        resolve_source(NAME, cache=tmp_path, endpoint=closed)
    with pytest.raises(UserError, match="cannot be uploaded"):
        push(one_model, NAME, endpoint=closed, token="hf_x")


def test_revision_is_made_and_committed_to_alone(hub, one_model, tmp_path):
    push(one_model, NAME, endpoint=hub.address, token="hf_x", revision="v1.0")
    posted = [path for method, path in hub.asked if method == "POST"]
    assert "/api/models/anna/sounds/branch/v1.0" in posted
    assert [path for path in posted if "/commit/" in path] == ["/api/models/anna/sounds/commit/v1.0"]
    hub.asked.clear()
    found = resolve_source(NAME, cache=tmp_path, endpoint=hub.address, revision="v1.0")
    assert ("GET", "/api/models/anna/sounds/revision/v1.0") in hub.asked and contents(found) == contents(one_model)


@pytest.mark.parametrize("revision", ["", " ", "a b", "../x", "-f", "x\ny", "a?b", 5])
def test_revision_that_is_no_name_is_refused_before_anything_is_asked(hub, one_model, tmp_path, revision):
    """An empty one, such as that of a variable that is not set, would replace what is on main."""
    with pytest.raises(ArgumentError, match="revision must be the name of a branch"):
        push(one_model, NAME, endpoint=hub.address, token="hf_x", revision=revision)
    with pytest.raises(ArgumentError, match="revision must be the name of a branch"):
        resolve_source(NAME, cache=tmp_path, endpoint=hub.address, revision=revision)
    assert not hub.asked


@pytest.mark.parametrize("name", ["hf:", "hf:anna", "hf:a/b/c", "hf:../..", "hf:anna/so unds", "anna/sounds", "", None])
def test_wrong_name_is_refused_before_anything_is_asked(name, one_model):
    with pytest.raises(ArgumentError, match="hf:user/model"):
        push(one_model, name)
