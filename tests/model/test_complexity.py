"""Complexity of a model: the paper's numbers, a slow reference count, and the tool."""

import importlib.util
import json

import pytest
import tiny
import torch
from torch import nn

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.complexity import (
    DCASE_MACS,
    DCASE_WEIGHT_BYTES,
    LiveBytes,
    activation_peak,
    complexity,
    multiply_accumulates,
    nonzero_count,
    parameter_count,
    submitted_size,
)
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.extractors.dcase_baseline import DCASEBaseline
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel, Waveform
from mil_asc.model.heads import Head
from mil_asc.training.config import load_hparams
from mil_asc.training.entry import main as train

SPEC = importlib.util.spec_from_file_location("complexity_tool", tiny.ROOT / "tools/complexity.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)
FUSE_PNL = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"


@pytest.fixture(scope="module")
def paper_model():
    return MILClassifier(LogMel(), FUSE())


def slow_count(network, seconds):
    """Multiplications in convolutions and linear layers, counted from shapes; without the front end."""
    total = []

    def convolution(module, inputs, output):
        total.append(output.numel() * module.weight[0].numel())

    def linear(module, inputs, output):
        total.append(output.numel() * module.in_features)

    hooks = [m.register_forward_hook(convolution) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_hook(linear) for m in network.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 16000 * seconds))
    for hook in hooks:
        hook.remove()
    return sum(total)


def test_fuse_has_the_complexity_stated_in_the_paper(paper_model):
    assert parameter_count(paper_model) == 139_082
    assert round(multiply_accumulates(paper_model, 10) / 1e6, 1) == 214.6
    assert multiply_accumulates(paper_model, 1) == 21_997_568


@pytest.mark.parametrize("seconds", [1, 3, 10])
def test_macs_agree_with_a_slow_count(paper_model, seconds):
    assert multiply_accumulates(paper_model, seconds) == slow_count(paper_model, seconds)


@pytest.mark.parametrize("name", ["raw_cnn", "aclnet"])
def test_macs_of_networks_on_waveforms_agree_with_a_slow_count(name):
    extractor = registered_extractors()[name]
    network = MILClassifier(Waveform(), extractor(**extractor.tiny), Head(instance_dim=8))
    assert multiply_accumulates(network, 1) == slow_count(network, 1)


def test_clip_without_an_instance_counts_as_the_shortest_that_has_one():
    network = MILClassifier(LogMel(n_mels=32, hop_ms=32.0), DCASEBaseline((4, 4), time_pool=8), Head(instance_dim=8))
    assert network.num_instances(16000) == 0 and network.min_samples == 39 * 512
    assert multiply_accumulates(network, 1) == multiply_accumulates(network, 39 * 512 / 16000)
    assert complexity(network)["activation_bytes"]["1"] > 0 and submitted_size(network).macs > 0


def test_limits_of_dcase(paper_model):
    counts = complexity(paper_model)
    assert counts["weight_bytes"] == {"float32": 556_328, "float16": 278_164, "int8": 139_082}
    assert counts["dcase"]["weights_within"] == {"float32": False, "float16": False, "int8": False}
    assert counts["dcase"]["macs_within"] is True
    small = complexity(MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8, 64)), Head(instance_dim=256)))
    assert 32_000 >= small["parameters"] > 128_000 / 8 and all(small["dcase"]["weights_within"].values())
    assert json.loads(json.dumps(counts)) == counts


def test_submitted_size_of_a_known_network():
    """One module without blocks: conv 1x1 (1 -> 4), conv over 16 rows (4), conv 1x1 (4 -> 6), detector (6 -> 3)."""
    network = MILClassifier(LogMel(n_mels=16), FUSE(channels=(4,), num_blocks=0), Head(num_classes=3, instance_dim=6))
    weights, biases = 4 + 4 * 16 + 4 * 6 + 6 * 3, 4 + 4 + 6 + 3
    size = submitted_size(network)
    assert (size.parameters, size.non_zero) == (weights + biases, weights + biases)
    assert parameter_count(network) == weights + biases + 2 * (4 + 6)  # gain and offset of both norms
    assert size.weight_bytes == {
        "float32": 4 * (weights + biases),
        "float16": 2 * (weights + biases),
        "int8": weights + 4 * biases,
    }
    assert size.macs == multiply_accumulates(network, 1) == slow_count(network, 1)
    with torch.no_grad():
        network.detector.weight[:, :2] = 0
    assert submitted_size(network)._replace(non_zero=0) == size._replace(non_zero=0)
    assert submitted_size(network).non_zero == weights + biases - 6
    counts, offsets = complexity(network, [1]), 4 + 6 + 4 + 6 + 3  # biases and offsets of batch norms begin at zero
    assert counts["non_zero"] == nonzero_count(network) == sum(int((p != 0).sum()) for p in network.parameters())
    assert counts["parameters"] - 6 >= counts["non_zero"] >= counts["parameters"] - 6 - offsets
    assert counts["non_zero_bytes"]["float16"] == 2 * counts["non_zero"]


def test_norm_that_cannot_be_folded_counts_in_32_bits():
    network = MILClassifier(LogMel(n_mels=16), FUSE(channels=(4,), num_blocks=0), Head(num_classes=3, instance_dim=6))
    before = submitted_size(network)
    network.input_norm = nn.BatchNorm2d(1)
    after = submitted_size(network)
    assert after.parameters == before.parameters + 2 and after.weight_bytes["int8"] == before.weight_bytes["int8"] + 8


def test_fuse_128k_is_within_the_limits_of_dcase():
    path = tiny.ROOT / "recipes/TAU2022m/hparams/fuse_128k.yaml"
    network = load_hparams(path, {"data_folder": "anywhere"})[0]["model"]["network"]
    size = submitted_size(network)
    assert 100_000 < size.parameters <= 128_000 and size.macs == slow_count(network, 1) <= DCASE_MACS == 30_000_000
    assert size.weight_bytes["int8"] <= DCASE_WEIGHT_BYTES == 128_000 and size.within["int8"]
    floats = network.detector.weight.numel()  # the export leaves the detector in float32
    assert size.weight_bytes["int8"] + 3 * floats <= 128_000
    assert not size.within["float16"]


def test_live_bytes_of_a_known_chain():
    kilobyte = torch.zeros(250)
    with LiveBytes() as live:
        live.restart(kilobyte)
        a = kilobyte + 1  # 2 kB
        b = torch.cat([a, a])  # 4 kB
        view = b.view(2, 250).t()  # nothing new
        a.add_(1)  # in place, nothing new
        del a  # 3 kB
        c = view.sum(1)  # 4 kB
        del b, view  # 2 kB: a view keeps its memory until it is deleted too
        c = c * 2  # 3 kB
    assert live.peak == 4000
    assert sum(size for _, size in live.alive.values()) == 3000


def test_views_of_ignored_memory_do_not_count():
    weight = torch.zeros(100, 10)
    with LiveBytes([weight]) as live:
        product = torch.ones(1, 10) @ weight.t()
    assert live.peak == 4 * (10 + 100) and product.shape == (1, 100)


def test_activation_peak_grows_with_the_clip_and_includes_the_widest_layer(paper_model):
    second, ten = activation_peak(paper_model, 1), activation_peak(paper_model, 10)
    widest = 4 * 32 * 256 * 313  # the first module's maps: 32 channels, 256 bins, 313 frames
    # a block's input, the running sum (its first term is the pointwise output) and the two maps of a convolution
    assert 3 * widest <= ten <= 5 * widest
    assert 9 < ten / second < 10.5
    assert activation_peak(paper_model, 10) == ten


def test_tool_prints_a_table(capsys):
    assert TOOL.main([str(FUSE_PNL), str(FUSE_PNL.with_stem("fuse_gt"))]) == 0
    header, _, *rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert len(rows) == 1 and rows[0].startswith("| TAU2019: fuse_pnl, fuse_gt |")
    assert header.count("|") == rows[0].count("|")
    submitted = ("131,850 (131,850)", "143.5 kB (over)", "263.7 kB (over)")
    for cell in ("139,082", "22.0 M (within)", "214.6 M", "139.1 kB (over)", "556.3 kB (over)", *submitted):
        assert f"| {cell} |" in rows[0]


def test_tool_prints_json(capsys):
    assert TOOL.main(["--json", str(FUSE_PNL)]) == 0
    (counts,) = json.loads(capsys.readouterr().out)
    assert counts["macs"]["10"] == 214_631_936 and counts["file"] == str(FUSE_PNL)


def test_tool_measures_the_model_of_a_finished_run(dcase_folder, tmp_path, capsys):
    """The run's own model, not the one of its recipe: here a tiny one."""
    run = tmp_path / "run"
    assert train(tiny.tiny_run(FUSE_PNL, dcase_folder, run, "--number_of_epochs=1")) == 0
    found = json.loads((run / "report.json").read_text())["run"]["parameters"]
    capsys.readouterr()
    assert TOOL.main([str(run), str(run)]) == 0
    row = capsys.readouterr().out.partition("\n\n")[0].splitlines()[2]
    assert row.startswith(f"| TAU2019: fuse_pnl | {found:,} |")
    assert TOOL.main(["--json", str(run)]) == 0
    (counts,) = json.loads(capsys.readouterr().out)
    assert counts["parameters"] == found < 139_082 and counts["file"] == str(run)


def test_tool_refuses_a_folder_without_a_run_with_one_line(tmp_path, capsys):
    assert TOOL.main([str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {tmp_path}") and printed.err.count("\n") == 1


@pytest.mark.parametrize("content", [None, "experiment: [", "just: one", "network: !new:no.such.Class\n"])
def test_tool_refuses_other_files_with_one_line(tmp_path, capsys, content):
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_text(content)
    assert TOOL.main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and str(path) in printed.err
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
