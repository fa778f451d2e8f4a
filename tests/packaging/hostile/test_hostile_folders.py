"""A stranger's folder is refused in one line: no code runs, nothing hangs, memory is bounded by its files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hostile_folders
import pytest

from mil_asc.packaging.folder import load_any

KINDS = {"run": hostile_folders.RUNS, "model": hostile_folders.MODELS}
CASES = [(kind, name) for kind, cases in KINDS.items() for name in cases]
PROGRAM = Path(__file__).with_name("load_limited.py")
ROOT = PROGRAM.parents[3]
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit of memory needs Linux")


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory, one_run, one_model):
    """(kind, name) -> what loading the folder came to, and whether code of it ran; one process loads all of a kind."""
    found = {}
    for kind, legal in (("run", one_run), ("model", one_model)):
        place = tmp_path_factory.mktemp(kind)
        folders = [hostile_folders.make_run(place / name, legal, change) for name, (change, _) in KINDS[kind].items()]
        command = [sys.executable, PROGRAM, legal, *folders]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{place / 'tag_new_custom'}"}
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=550)
        assert done.returncode == 0, done.stderr[-2000:]
        for name, outcome in json.loads(done.stdout).items():
            found[kind, name] = outcome, (place / f"made-{name}").exists()
        shutil.rmtree(place)
    return found


@pytest.mark.parametrize("kind, name", CASES)
def test_hostile_folder_is_refused_in_one_line(outcomes, kind, name):
    outcome, code_ran = outcomes[kind, name]
    words = KINDS[kind][name][1]
    assert not code_ran
    assert words in outcome and "\n" not in outcome and len(outcome) < 700, outcome
    assert not outcome.startswith(("LOADED", "HANGS", "NOT REFUSED")), outcome


def test_there_are_sixty_hostile_folders():
    assert len(CASES) >= 60


def test_legal_folders_are_loaded(one_run, one_model):
    assert load_any(one_run).config.labels == load_any(one_model).config.labels
