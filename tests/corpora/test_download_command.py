"""tools/download.py as a person runs it."""

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mirrors import PIECE, TOP, Tiny, assert_complete, serving

import mil_asc.corpora.download as download_module
from mil_asc.corpora import official


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def tiny(mirror, tmp_path):
    return Tiny(mirror, tmp_path / "sets")


TOOL = Path(__file__).parents[2] / "tools" / "download.py"


@pytest.fixture
def main(tiny, monkeypatch):
    spec = importlib.util.spec_from_file_location("download_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(download_module, "read_datasets", lambda: tiny.table)
    return lambda *options: module.main([*options, f"--to={tiny.folder}", f"--base_url={tiny.mirror.url}"])


def test_command_prints_the_option_for_training(tiny, main, capsys):
    assert main("TINY2000", "--only=meta,audio", "--remove_archives") == 0
    assert capsys.readouterr().out == f"--data_folder={tiny.folder / TOP}\n"
    assert_complete(tiny.folder / TOP)
    assert not list(tiny.folder.glob("*.zip"))


def test_command_fails_with_one_line_and_status_1(tiny, main, capsys):
    tiny.mirror.answers = [404]
    assert main("tiny2000") == 1
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"error: .*404.*\n", err)


@pytest.mark.parametrize("inside", [[], ["already/here.txt"]])
def test_refused_download_leaves_no_folder_of_its_own(tiny, main, capsys, inside):
    for path in inside:
        (tiny.folder / path).parent.mkdir(parents=True)
        (tiny.folder / path).touch()
    before = sorted(tiny.folder.parent.rglob("*"))
    tiny.mirror.answers = [404]
    assert main("tiny2000") == 1
    assert [path for path in sorted(tiny.folder.parent.rglob("*")) if path.name != ".download.lock"] == before
    assert inside or not tiny.folder.exists()


def test_download_without_network_leaves_no_folder(tmp_path):
    target = tmp_path / "new/sets"
    result = run("TAU2019", "--to", target, "--only=doc", "--base_url=http://127.0.0.1:9", "--tries=0")
    assert result.returncode == 1 and "no connection to http://127.0.0.1:9/" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_disk_that_is_too_small_leaves_no_folder(tiny, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 0))
    assert "GB are needed for the archives" in tiny.refused()
    assert not tiny.folder.exists()


def run(*options):
    command = [sys.executable, TOOL, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_unknown_set_is_refused_with_the_legal_ones(tmp_path):
    result = run("TAU2021", "--to", tmp_path / "sets")
    assert result.returncode == 1
    assert result.stderr == (
        "error: no set is called 'TAU2021'; there are tut2018m, tau2019, tau2020m, tau2022m (upper or lower case)\n"
    )
    assert not (tmp_path / "sets").exists()


class Zeros:
    """Stands for so many zero bytes without taking their memory."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, span):
        return bytes(span.stop - span.start)


@pytest.mark.slow
def test_stopped_command_keeps_what_came_and_a_second_one_is_refused_meanwhile(mirror, tmp_path):
    """TAU2020m's smallest audio archive, of which the mirror sends the first 200 kB."""
    size, _ = official.read_datasets()["tau2020m"]["archives"]["audio.16.zip"]
    if shutil.disk_usage(tmp_path).free < 3 * size:
        pytest.skip("the tool wants 1 GB free for this archive")
    name = "TAU-urban-acoustic-scenes-2020-mobile-development.audio.16.zip"
    mirror.files[name] = Zeros(size)
    mirror.hold, mirror.breaks = threading.Event(), [200_000]
    options = ["TAU2020m", "--to", tmp_path, "--only=audio.16", "--base_url", mirror.url]
    command = [sys.executable, TOOL, *map(str, options)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    try:
        part = tmp_path / f"{name}.part"
        assert mirror.held.wait(60)
        for _ in range(600):
            if part.exists() and part.stat().st_size >= 2 * PIECE:
                break
            time.sleep(0.05)
        second = run(*options)
        assert second.returncode == 1 and "another process is downloading into" in second.stderr
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err == "stopped; downloaded parts are kept; run the same command again to resume\n"
    assert part.read_bytes() == bytes(3 * PIECE)
