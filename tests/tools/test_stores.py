"""``tools/stores.py``: what it lists, and what it deletes."""

import importlib.util
import os
import time

import numpy as np
import pytest
import soundfile
import tiny

from mil_asc.store.build import prepare_waveforms
from mil_asc.store.read import WaveformStore

SPEC = importlib.util.spec_from_file_location("stores_tool", tiny.ROOT / "tools/stores.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.fixture
def stores(tmp_path):
    """Folders of two stores, used 40 and 0 days ago."""
    soundfile.write(tmp_path / "a.wav", np.ones(1000) / 2, 16000)
    folders = [
        prepare_waveforms(tmp_path, ["a.wav"], tmp_path / "cache", sample_rate=rate, progress=False).folder
        for rate in (8000, 16000)
    ]
    when = time.time() - 40 * 24 * 3600
    os.utime(f"{folders[0]}.lock", (when, when))
    return folders


def call(capsys, *words):
    status = TOOL.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_stores_are_listed_and_nothing_is_deleted(stores, capsys):
    status, lines, _ = call(capsys, stores[0].parent)
    assert status == 0 and len(lines) == 3 and all(folder.exists() for folder in stores)
    assert lines[0].startswith(f"{stores[0]}: ") and "1 clips of" in lines[0] and "last used 20" in lines[0]
    assert lines[1].startswith(f"{stores[1]}: ") and lines[2].endswith("in 2 not in use, which --free deletes")


def test_old_stores_alone_are_freed(stores, capsys):
    status, lines, _ = call(capsys, stores[0].parent, "--older_than=30", "--free")
    assert status == 0 and not stores[0].exists() and stores[1].exists()
    assert lines[0].startswith(f"{stores[0]}: ") and lines[1].startswith("freed ") and "1 of 1 store" in lines[1]


def test_store_in_use_is_kept(stores, capsys):
    opened = WaveformStore(stores[1])
    status, lines, _ = call(capsys, *stores, "--free")
    assert status == 0 and not stores[0].exists() and len(opened) == 1 and stores[1].exists()
    assert lines[1].endswith(", in use") and "in 1 of 2 store(s)" in lines[2]


def test_recipes_are_searched_by_default(stores, capsys, monkeypatch):
    monkeypatch.setattr(TOOL, "CACHE_FOLDERS", "no/such/folder")
    assert call(capsys) == (0, ["0 store(s); 0 bytes in 0 not in use, which --free deletes"], "")


def test_missing_folder_is_refused_in_one_line(capsys, tmp_path):
    status, lines, err = call(capsys, tmp_path / "nowhere")
    assert status == 1 and lines == [] and err.startswith(f"error: {tmp_path}/nowhere: no such folder")


def test_store_that_is_named_twice_is_freed_once(stores, capsys):
    status, lines, err = call(capsys, stores[0].parent, stores[0], f"{stores[0].parent}/../cache", "--free")
    assert (status, err) == (0, "") and len(lines) == 3 and "in 2 of 2 store(s)" in lines[2]


@pytest.mark.parametrize("days", ["nan", "-1"])
def test_ages_that_are_none_are_refused(stores, capsys, days):
    status, _, err = call(capsys, stores[0].parent, f"--older_than={days}", "--free")
    assert status == 1 and "--older_than must be a number of days from 0 up" in err
    assert all(folder.exists() for folder in stores)
