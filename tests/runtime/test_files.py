"""Atomic writes leave nothing behind, and remove what killed processes left."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from mil_asc.runtime.files import STALE_SECONDS, write_atomically

ROOT = Path(__file__).parents[2]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def ended_process():
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def leave(folder, computer, process, name="a.txt", age=0.0):
    """A partial file as a process on some computer left it."""
    path = folder / f".{name}.{computer}.{process}.partial"
    path.write_text("half")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return path.name


def test_leftover_of_a_killed_write_is_removed_by_the_next(tmp_path):
    code = f"""
import os, signal
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from mil_asc.runtime.files import write_atomically
write_atomically({str(tmp_path / "a.txt")!r}, "never")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL and len(names(tmp_path)) == 1
    write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "new"


def test_partial_file_of_a_running_process_stays(tmp_path):
    kept = [leave(tmp_path, socket.gethostname(), os.getppid()), leave(tmp_path, socket.gethostname(), 1)]
    write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted({*kept, "a.txt"})  # the parent may be process 1


def test_partial_file_of_another_computer_stays_for_a_day(tmp_path):
    process = ended_process()
    kept = leave(tmp_path, "elsewhere", process, age=STALE_SECONDS - 3600)
    leave(tmp_path, "nowhere.example", process, age=STALE_SECONDS + 1)
    write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted([kept, "a.txt"])


def test_files_of_other_names_stay(tmp_path):
    process = ended_process()
    kept = [leave(tmp_path, socket.gethostname(), process, name) for name in ("b.txt", "a.txtx", "xa.txt", "aXtxt")]
    for name in (".a.txt.swp", f".a.txt.{process}", "a.txt.partial"):
        (tmp_path / name).write_text("kept")
        kept.append(name)
    write_atomically(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted([*kept, "a.txt"])
