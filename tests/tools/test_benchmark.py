"""tools/benchmark.py: what it prints, what it measures, what it refuses."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "benchmark.py"
TINY = ["--device=cpu", "--seconds=1", "--batch_size=2", "--n_mels=32", "--rounds=1", "--clips=3", "--fill=0.1"]
AUGMENTATIONS = [
    *("all", "combined", "freq_mixstyle", "impulse_responses", "mixup", "random_crop", "random_gain", "spec_augment"),
    *("stretch", "time_roll", "impulse_responses, every clip"),
]
ROWS = [
    "preparing 48 kHz stereo",
    "feeding 2 clips",
    *(f"augment={name}" for name in AUGMENTATIONS),
    "training step, as train.py",
    "peak memory, training",
    "share of best matrix rate",
    "share of copy bandwidth",
    "one clip, waveform to scores",
    "peak memory, one clip",
]


@pytest.fixture(scope="module")
def bench():
    """The parts of the program, by the name of their file."""
    spec = importlib.util.spec_from_file_location("bench", TOOL.parent / "bench/__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(spec)
    names = ("command", "contestants", "measures", "table")
    yield SimpleNamespace(**{name: importlib.import_module(f"bench.{name}") for name in names})
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]


def run(*options, folder=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if folder is not None:
        environment["TMPDIR"] = str(folder)
    return subprocess.run([sys.executable, TOOL, *options], env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_tiny_run_prints_every_row_and_valid_json(tmp_path):
    (tmp_path / "temporary").mkdir()
    done = run(*TINY, f"--json={tmp_path / 'numbers.json'}", folder=tmp_path / "temporary")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == "what plain ours ratio expected met?".split()
    assert all(line.startswith(f"| {row}") for line, row in zip(lines[2:], ROWS, strict=True))
    assert "python" in done.stdout.splitlines()[0] and "Machine:" in done.stdout
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert len(numbers["rows"]) == len(ROWS)
    assert all(row["ours"] > 0 and row["ratio"] > 0 for row in numbers["rows"])
    assert set(numbers["measurements"]["rounds"][0]) == {"plain", "fast", "machine", "augmentation"}
    assert not list((tmp_path / "temporary").glob("mil_asc_benchmark_*"))


@pytest.mark.parametrize(
    "option, said",
    [
        ("--only=preparing,sleeping", "'sleeping'; legal: preparing, feeding, augmentation, training, latency"),
        ("--only=", "unknown measure ''"),
        ("--batch_size=1", "at least 2"),
        ("--rounds=none", "'none' is not a whole number"),
        ("--seconds=nan", "'nan' is not a number above 0"),
        ("--seconds=0.1", "at least 0.224"),
        ("--hop_ms=0.01", "less than a sample"),
        ("--device=cuda", "no CUDA device"),
        ("--json=/no/such/folder/numbers.json", "no such folder"),
        ("--round=1", "unrecognized"),
    ],
)
def test_bad_argument_is_refused_in_one_line(bench, capsys, option, said):
    with pytest.raises(SystemExit) as stop:
        bench.command.parse([option])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in error and error.count("\n") == 1


def test_plain_feature_maps_are_nchw_and_those_of_the_others_channels_last(bench):
    args = bench.command.parse(TINY)
    for name, contestant in bench.contestants.CONTESTANTS.items():
        model, outputs = bench.measures.build_model(args, contestant), []
        for module in model.extractor.modules():
            module.register_forward_hook(lambda module, inputs, output, seen=outputs: seen.append(output))
        model(bench.measures.waveforms(args, 2))
        assert {output.is_contiguous() for output in outputs} == {name == "plain"}


def test_work_of_a_clip_is_that_of_the_paper(bench):
    args = bench.command.parse(["--device=cpu"])
    fast = bench.contestants.CONTESTANTS["fast"]
    found = bench.measures.count_work(bench.measures.build_model(args, fast), args, fast)
    network, mel = 214.6e6, 1025 * 256 * 313
    assert found["flops"] == pytest.approx(2 * (3 * network + mel), rel=1e-3)


def test_environment_of_plain_has_no_tunables_and_that_of_fast_keeps_pages(bench, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    monkeypatch.setenv("MIL_ASC_MALLOC", "system")
    assert "GLIBC_TUNABLES" not in bench.contestants.environment("plain")
    if sys.platform.startswith("linux"):
        assert "trim_threshold" in bench.contestants.environment("fast")["GLIBC_TUNABLES"]


def test_failed_contestant_is_one_line(bench, monkeypatch, capsys):
    monkeypatch.setattr(
        bench.contestants, "environment", lambda name: {"PATH": os.environ["PATH"], "PYTHONHOME": "/no/such"}
    )
    assert bench.command.main([*TINY, "--only=latency"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the process of 'plain' ended with status 1: ")


@pytest.mark.parametrize("value, text", [(12345.6, "12,346"), (0.01234, "0.0123"), (999.0, "999")])
def test_number_keeps_three_digits(bench, value, text):
    assert bench.table.number(value) == text


def test_row_is_met_only_within_its_bounds(bench):
    row = bench.table.Row("step", 1.0, 9.0, "clips/s", 9.0, least=8.0)
    assert row.met is True and row.cells()[-2:] == ["at least 8.00 x", "yes"]
    assert bench.table.Row("step", 1.0, 7.0, "clips/s", 7.0, least=8.0).met is False
    assert bench.table.Row("step", 1.0, 7.0, "clips/s", 7.0).met is None


@pytest.mark.parametrize(
    "options, plan",
    [
        (["--only=preparing"], {}),
        (["--only=feeding"], {"fast": ["training"]}),
        (["--only=feeding,latency"], {"plain": ["latency"], "fast": ["latency", "training"]}),
        (["--only=augmentation"], {"fast": ["training"], "augmentation": ["augmentation"]}),
        (["--only=training"], {"plain": ["training"], "fast": ["training"], "machine": ["training"]}),
    ],
)
def test_only_what_is_asked_for_is_measured(bench, options, plan):
    assert bench.contestants.turns_of_a_round(bench.command.parse(["--device=cpu", *options])) == plan


def test_steps_stand_between_plain_and_fast(bench):
    plan = bench.contestants.turns_of_a_round(bench.command.parse(["--device=cpu", "--steps"]))
    assert list(plan) == ["plain", "channels_last", "pages", "operations", "fast", "machine", "augmentation"]
    on_gpu = bench.command.parse(["--device=cpu", "--steps"])
    on_gpu.device = "cuda"
    plan = bench.contestants.turns_of_a_round(on_gpu)
    assert list(plan) == ["plain", "channels_last", "operations", "fast", "machine", "augmentation"]
