"""A corpus is tagged exactly once, however often the command or its processes are killed, in memory that stays flat."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calls import start, write_noise

parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install -e ".[parquet]"')
pytestmark = pytest.mark.slow
KILLS = 30
FILES = 300
MEMORY = """
import os, sys
words = [sys.executable, "-m", "mil_asc.cli.main", *sys.argv[1:]]
_, status, used = os.wait4(os.posix_spawn(words[0], words, os.environ), 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs the command from a small process, whose own memory would count; prints the largest process's (in KiB)."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Tiny recordings, one of them bad."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(FILES - 1):
        write_noise(root / f"{number % 7}" / f"{number:03}.wav", 0.4 + 0.002 * number, seed=number)
    (root / "3/bad.wav").write_text("no audio")
    return root


@pytest.fixture(scope="module")
def words(corpus, model):
    return ["classify", corpus, "--model", model, "--format", "parquet", "--part-rows", 7, "--jobs", 2, "--to"]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    """The rows of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    _, err = finish(start(*words, folder), 3)
    assert f"{FILES - 1} recordings classified" in err
    return rows_of(folder)


def finish(process, status):
    out, err = process.communicate(timeout=300)
    assert process.returncode == status and "Traceback" not in err, err
    return out, err


def rows_of(folder):
    """All rows of the finished parts, sorted by path."""
    rows = [row for part in sorted(Path(folder).glob("part-*")) for row in parquet.read_table(part).to_pylist()]
    return sorted(rows, key=lambda row: row["path"])


def count_of(folder):
    """Rows that are on the disk, in parts and in journals; for a moment a finished part's journal is still there."""
    try:
        rows = {part.stem: parquet.read_metadata(part).num_rows for part in Path(folder).glob("part-*.parquet")}
        for journal in Path(folder).glob(".part-*.jsonl"):
            rows.setdefault(journal.stem.removeprefix("."), journal.read_bytes().count(b"\n"))
        return sum(rows.values())
    except FileNotFoundError:
        return 0


def wait_for_count(process, folder, count):
    """Wait until so many rows are there, or the process has ended."""
    limit = time.monotonic() + 120
    while process.poll() is None and count_of(folder) < count:
        assert time.monotonic() < limit
        time.sleep(0.002)


def workers_of(parent):
    """Ids of the living processes in which the command classifies."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, above = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if int(above) == parent and state != "Z" and b"spawn_main" in line:
            found.append(int(name))
    return found


def test_killed_30_times_has_every_recording_once(words, whole, tmp_path):
    chance, folder, before, kills = random.Random(0), tmp_path / "out", 0, 0
    while kills < KILLS:
        process = start(*words, folder)
        if kills % 5 == 4:  # at any moment, most often while it starts
            time.sleep(chance.uniform(0, 1.0))
        else:
            wait_for_count(process, folder, before + chance.randint(1, 9))
            time.sleep(chance.uniform(0, 0.01))
        if process.poll() is not None:  # a fast machine: take half of the parts away, whose rows are computed again
            finish(process, 3)
            for part in sorted(folder.glob("part-*"))[::2]:
                part.unlink()
            before = count_of(folder)
            continue
        process.kill()
        process.communicate(timeout=60)
        kills += 1
        assert count_of(folder) >= before, "a row was lost"
        before = count_of(folder)
        paths = [row["path"] for row in rows_of(folder)]
        assert len(paths) == len(set(paths))
    _, err = finish(start(*words, folder), 3)
    assert rows_of(folder) == whole and "were there before" in err
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_killed_processes_lose_nothing(words, whole, tmp_path):
    chance, folder, kills = random.Random(1), tmp_path / "out", 0
    process = start(*words, folder)
    while kills < 12:
        wait_for_count(process, folder, count_of(folder) + chance.randint(3, 15))
        if process.poll() is not None:
            break
        workers = workers_of(process.pid)
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            kills += 1
    _, err = finish(process, 3)
    assert kills >= 5 and "1 of 300 recordings could not be classified" in err
    assert rows_of(folder) == whole


def test_ctrl_c_ends_cleanly_with_all_rows_in_parts(words, whole, tmp_path):
    process = start(*words, tmp_path / "out")
    wait_for_count(process, tmp_path / "out", 20)
    process.send_signal(signal.SIGINT)
    _, err = finish(process, 130)
    assert err.splitlines()[-1] == "stopped" and len(rows_of(tmp_path / "out")) >= 20
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]
    finish(start(*words, tmp_path / "out"), 3)
    assert rows_of(tmp_path / "out") == whole


def test_memory_does_not_grow_with_the_number_of_recordings(model, tmp_path):
    """20,000 recordings take less than 16 MiB more than 1,000, whose names alone have 1 MB."""
    for number in range(10):
        write_noise(tmp_path / "sources" / f"{number}.wav", 0.5, seed=number)
    used = {}
    for count in (1000, 20_000):
        for number in range(count):
            place = tmp_path / f"{count}" / f"{number // 1000:02}" / f"{number:05}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(tmp_path / "sources" / f"{number % 10}.wav", place)
        command = ["classify", tmp_path / f"{count}", "--model", model, "--format", "parquet", "--part-rows", "1000"]
        command += ["--jobs", "2", "--to", tmp_path / f"out-{count}"]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *map(str, command)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        used[count] = int(done.stdout) / 1024
        assert sum(parquet.read_metadata(part).num_rows for part in (tmp_path / f"out-{count}").glob("part-*")) == count
    assert used[20_000] - used[1000] < 16, used
