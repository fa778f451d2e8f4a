"""tools/benchmark.py --peers: one clip through networks of other packages and ours."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mil_asc.results import plots

TOOL = Path(__file__).parents[2] / "tools/benchmark.py"


@pytest.fixture(scope="module")
def peers():
    spec = importlib.util.spec_from_file_location("bench", TOOL.parent / "bench/__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(spec)
    yield importlib.import_module("bench.peers")
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("name, parameters", (("FUSE, small, ONNX", 134_986), ("`cp_mobile`", None)))
def test_contestant_says_what_it_costs(name, parameters):
    command = [sys.executable, str(TOOL), f"--peer={name}", "--seconds=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"parameters", "macs", "size", "milliseconds", "memory"}
    assert all(value > 0 for value in found.values())
    assert parameters in (None, found["parameters"])


def test_published_sizes_of_the_peers(peers):
    """CNN14 of 527 classes has 80,753,615 parameters by its authors' code; here it has 10 classes."""
    pytest.importorskip("torchlibrosa")
    built = peers.BUILDERS["CNN14"](1.0)
    assert built.parameters == 80_753_615 - 517 * 2049


def test_table_has_ratios_within_a_round_and_leaves_out_what_is_missing(peers, monkeypatch, capsys):
    spent = iter((10.0, 30.0, 20.0, 40.0))

    def measured(name, seconds):
        assert seconds == 2.0
        return {"parameters": 1000, "macs": 5e6, "size": 4e6, "milliseconds": next(spent), "memory": 100.0}

    monkeypatch.setattr(peers, "_in_process", measured)
    monkeypatch.setattr(peers, "BUILDERS", dict.fromkeys((peers.REFERENCE, "`fuse`", "AST")))
    monkeypatch.setattr(peers, "MODULES", {"AST": "no_such_package"})
    text, found = peers.compare_peers(2.0, 2)
    assert len(found) == 2
    picture = plots.svg(peers.paint_peers, found)
    assert ">FUSE, small, ONNX<" in picture
    assert ">35<" in picture
    assert text.splitlines()[2:] == [
        "| FUSE, small, ONNX | mil_asc | 1,000 | 5 | 4.00 | 100 | 15.0 | 1.0 |",
        "| `fuse` | mil_asc | 1,000 | 5 | 4.00 | 100 | 35.0 | 2.5 |",
    ]
    assert "AST: left out, because no_such_package is not installed" in capsys.readouterr().err
