"""Without PyTorch: the same scenes, the same refusals, and nothing of PyTorch is imported."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

import mil_asc.packaging
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.inference import windows
from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.packaging.export import export_onnx

LABELS = ["bus", "metro", "park"]
ONNX_ONLY = """
import sys
from mil_asc.inference.onnx import OnnxSceneClassifier
print(OnnxSceneClassifier.from_hparams(source=sys.argv[1]).explain_file(sys.argv[2]).label)
heavy = {"torch", "speechbrain", "scipy", "sklearn", "matplotlib", "safetensors", "onnx", "huggingface_hub"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    head = Head(num_classes=3, instance_dim=12, pooling="attention")
    model = MILClassifier(LogMel(n_mels=32, hop_ms=16.0), FUSE(channels=(4, 6, 8)), head)
    model(torch.randn(4, 32000))
    with torch.no_grad():
        model.detector.weight.mul_(20)
    return model.eval()


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    path.write_bytes(export_onnx(network, LABELS, weights_sha256="0" * 64))
    return path


@pytest.fixture(scope="module")
def classifier(file):
    return OnnxSceneClassifier.from_hparams(source=file, threads=1)


@pytest.fixture(scope="module")
def reference(network):
    return SceneClassifier(modules={"model": network}, hparams={"labels": LABELS}, run_opts={"device": "cpu"})


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


def assert_same(scene, expected, atol=1e-5):
    assert (scene.label, scene.assumption, len(scene.instances)) == (
        expected.label,
        expected.assumption,
        len(expected.instances),
    )
    for rule, scores in expected.scores.items():
        assert scene.scores[rule] == pytest.approx(scores, abs=atol)
    np.testing.assert_allclose(scene.instances.confidences_IC, expected.instances.confidences_IC, atol=atol)
    np.testing.assert_array_equal(scene.instances.times_I2, expected.instances.times_I2)


@pytest.mark.parametrize("samples", [2048, 2049, 16000, 31999, 100_000, 300_000])
def test_scenes_are_those_of_pytorch(classifier, reference, samples):
    assert classifier.interface == reference.interface
    wav_N = noise(samples, samples)
    assert_same(classifier.explain_waveform(wav_N), reference.explain_waveform(wav_N))


def test_files_windows_and_batches_are_those_of_pytorch(classifier, reference, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_INSTANCES", 5)
    soundfile.write(tmp_path / "a.wav", np.stack([noise(130_000), noise(130_000, 1)], 1), 44100)
    for rule in ("smi", "cmi", "bag"):
        scene = classifier.explain_file(tmp_path / "a.wav", rule)
        assert_same(scene, reference.explain_file(tmp_path / "a.wav", rule))
        assert [part.label for part in scene.timeline(1.0)] == [
            part.label for part in reference.explain_file(tmp_path / "a.wav", rule).timeline(1.0)
        ]
    found, expected = (each.classify_batch(torch.randn(2, 20000), [1.0, 0.5]) for each in (classifier, reference))
    assert found.out_prob.shape == expected.out_prob.shape and isinstance(found.out_prob, np.ndarray)


def test_spectrogram_is_that_of_the_front_end(classifier, network):
    wav_N = noise(20000)
    expected = network.front_end(torch.from_numpy(wav_N)[None])[0]
    np.testing.assert_allclose(classifier.spectrogram(wav_N), expected, atol=1e-4)


@pytest.mark.parametrize(
    "wav, words",
    [
        (np.zeros(16000), "silent"),
        (np.full(100, 0.1), "too short"),
        (np.full(16000, np.nan), "NaN or infinite"),
        (np.full(16000, 1e20), "at most 4.29e"),
    ],
)
def test_waveforms_are_refused_as_pytorch_refuses_them(classifier, reference, wav, words):
    for each in (classifier, reference):
        with pytest.raises(AudioError, match=words):
            each.explain_waveform(wav)


def test_threads_share_a_classifier(classifier):
    wavs = [noise(16000 + 800 * seed, seed) for seed in range(8)]
    expected = [classifier.explain_waveform(wav) for wav in wavs]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(classifier.explain_waveform, wavs)) == expected


def test_nothing_of_pytorch_is_imported(file, tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(20000), 16000)
    command = [sys.executable, "-c", ONNX_ONLY, str(file), str(tmp_path / "a.wav")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in LABELS


def test_files_of_others_are_refused_in_one_line(file, tmp_path):
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    model = onnx.load(file)
    model.graph.node[0].op_type = "Tanh"
    model.graph.node[0].input.extend(["waveform"] * 3)
    onnx.save(model, tmp_path / "wrong.onnx")
    (tmp_path / "damaged.onnx").write_bytes(file.read_bytes()[:-100])
    (tmp_path / "text.onnx").write_text("no model")
    for name, words in [
        ("bare.onnx", "have no labels"),
        ("damaged.onnx", "is not an ONNX file"),
        ("text.onnx", "is not an ONNX file"),
        ("none.onnx", "is missing"),
        ("wrong.onnx", "cannot be loaded by ONNX Runtime"),
    ]:
        with pytest.raises((UserError, ArgumentError), match=words) as caught:
            OnnxSceneClassifier.from_hparams(tmp_path / name)
        assert "\n" not in str(caught.value)
    for value in (None, 3, ["a"]):
        with pytest.raises(ArgumentError, match="source must be"):
            OnnxSceneClassifier.from_hparams(value)
    with pytest.raises(ArgumentError, match="rejected must be"):
        OnnxSceneClassifier.from_hparams(file, rejected=1)


def test_metadata_that_is_no_text_is_refused(file, tmp_path):
    data = file.read_bytes()
    (tmp_path / "b.onnx").write_bytes(data.replace(b"metro", b"metr\xd1"))
    with pytest.raises(UserError, match="no UTF-8 text: it is damaged"):
        OnnxSceneClassifier.from_hparams(source=tmp_path / "b.onnx")


def test_graph_that_fails_in_use_is_one_line(file, tmp_path):
    model = onnx.load(file)
    reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 7], np.int64), "wrong"))
    reshape.input[1] = "wrong"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match="ONNX Runtime") as caught:
        OnnxSceneClassifier.from_hparams(tmp_path / "a.onnx").explain_waveform(noise(16000))
    assert "\n" not in str(caught.value)


def test_scores_that_are_not_of_the_labels_are_refused(file, tmp_path):
    model = onnx.load(file)
    next(entry for entry in model.metadata_props if entry.key == "labels").value = '["bus", "metro"]'
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match="not of its labels: it is damaged"):
        OnnxSceneClassifier.from_hparams(tmp_path / "a.onnx").explain_waveform(noise(16000))


SHIPPED = Path(mil_asc.packaging.__file__).parent / "shipped"


def with_other(tmp_path, name, content):
    """A shipped model folder with another content of a file, and its checksum."""
    folder = shutil.copytree(SHIPPED / "synthscenes-fuse-pnl", tmp_path / "model")
    before = sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(content)
    sums = folder / "checksums.sha256"
    sums.write_text(sums.read_text().replace(before, sha256(content).hexdigest()))
    return folder


def test_graph_of_another_model_is_refused(tmp_path):
    folder = with_other(tmp_path, "model.onnx", (SHIPPED / "esc10-fuse/model.onnx").read_bytes())
    with pytest.raises(UserError, match="model.onnx was not made of the model.safetensors beside it: pack the model"):
        OnnxSceneClassifier.from_hparams(folder)


@pytest.mark.parametrize(
    "name, old, new",
    [("calibration.json", b'"intercept":-', b'"intercept":'), ("config.json", b'"airport"', b'"airports"')],
)
def test_graph_of_other_values_is_refused(tmp_path, name, old, new):
    content = (SHIPPED / "synthscenes-fuse-pnl" / name).read_bytes()
    assert old in content
    folder = with_other(tmp_path, name, content.replace(old, new))
    with pytest.raises(UserError, match=f"model.onnx was not made of the {name} beside it"):
        OnnxSceneClassifier.from_hparams(folder)


def test_graph_without_the_calibration_beside_it_is_refused(tmp_path):
    folder = shutil.copytree(SHIPPED / "synthscenes-fuse-pnl", tmp_path / "model")
    (folder / "calibration.json").unlink()
    sums = folder / "checksums.sha256"
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "calibration" not in line))
    with pytest.raises(UserError, match="model.onnx was not made of the calibration.json"):
        OnnxSceneClassifier.from_hparams(folder)
