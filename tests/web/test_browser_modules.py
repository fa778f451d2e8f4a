"""The modules of ``examples/browser``, each against what it repeats, and the page with other models."""

import itertools
import json

import browser
import example_site
import numpy as np
import onnx
import pytest
import soundfile
import soxr
import torch
from browser import RATE
from small_calibration import of_dimension, small

from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.mil.bag_logits import NUMPY_POOLINGS, pool
from mil_asc.mil.verdicts import judge
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.packaging.export import export_onnx
from mil_asc.packaging.familiarity import Calibration
from mil_asc.packaging.network_only import export_network_only
from mil_asc.packaging.sources import resolve_source, shipped_models

pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="needs the program chromium (apt-get install chromium)"),
]
LABELS = ["bus", "metro", "park"]
OPTIONS = {"top_k_mean": {"k": 2}, "log_sum_exp": {"sharpness": 2.0}}
"""Options of poolings other than their default."""


@pytest.fixture(scope="module")
def page(window, tmp_path_factory):
    """A page that shows nothing and may import the modules."""
    folder = tmp_path_factory.mktemp("modules") / "page"
    example_site.put_together(folder, None, None)
    with example_site.static_host(folder) as (address, _):
        visit = example_site.PageVisit(window, address)
        yield visit.modules()
        visit.close()


@pytest.fixture
def with_model(window, npm_runtime, tmp_path):
    """``with_model(data)`` visits the page with the bytes of a model beside it."""
    opened = []

    def make(data, runtime=npm_runtime):
        folder = tmp_path / f"page{len(opened)}"
        example_site.put_together(folder, runtime, data)
        host = example_site.static_host(folder)
        address, _ = host.__enter__()
        opened.append((host, example_site.PageVisit(window, address)))
        return opened[-1][1].open()

    yield make
    for host, visit in opened:
        visit.close()
        host.__exit__(None, None, None)


def bags():
    """Logits (I, C) of ordinary, large, tiny, equal and single instances."""
    random = np.random.default_rng(0)
    yield from (random.normal(scale=scale, size=(7, 3)) for scale in (1.0, 30.0, 300.0))
    yield random.normal(size=(1, 3))
    yield np.full((4, 3), -60.0)
    yield np.zeros((6, 3))


def test_every_pooling_is_that_of_numpy(page):
    names = page.evaluate("async () => Object.keys((await import('/poolings.js')).POOLINGS)")
    assert names == list(NUMPY_POOLINGS)
    score_I, sharpness_C = np.random.default_rng(1).normal(size=7), np.array([0.5, 1.0, 4.0])
    script = "async ([...values]) => (await import('/poolings.js')).pool(...values)"
    for name, options in [(name, {}) for name in names] + list(OPTIONS.items()):
        facts = {"labels": LABELS, "pooling": name, "pooling_options": options, "sharpness": None}
        for logits_IC in bags():
            learned = {}
            if name == "auto":
                learned = {"sharpness_C": sharpness_C}
                facts["sharpness"] = sharpness_C.tolist()
            if "attention" in name:
                learned = {"score_I": score_I[: len(logits_IC)]}
            found = page.evaluate(script, [facts, logits_IC.tolist(), score_I[: len(logits_IC)].tolist()])
            expected = pool(name, logits_IC, options, **learned)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=f"{name} {logits_IC}")


def test_verdicts_and_their_ties_are_those_of_numpy(page):
    random = np.random.default_rng(2)
    votes_tie = [random.integers(-2, 3, size=(6, 4)) + random.normal(scale=0.01, size=(6, 4)) for _ in range(30)]
    all_tie, confidences_tie = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[800.0, 0.0], [0.0, 900.0]])
    script = "async ([rows, bag]) => (await import('/verdicts.js')).judge(rows, bag)"
    for logits_IC in (*bags(), *votes_tie, all_tie, confidences_tie):
        bag_C = logits_IC.mean(0)
        found = page.evaluate(script, [logits_IC.tolist(), bag_C.tolist()])
        for rule, verdict in judge(logits_IC, bag_C).items():
            assert found[rule]["winner"] == verdict.winner, (rule, logits_IC)
            np.testing.assert_allclose(found[rule]["scores"], verdict.scores_C, rtol=1e-12)


CALIBRATED = """async ([text, dimensions, vectors, scores]) => {
  const {Calibration} = await import('/calibration.js');
  const one = new Calibration(text, dimensions);
  const sums = new Float64Array(one.size);
  vectors.forEach((vector) => one.addTraits(vector, sums));
  const means = sums.map((value) => value / vectors.length);
  const told = scores.map(([rule, score]) => one.confidence(rule, score));
  return [one.score(means, vectors.length), one.familiar(means, vectors.length), told];
}"""


@pytest.mark.parametrize("which", ["small", "shipped"])
def test_calibration_is_that_of_python(page, which):
    folder = resolve_source("synthscenes-fuse-pnl")
    text = small().to_json() if which == "small" else (folder / "calibration.json").read_text()
    calibration = Calibration.from_json(text)
    scores = [(rule, score) for rule in ("smi", "cmi", "bag") for score in (0.0, 1e-13, 0.3, 0.97, 1.0)]
    random, seen = np.random.default_rng(0), set()
    for instances, scale in itertools.product((1, 2, 5, 10, 40), (0.1, 1.0, 10.0)):
        size = (instances, len(calibration.projection))
        vector_ID = random.normal(scale=scale, size=size).astype(np.float32)
        mean_K = calibration.traits(np.zeros((instances, 3)), vector_ID).mean(0, dtype=np.float64)
        score, familiar, told = page.evaluate(CALIBRATED, [text, size[1], vector_ID.tolist(), scores])
        rel = 0.2 if instances == 1 else 1e-3  # a single instance has no deviation but rounding
        assert score == pytest.approx(calibration.score(mean_K, instances), rel=rel)
        assert familiar is calibration.familiar(mean_K, 0.01, instances)
        assert told == pytest.approx([calibration.confidence(*one) for one in scores], rel=1e-9)
        seen.add(familiar)
    assert seen >= {None, False}


@pytest.mark.parametrize("source", shipped_models())
def test_metadata_are_those_of_onnx(page, source):
    data = (resolve_source(source) / "model.onnx").read_bytes()
    script = "async bytes => [...(await import('/onnx-metadata.js')).readMetadata(new Uint8Array(bytes))]"
    found = dict(page.evaluate(script, list(data)))
    assert found == {one.key: one.value for one in onnx.load_from_string(data).metadata_props}


def test_damaged_files_have_no_metadata(page):
    data = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])).SerializeToString()
    script = """async bytes => {
      try { (await import('/onnx-metadata.js')).readMetadata(new Uint8Array(bytes)); return 'read'; }
      catch (error) { return error.message; }
    }"""
    assert page.evaluate(script, list(data)) == "read"
    for damaged in (data[:-1], b"<!DOCTYPE html>", b"\xff" * 40, data + b"\x72\x03\x0a\x05a"):
        assert page.evaluate(script, list(damaged)) == "the model is no ONNX file, or is cut off"


RESAMPLED = """async ([samples, from, to]) => {
  const {resample} = await import('/resample.js');
  return Array.from(await resample(new Float32Array(samples), from, to, async () => true));
}"""


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_resampled_band_is_that_of_soxr(page, rate):
    n = np.arange(rate)
    tones = (50.0, 1000.3, 3000.0, min(7000.0, 0.45 * rate))
    wav_N = sum(np.sin(2 * np.pi * f * n / rate + f) for f in tones) / len(tones)
    found = np.array(page.evaluate(RESAMPLED, [wav_N.tolist(), rate, RATE]))
    expected = soxr.resample(wav_N, rate, RATE, quality="HQ")
    assert len(found) == len(expected)
    assert np.abs(found - expected)[500:-500].max() < 2e-3


def test_sound_beyond_the_new_band_is_left_out(page):
    wav_N = np.sin(2 * np.pi * 8500 * np.arange(48000) / 48000)
    assert np.abs(page.evaluate(RESAMPLED, [wav_N.tolist(), 48000, RATE])[200:-200]).max() < 1e-5


def test_unusual_rate_is_refused_before_it_fills_the_memory(page):
    script = "async values => { try { await (" + RESAMPLED + ")(values); } catch (error) { return error.message; } }"
    assert "767999 Hz is not taken here" in page.evaluate(script, [[0.0], 767999, RATE])


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3"])
def test_rate_of_a_compressed_file_is_read(page, form, tmp_path):
    for rate in (16000, 22050, 44100, 48000) if form != "OGG" else (16000, 44100):
        soundfile.write(tmp_path / "a", np.random.default_rng(0).normal(scale=0.1, size=(rate, 2)), rate, format=form)
        data = list((tmp_path / "a").read_bytes())
        script = "async bytes => (await import('/stated-rate.js')).statedRate(new Uint8Array(bytes).buffer)"
        assert page.evaluate(script, data) == rate
    assert page.evaluate(script, list(b"no sound")) is None


# -- other models


def small_network(input_norm="none", pooling="max"):
    """A network with random weights, and running statistics of noise."""
    torch.manual_seed(0)
    head = Head(num_classes=3, instance_dim=8, pooling=pooling)
    network = MILClassifier(LogMel(n_mels=32, hop_ms=16.0), FUSE(channels=(4, 6, 8)), head, input_norm=input_norm)
    network(torch.randn(4, 32000))
    with torch.no_grad():
        network.detector.weight.mul_(20)
    return network.eval()


@pytest.mark.parametrize(
    "settings, seconds",
    [({"pooling": "gated_attention"}, 50), ({"pooling": "auto"}, 50), ({"input_norm": "resnorm"}, 20)],
)
def test_networks_with_attention_learned_pooling_and_whole_recordings(with_model, tmp_path, settings, seconds):
    data = export_onnx(small_network(**settings), LABELS)
    (tmp_path / "model.onnx").write_bytes(data)
    wav_N = np.random.default_rng(1).normal(scale=0.1, size=seconds * RATE + 77)
    soundfile.write(tmp_path / "a.wav", wav_N * np.linspace(0.1, 1, len(wav_N)), RATE)
    scene = OnnxSceneClassifier.from_hparams(tmp_path / "model.onnx", threads=1).explain_file(tmp_path / "a.wav")
    seen = with_model(data)
    assert "not marked" in seen.text("#model")
    seen.upload(tmp_path / "a.wav")
    assert "no calibration" in seen.text(".probability")
    with seen.page.expect_download() as started:
        seen.page.locator("a[download]").click()
    found = json.loads(started.value.path().read_text(encoding="utf-8"))
    assert (found["label"], found["assumption"], found["familiar"]) == (scene.label, scene.assumption, None)
    assert len(found["instances"]) == len(scene.instances)
    for rule, scores in scene.scores.items():
        assert found["scores"][rule] == pytest.approx(scores, abs=1e-4)
    confidence_I = [one["confidence"] for one in found["instances"]]
    np.testing.assert_allclose(confidence_I, scene.instances.confidences_IC.max(1), atol=1e-4)


def test_model_that_does_not_fit_is_refused_in_a_sentence(with_model):
    data = export_onnx(small_network(), LABELS)
    assert "is not beside the page" in with_model(data, runtime=None).text("#error")
    assert "there is no model.onnx beside the page (status 404)" in with_model(None).text("#error")
    assert with_model(b"<!DOCTYPE html>").text("#error") == "the model is no ONNX file, or is cut off"
    plain = onnx.load_from_string(data)
    del plain.metadata_props[:]
    assert "metadata have no labels" in with_model(plain.SerializeToString()).text("#error")
    network_only = export_network_only(small_network(), LABELS, 1.0).data
    assert "takes a spectrogram" in with_model(network_only).text("#error")
    wrong = export_onnx(small_network(), LABELS, calibration=of_dimension(5))
    assert "does not fit its instance vectors of 8 dimensions" in with_model(wrong).text("#error")
