"""Model folders appear as a whole or not at all, and replace only model folders."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import finished_run
import pytest

from mil_asc.errors import UserError
from mil_asc.packaging.folder import load_any, load_model_folder
from mil_asc.packaging.layout import CHECKSUMS, check_files
from mil_asc.packaging.pack import pack_run
from mil_asc.packaging.sources import resolve_source
from mil_asc.packaging.tensor_file import read_tensors, write_tensors

ROOT = Path(__file__).parents[2]


def test_failure_leaves_nothing_behind(one_run, tmp_path):
    def no_graph(*words, **more):
        raise UserError("no graph can be made")

    def endless_graph(*words, **more):
        raise KeyboardInterrupt

    for graph, error in ((no_graph, UserError), (endless_graph, KeyboardInterrupt)):
        with pytest.raises(error):
            pack_run(one_run, tmp_path / "model", graph=graph)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_the_old_model(one_run, model_copy, monkeypatch):
    before = {path.name: path.read_bytes() for path in model_copy.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        pack_run(one_run, model_copy, graph=None, force=True)
    assert {path.name: path.read_bytes() for path in model_copy.iterdir()} == before
    assert [path.name for path in model_copy.parent.iterdir()] == [model_copy.name]


def test_empty_folder_is_filled(one_run, tmp_path):
    (tmp_path / "model").mkdir()
    load_model_folder(pack_run(one_run, tmp_path / "model", graph=None))


def test_model_folder_is_replaced_only_by_force(one_run, model_copy):
    (model_copy / "model.onnx").write_bytes(b"old")
    with pytest.raises(UserError, match="holds a model already"):
        pack_run(one_run, model_copy, graph=None)
    pack_run(one_run, model_copy, graph=None, force=True)
    assert not (model_copy / "model.onnx").exists() and load_model_folder(model_copy).calibration is None
    assert [path.name for path in model_copy.parent.iterdir()] == [model_copy.name]


@pytest.mark.parametrize("force", [False, True])
def test_folder_with_other_files_is_never_replaced(one_run, model_copy, force):
    (model_copy / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="it has thesis.tex"):
        pack_run(one_run, model_copy, graph=None, force=force)
    assert (model_copy / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("force", [False, True])
def test_place_that_is_no_folder_is_refused(one_run, tmp_path, force):
    (tmp_path / "file").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(UserError, match="is there already and no folder"):
            pack_run(one_run, tmp_path / name, graph=None, force=force)


def test_run_folder_is_never_replaced(one_run, run_copy):
    with pytest.raises(UserError, match="is no empty folder"):
        pack_run(one_run, run_copy, graph=None, force=True)


def test_leftovers_of_a_killed_process_are_removed(one_run, tmp_path):
    place = finished_run.write_packed(tmp_path / "model", one_run)
    killed = tmp_path / f".model.{os.uname().nodename}.4194305.partial"
    shutil.copytree(place, killed)
    pack_run(one_run, place, graph=None, force=True)
    assert not killed.exists()


def test_packing_again_gives_the_same_bytes(one_run, tmp_path):
    sums = [(finished_run.write_packed(tmp_path / n / "model", one_run) / CHECKSUMS).read_text() for n in "ab"]
    assert sums[0] == sums[1]


def test_other_files_are_ignored(model_copy):
    (model_copy / "model.py").write_text("raise SystemExit")
    (model_copy / ".gitattributes").write_text("*")
    os.mkfifo(model_copy / "pipe")
    load_model_folder(model_copy)


def test_links_of_a_hub_cache_are_followed(one_model, tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "rev", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in one_model.iterdir():
        shutil.copy(path, blobs / f"blob-{path.name}")
        (snapshot / path.name).symlink_to(f"../../blobs/blob-{path.name}")
    load_model_folder(snapshot)


def test_folder_behind_a_link_is_loaded(one_model, tmp_path):
    (tmp_path / "link").symlink_to(one_model)
    load_model_folder(tmp_path / "link")


def test_folder_of_neither_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="is neither a model folder .* nor a finished run"):
        load_any(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        load_any(tmp_path / "none")


def test_checksums_name_every_other_file(one_model):
    assert set(check_files(one_model)) == {path.name for path in one_model.iterdir()} - {CHECKSUMS}


def test_tensors_are_read_as_they_were_written(small_model):
    weights = small_model.state_dict()
    found = read_tensors(write_tensors(weights), "file")
    assert found.keys() == weights.keys() and all(found[name].equal(weights[name]) for name in weights)


def killed_while_replacing(run, model):
    """Kill ``pack --force`` between its two renames; the name that the old model is left with."""
    code = f"""
import os, signal
from mil_asc.packaging.pack import pack_run
rename = os.replace
def once(source, target):
    rename(source, target)
    if str(target).endswith(".old.partial"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = once
pack_run({str(run)!r}, {str(model)!r}, graph=None, force=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL and not model.exists()
    (old,) = model.parent.glob(".*.old.partial")
    return old


@pytest.mark.parametrize("empty", [False, True])
def test_model_that_a_killed_replacement_set_aside_is_named_and_put_back(one_run, model_copy, empty):
    before = {path.name: path.read_bytes() for path in model_copy.iterdir()}
    old = killed_while_replacing(one_run, model_copy)
    for load in (load_any, load_model_folder, resolve_source):
        with pytest.raises(UserError, match=re.escape(f"left the old model as {old}: rename it")):
            load(model_copy)
    if empty:
        model_copy.mkdir()
    with pytest.raises(UserError, match="holds a model already"):
        pack_run(one_run, model_copy, graph=None)
    assert {path.name: path.read_bytes() for path in model_copy.iterdir()} == before
    assert not old.exists()


def test_next_replacement_leaves_no_hidden_folders(one_run, model_copy):
    killed_while_replacing(one_run, model_copy)
    pack_run(one_run, model_copy, graph=None, force=True)
    load_model_folder(model_copy)
    assert [path.name for path in model_copy.parent.iterdir()] == [model_copy.name]
