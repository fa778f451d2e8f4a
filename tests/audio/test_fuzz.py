"""Hundreds of damaged files of every format: scores or an error of one line, in 10 s and 1 GB each."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from damaged_files import write_damaged_files
from tones import readable_formats

from mil_asc.store.build import prepare_waveforms

PROGRAM = Path(__file__).with_name("classify_files.py")
SEED = 8


@pytest.mark.slow
def test_damaged_files_give_finite_scores_or_one_line(tmp_path):
    folder, log = tmp_path / "audio", tmp_path / "log"
    folder.mkdir()
    paths = write_damaged_files(folder, SEED)
    assert len(paths) >= 300
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, log], capture_output=True, env=environment, timeout=600, check=False
    )
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert done.returncode == 0, f"status {done.returncode} at {lines[-1]}: {done.stderr[-2000:]}"
    found = dict(lines[1::2])
    assert list(found) == [path.name for path in paths]
    for name, result in found.items():
        if "error" in result:
            message = result["error"]
            assert message.startswith(f"{folder / name}: ") and message.isprintable(), result
        else:
            assert all(math.isfinite(score) for scores in result["scores"] for score in scores), name
            assert 0 < result["seconds"] < 90_000, name
    assert all("scores" in found[f"{container}-{subtype}-intact"] for container, subtype in readable_formats())
    assert sum("error" in result for result in found.values()) > 100


@pytest.mark.slow
def test_store_of_damaged_files_holds_what_can_be_used(tmp_path):
    paths = write_damaged_files(tmp_path, SEED + 1)
    store = prepare_waveforms(tmp_path, [path.name for path in paths], tmp_path / "cache", progress=False)
    assert len(store) > 100 and len(store) + len(store.bad) == len(paths)
    assert all(math.isfinite(abs(store.read_one(row)).max()) for row in range(len(store)))
