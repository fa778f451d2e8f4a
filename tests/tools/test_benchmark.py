import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "benchmark.py"
TINY = ["--device=cpu", "--seconds=1", "--batch_size=2", "--n_mels=32", "--rounds=1", "--clips=3", "--fill=0.1"]
ROWS = [
    "preparing 48 kHz stereo",
    "feeding 2 clips",
    "training step, as train.py",
    "peak memory, training",
    "share of best matrix rate",
    "share of copy bandwidth",
    "one clip, waveform to scores",
    "peak memory, one clip",
]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark"]


def run(*options, folder=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if folder is not None:
        environment["TMPDIR"] = str(folder)
    return subprocess.run([sys.executable, TOOL, *options], env=environment, capture_output=True, text=True)


def test_tiny_run_prints_every_row_and_valid_json(tmp_path):
    (tmp_path / "temporary").mkdir()
    done = run(*TINY, f"--json={tmp_path / 'figures.json'}", folder=tmp_path / "temporary")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == "what plain ours ratio expected met?".split()
    assert all(line.startswith(f"| {row}") for line, row in zip(lines[2:], ROWS, strict=True))
    assert "python" in done.stdout.splitlines()[0] and "Machine:" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["rows"]) == len(ROWS)
    assert all(row["ours"] > 0 and row["ratio"] > 0 for row in figures["rows"])
    assert set(figures["measurements"]["rounds"][0]) == {"plain", "fast", "machine"}
    assert not list((tmp_path / "temporary").glob("mil_asc_benchmark_*"))


@pytest.mark.parametrize(
    "option, said",
    [
        ("--only=preparing,sleeping", "'sleeping'; legal: preparing, feeding, training, latency"),
        ("--only=", "unknown measure ''"),
        ("--batch_size=1", "at least 2"),
        ("--rounds=none", "'none' is not a whole number"),
        ("--seconds=nan", "'nan' is not a number above 0"),
        ("--seconds=0.1", "at least 0.224"),
        ("--hop_ms=0.01", "less than a sample"),
        ("--device=cuda", "no CUDA device"),
        ("--json=/no/such/folder/figures.json", "no such folder"),
        ("--round=1", "unrecognized"),
    ],
)
def test_bad_argument_is_refused_in_one_line(benchmark, capsys, option, said):
    with pytest.raises(SystemExit) as stop:
        benchmark.parse([option])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in error and error.count("\n") == 1


def test_plain_feature_maps_are_nchw_and_those_of_the_others_channels_last(benchmark):
    args = benchmark.parse(TINY)
    for name, contestant in benchmark.CONTESTANTS.items():
        model, outputs = benchmark.build_model(args, contestant), []
        for module in model.extractor.modules():
            module.register_forward_hook(lambda module, inputs, output, seen=outputs: seen.append(output))
        model(benchmark.waveforms(args, 2))
        assert {output.is_contiguous() for output in outputs} == {name == "plain"}


def test_work_of_a_clip_is_that_of_the_paper(benchmark):
    args = benchmark.parse(["--device=cpu"])
    fast = benchmark.CONTESTANTS["fast"]
    found = benchmark.count_work(benchmark.build_model(args, fast), args, fast)
    network, mel = 214.6e6, 1025 * 256 * 313
    assert found["flops"] == pytest.approx(2 * (3 * network + mel), rel=1e-3)


def test_environment_of_plain_has_no_tunables_and_that_of_fast_keeps_pages(benchmark, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    monkeypatch.setenv("MIL_ASC_MALLOC", "system")
    assert "GLIBC_TUNABLES" not in benchmark.environment("plain")
    if sys.platform.startswith("linux"):
        assert "trim_threshold" in benchmark.environment("fast")["GLIBC_TUNABLES"]


def test_failed_contestant_is_one_line(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "environment", lambda name: {"PATH": os.environ["PATH"], "PYTHONHOME": "/no/such"})
    assert benchmark.main([*TINY, "--only=latency"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the process of 'plain' ended with status 1: ")


@pytest.mark.parametrize("value, text", [(12345.6, "12,346"), (0.01234, "0.0123"), (999.0, "999")])
def test_number_keeps_three_digits(benchmark, value, text):
    assert benchmark.number(value) == text


def test_row_is_met_only_within_its_bounds(benchmark):
    row = benchmark.Row("step", 1.0, 9.0, "clips/s", 9.0, least=8.0)
    assert row.met is True and row.cells()[-2:] == ["at least 8.00 x", "yes"]
    assert benchmark.Row("step", 1.0, 7.0, "clips/s", 7.0, least=8.0).met is False
    assert benchmark.Row("step", 1.0, 7.0, "clips/s", 7.0).met is None


@pytest.mark.parametrize(
    "options, plan",
    [
        (["--only=preparing"], {}),
        (["--only=feeding"], {"fast": ["training"]}),
        (["--only=feeding,latency"], {"plain": ["latency"], "fast": ["latency", "training"]}),
        (["--only=training"], {"plain": ["training"], "fast": ["training"], "machine": ["training"]}),
    ],
)
def test_only_what_is_asked_for_is_measured(benchmark, options, plan):
    assert benchmark.turns_of_a_round(benchmark.parse(["--device=cpu", *options])) == plan


def test_steps_stand_between_plain_and_fast(benchmark):
    plan = benchmark.turns_of_a_round(benchmark.parse(["--device=cpu", "--steps"]))
    assert list(plan) == ["plain", "channels_last", "pages", "fast", "machine"]
