"""ONNX files against PyTorch: every extractor, every kind of head, any length; nothing of this machine in them."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported_models import LABELS, in_float64, run, small_network

import mil_asc
from mil_asc.audio.decode import decode
from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.features import LogMelDeltas, LogMelDurations
from mil_asc.model.folded import folded
from mil_asc.model.interface import NetworkInterface, interface_of
from mil_asc.packaging import half as half_precision
from mil_asc.packaging.export import export_onnx
from mil_asc.packaging.graph_file import check_plain
from mil_asc.packaging.half import to_fp16
from mil_asc.packaging.int8 import MOST_CLIPS, decisions, spread, to_int8
from mil_asc.packaging.network_only import export_network_only, footprint
from mil_asc.packaging.waveform_graph import OUTPUTS

ROOT = Path(__file__).parents[2]
FIELD_SCENES = ROOT.parent / "shared/data/field-scenes/audio"
HEADS = {
    "attention": {"pooling": "attention"},
    "gated attention": {"pooling": "gated_attention"},
    "auto": {"pooling": "auto"},
    "softmax": {"confidence": "softmax", "pooling": "geometric_mean"},
    "four detectors": {"detectors": 4},
    "global average pooling": {"instances": "frequency_mean", "pooling": "mean_logits"},
    "dense": {"instances": "dense", "pooling": "linear_softmax"},
    "top k": {"pooling": "top_k_mean", "pooling_options": {"k": 3}},
    "noisy or": {"pooling": "noisy_or"},
    "log sum exp": {"pooling": "log_sum_exp", "pooling_options": {"sharpness": 2.0}},
    "resnorm": {"input_norm": "resnorm"},
}


def assert_parity(network, data, lengths):
    small = folded(network)
    for batch, samples in enumerate(lengths, start=1):
        wav_BN = 0.1 * torch.randn(batch % 3 + 1, samples)
        found, exact = run(data, waveform=wav_BN), in_float64(network, wav_BN)
        with torch.no_grad():
            logits_BIC = small(wav_BN).logits_BIC
        np.testing.assert_allclose(found["logits"], logits_BIC, atol=1e-4, rtol=0)
        np.testing.assert_allclose(found["confidences"], exact.logits_BIC.sigmoid(), atol=1e-5, rtol=0)
        np.testing.assert_allclose(found["smi"], exact.logits_BIC.amax(1).sigmoid(), atol=1e-5, rtol=0)
        np.testing.assert_allclose(found["bag"], exact.bag_logits_BC.sigmoid(), atol=1e-5, rtol=0)
        votes = (exact.logits_BIC.argmax(2, keepdim=True) == torch.arange(3)).double().mean(1)
        np.testing.assert_allclose(found["cmi"], votes, atol=1e-6)


@pytest.fixture(scope="module")
def fuse():
    network = small_network()
    return network, export_onnx(network, LABELS, weights_sha256="a" * 64, calibration='{"any": "text"}')


def test_fuse_is_exported_with_parity(fuse):
    network, data = fuse
    assert_parity(network, data, [network.min_samples, network.min_samples + 1, 16000, 31999, 48017])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(registered_extractors()) - {"fuse"}))
def test_every_extractor_is_exported_with_parity(name):
    network = small_network(name)
    least = network.min_samples
    assert_parity(network, export_onnx(network, LABELS), [least, least + 1, least + 4096, 16000, 31999, 48017])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, settings",
    [("cp_resnet", {"base_channels": 4, "rho": 3, "blocks": [4, 0, 1], "damping": 0.1}), ("fcnn", {"class_maps": 6})],
    ids=["damped kernels", "channel attention"],
)
def test_options_of_extractors_are_exported_with_parity(name, settings):
    network = small_network(name, settings=settings)
    assert_parity(network, export_onnx(network, LABELS), [network.min_samples, 16000, 31999])


@pytest.mark.parametrize("name", [name for name, cls in registered_extractors().items() if cls.input == "waveform"])
def test_network_of_waveforms_is_not_exported_without_its_front_end(name):
    with pytest.raises(UserError, match="--network-only is for networks that take a log-mel spectrogram"):
        export_network_only(small_network(name), LABELS, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_kind_of_head_is_exported_with_parity(name):
    network = small_network(**HEADS[name])
    assert_parity(network, export_onnx(network, LABELS), [network.min_samples, 16000, 31999])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LogMelDeltas, LogMelDurations])
def test_input_channels_are_exported_with_parity(kind):
    network = small_network("two_path_resnet", front_end=kind(n_mels=32, hop_ms=16.0), settings={"in_channels": 3})
    least = network.min_samples
    assert_parity(network, export_onnx(network, LABELS), [least, least + 1, 16000, 31999])
    found = export_network_only(network, LABELS, 2.0)
    check_plain(found.data)
    wav_BN = 0.1 * torch.randn(1, 32000)
    with torch.no_grad():
        logits_BIC = network(wav_BN).logits_BIC
    np.testing.assert_allclose(run(found.data, logmel=network.front_end(wav_BN))["logits"], logits_BIC, atol=1e-4)


def test_metadata_are_what_a_caller_must_know_and_nothing_else(fuse):
    network, data = fuse
    model = onnx.load_from_string(data)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    interface = interface_of(network, LABELS)
    others = {"mil_asc_version": mil_asc.__version__, "weights_sha256": "a" * 64, "calibration": '{"any": "text"}'}
    assert metadata == interface.to_metadata() | others
    assert NetworkInterface.from_metadata(metadata) == interface
    assert [output.name for output in model.graph.output] == [name for name in OUTPUTS if name != "attention"]


def test_nothing_of_the_machine_is_in_the_file(fuse):
    _, data = fuse
    for place in (ROOT, Path(sys.prefix), Path(torch.__file__).parent, Path.home()):
        assert str(place).encode() not in data or str(place) == "/"
    model = onnx.load_from_string(data)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    check_plain(data)


def test_constants_are_left_to_the_runtime(fuse):
    """The file is little more than its weights: no mel filters, no DFT matrices."""
    network, data = fuse
    weights = sum(4 * parameter.numel() for parameter in folded(network).parameters())
    assert len(data) < weights + 130_000


def test_a_network_in_training_is_exported_as_it_evaluates(fuse):
    network, data = fuse
    network.train()
    try:
        again = export_onnx(network, LABELS, weights_sha256="a" * 64, calibration='{"any": "text"}')
    finally:
        network.eval()
    wav_BN = 0.1 * torch.randn(1, 20000)
    np.testing.assert_array_equal(run(again, waveform=wav_BN)["logits"], run(data, waveform=wav_BN)["logits"])


@pytest.mark.parametrize(
    "export",
    [
        pytest.param(lambda network: export_onnx(network, LABELS), id="waveform"),
        pytest.param(lambda network: export_network_only(network, LABELS, 1.0), id="network only"),
    ],
)
def test_a_network_in_double_precision_stays_in_it(export):
    network = small_network().double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export(network)
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name]), name


# -- other forms


@pytest.fixture
def small_weights_too(monkeypatch):
    monkeypatch.setattr(half_precision, "LEAST_VALUES", 16)


def test_half_precision_weights_give_nearly_the_same_confidences(fuse, small_weights_too):
    network, data = fuse
    half = to_fp16(data)
    check_plain(half)
    kinds = [each.data_type for each in onnx.load_from_string(half).graph.initializer]
    assert kinds.count(onnx.TensorProto.FLOAT16) >= 10
    wav_BN = 0.1 * torch.randn(2, 31999)
    found, expected = run(half, waveform=wav_BN), run(data, waveform=wav_BN)
    assert 0 < np.abs(found["confidences"] - expected["confidences"]).max() < 0.02
    np.testing.assert_array_equal(found["logmel"], expected["logmel"])
    model = onnx.load_from_string(half)
    assert {entry.key for entry in model.metadata_props} == {
        entry.key for entry in onnx.load_from_string(data).metadata_props
    }


def test_weights_beyond_half_precision_are_refused(fuse, small_weights_too):
    model = onnx.load_from_string(fuse[1])
    weight = next(each for each in model.graph.initializer if "instances.pointwise.0.weight" in each.name)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(weight.dims, 1e6, np.float32), weight.name))
    with pytest.raises(UserError, match="too large for float16: export without --fp16"):
        to_fp16(model.SerializeToString())


@pytest.fixture(scope="module")
def tones():
    rng = np.random.default_rng(0)
    return [
        (rng.uniform(0.01, 0.3) * np.sin(np.arange(32000) * rng.uniform(0.01, 2.0)) + rng.normal(0, 0.02, 32000))
        .astype(np.float32)
        for _ in range(30)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def eight_bits(fuse, tones, tmp_path_factory):
    """The quantized file, and what is left in the folder of temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        return to_int8(fuse[1], tones), list(folder.iterdir())


def test_eight_bits_keep_the_metadata_and_leave_no_file(fuse, eight_bits):
    quantized, left = eight_bits
    assert left == []
    kept = onnx.load_from_string(quantized.data)
    assert kept.metadata_props == onnx.load_from_string(fuse[1]).metadata_props
    assert b"mil_asc_int8_" not in quantized.data and str(tempfile.gettempdir()).encode() + b"/" not in quantized.data


def test_agreement_is_that_of_clips_that_measured_nothing(fuse, tones, eight_bits):
    measured = set(spread(len(tones), len(tones) // 2))
    held_out = [wave[None] for place, wave in enumerate(tones) if place not in measured]
    same = decisions(eight_bits[0].data, held_out) == decisions(fuse[1], held_out)
    assert len(held_out) == 15 and eight_bits[0].agreement == same.mean(1).min()


@pytest.mark.parametrize("count", [0, 1, 119, MOST_CLIPS + 1, 1000])
def test_clips_are_spread_over_a_sorted_list(count):
    places = spread(count, MOST_CLIPS)
    assert len(places) == len(set(places)) == min(count, MOST_CLIPS)
    assert not places or (places[0], places[-1]) == (0, count - 1)


def test_the_same_network_gives_the_same_bytes(fuse):
    network, data = fuse
    assert export_onnx(network, LABELS, weights_sha256="a" * 64, calibration='{"any": "text"}') == data


def test_eight_bits_decide_mostly_as_float(fuse, tones, capfd):
    network, data = fuse
    waves = tones
    quantized = to_int8(data, waves)
    check_plain(quantized.data)
    others = [wave[None, ::-1].copy() for wave in waves]
    assert quantized.agreement >= 0.8 and quantized.choice
    assert (decisions(quantized.data, others) == decisions(data, others)).mean() >= 0.8
    assert "QuantizeLinear" in {node.op_type for node in onnx.load_from_string(quantized.data).graph.node}
    assert capfd.readouterr().out == ""
    weights = {each.name: each.data_type for each in onnx.load_from_string(quantized.data).graph.initializer}
    assert onnx.TensorProto.INT8 in weights.values()


def test_eight_bits_need_clips(fuse):
    with pytest.raises(UserError, match="int8 needs 20 clips or more"):
        to_int8(fuse[1], [np.ones(16000, np.float32)] * 19)


def test_network_alone_takes_a_spectrogram_of_fixed_length():
    network = small_network(pooling="attention")
    found = export_network_only(network, LABELS, 2.0)
    check_plain(found.data)
    wav_BN = 0.1 * torch.randn(1, 32000)
    outputs = run(found.data, logmel=network.front_end(wav_BN))
    with torch.no_grad():
        bags = network(wav_BN)
    assert outputs.keys() == {"logits", "attention"}
    np.testing.assert_allclose(outputs["logits"], bags.logits_BIC, atol=1e-4)
    np.testing.assert_allclose(outputs["attention"], bags.attention_BI, atol=1e-4)
    model = onnx.load_from_string(found.data)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (metadata["frames"], metadata["n_mels"], metadata["hop_length"]) == ("126", "32", "256")
    assert all(dim.dim_value > 0 for dim in model.graph.input[0].type.tensor_type.shape.dim)
    parameters = sum(4 * parameter.numel() for parameter in folded(network).parameters())
    assert parameters <= found.flash_bytes < parameters + 1000
    assert found.memory_bytes >= 2 * 4 * 4 * 32 * 126  # input and output of the first module's convolutions
    with pytest.raises(ArgumentError, match="seconds must be at least"):
        export_network_only(network, LABELS, 0.01)


def test_working_memory_is_the_greatest_sum_of_tensors_alive():
    """x (4) -> a (4) -> b = a + x (4): x and a are alive with b; then b -> y (4)."""
    make = onnx.helper
    nodes = [
        make.make_node("Relu", ["x"], ["a"]),
        make.make_node("Add", ["a", "x"], ["b"]),
        make.make_node("Mul", ["b", "w"], ["y"]),
    ]
    x, y = (make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy")
    weight = onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    graph = make.make_graph(nodes, "g", [x], [y], [weight])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 20)])
    assert footprint(model.SerializeToString()) == (16, 3 * 16)


@pytest.mark.slow
@pytest.mark.skipif(not FIELD_SCENES.is_dir(), reason="../shared/data/field-scenes is not there")
def test_real_recordings_of_random_lengths_have_parity(fuse):
    network, data = fuse
    small, rng = folded(network), np.random.default_rng(0)
    for path in sorted(FIELD_SCENES.iterdir())[:100]:
        wav_N = decode(path)
        wav_1N = torch.from_numpy(wav_N[: rng.integers(network.min_samples, len(wav_N) + 1)])[None]
        found = run(data, waveform=wav_1N)
        with torch.no_grad():
            np.testing.assert_allclose(found["logits"], small(wav_1N).logits_BIC, atol=1e-4, rtol=0)
        exact = in_float64(network, wav_1N).logits_BIC.sigmoid()
        np.testing.assert_allclose(found["confidences"], exact, atol=1e-5, rtol=0)
