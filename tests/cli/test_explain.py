"""``mil-asc explain``: a page of its own, with the recording, its pictures and its moments, and nothing unescaped."""

import base64
import io
import re
import shutil
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from calls import write_noise

from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.inference.scene import UNFAMILIAR
from mil_asc.presentation import spectrogram
from mil_asc.presentation.pixels import brightness, in_colour, narrowed, png, spectrogram_of


class Page(HTMLParser):
    """Elements of a page as (tag, attributes), and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def pixels_of(uri):
    """(H, W, channels) of a PNG without filters."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    size, at = struct.unpack(">I", data[33:37])[0], 41
    rows = np.frombuffer(zlib.decompress(data[at : at + size]), np.uint8).reshape(height, -1)
    assert depth == 8 and not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, {0: 1, 2: 3, 4: 2, 6: 4}[kind])


@pytest.fixture
def page(mil_asc, tmp_path, model):
    def make(file, *words, of=model):
        status, out, err = mil_asc("explain", file, "--model", of, "--to", tmp_path / "page.html", *words)
        assert status == 0, err
        return Page((tmp_path / "page.html").read_text(encoding="utf-8"))

    return make


def test_page_needs_no_other_file(page, recordings, tmp_path):
    found = page(recordings / "b.wav")
    text = (tmp_path / "page.html").read_text()
    assert "b.wav" in text and str(recordings) not in text  # where it lay is nobody's business
    places = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert places and all(place.startswith("data:") for place in places)
    assert not found.all("link") and "http" not in text.replace("http-equiv", "") and "$" not in text
    assert "default-src 'none'" in found.all("meta")[2]["content"]


def test_recording_is_in_the_page_at_the_rate_of_the_model(page, tmp_path):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(88200) / 44100)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], 1), 44100)
    (audio,) = page(tmp_path / "tone.wav").all("audio")
    data = base64.b64decode(audio["src"].removeprefix("data:audio/flac;base64,"))
    found, rate = soundfile.read(io.BytesIO(data))
    assert (rate, found.shape) == (16000, (32000,))
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    np.testing.assert_allclose(found[1000:-1000], expected[1000:-1000], atol=1e-3)


def test_moments_are_those_of_the_scene(page, recordings, model):
    found = page(recordings / "night/c.wav")
    scene = OnnxSceneClassifier.from_hparams(model).explain_file(recordings / "night/c.wav")
    spans = [(float(one["data-start"]), float(one["data-end"])) for one in found.all("button")]
    covered = [any(a <= (one.start + one.end) / 2 <= b for a, b in spans) for one in scene.instances]
    assert covered == [one.positive for one in scene.instances]
    assert scene.label in found.text and all(label in found.text for label in scene.scores["smi"])


def test_mask_is_the_confidence_of_the_class_decided(page, recordings, model):
    images = page(recordings / "b.wav").all("img")
    classifier = OnnxSceneClassifier.from_hparams(model)
    scene = classifier.explain_file(recordings / "b.wav")
    mask = pixels_of(images[2]["src"])
    assert mask.shape[0] == 1 and not mask[..., 0].any() and images[0]["src"] == images[1]["src"]
    hop, steps = classifier.interface.hop_samples / 16000, mask.shape[1]
    for frame in range(steps):
        owner = [one for one in scene.instances if one.start <= frame * hop < one.end]
        confidence = owner[0].scores[scene.label] if owner else 0.0
        assert mask[0, frame, 1] == pytest.approx(255 * (1 - confidence), abs=1)


def test_end_that_no_instance_covers_is_hatched_and_said(page, tmp_path, model):
    interface = OnnxSceneClassifier.from_hparams(model).interface
    instances, half = 4, interface.hop_samples // 2
    for rest, name in ((interface.step_samples // 2, "rest.wav"), (-half, "whole.wav")):
        samples = instances * interface.step_samples + rest
        soundfile.write(tmp_path / name, np.random.default_rng(0).normal(scale=0.1, size=samples), 16000)
        found = page(tmp_path / name, "--force")
        marks = [one for one in found.all("i") if one.get("class") == "unjudged"]
        assert len(marks) == (1 + 3 if rest > 0 else 0) and ("Hatched: the last" in found.text) == (rest > 0)
    seconds = (interface.step_samples // 2 + half) / 16000
    assert f"the last {seconds:.2f} s" in page(tmp_path / "rest.wav", "--force").text


def test_strips_are_in_the_order_of_confidence(page, recordings, model):
    found = page(recordings / "b.wav")
    scene = OnnxSceneClassifier.from_hparams(model).explain_file(recordings / "b.wav")
    order = sorted(scene.scores["smi"], key=lambda label: -scene.scores["smi"][label])
    places = [found.text.index(label, found.text.index("Confidence in every class")) for label in order]
    assert places == sorted(places)


def test_unlike_the_training_data_is_said_where_it_is(page, tmp_path, plain_model):
    soundfile.write(tmp_path / "tone.wav", 0.9 * np.sin(np.arange(32000) * 0.05), 16000)
    write_noise(tmp_path / "noise.wav", 0.5, seed=3)
    found = page(tmp_path / "tone.wav")
    assert "No probability that this is correct" in found.text and "Calibrated" not in found.text
    assert UNFAMILIAR in found.text and any(one.get("role") == "alert" for one in found.all("div"))
    found = page(tmp_path / "noise.wav", "--force")
    assert UNFAMILIAR not in found.text and "Calibrated probability" in found.text
    assert "no calibration" in page(tmp_path / "tone.wav", "--force", of=plain_model).text


def test_only_the_first_minutes_of_a_long_recording_are_shown_and_it_says_so(mil_asc, tmp_path, model):
    write_noise(tmp_path / "long.wav", 5.0)
    words = ["explain", tmp_path / "long.wav", "--model", model, "--to", tmp_path / "page.html", "--minutes", "0.05"]
    status, _, err = mil_asc(*words)
    assert status == 0 and "only the first 0.05 minutes are shown" in err
    found = Page((tmp_path / "page.html").read_text())
    assert "The first 0:03.00 are shown" in found.text and "0:05" in found.text
    data = base64.b64decode(found.all("audio")[0]["src"].partition(",")[2])
    assert len(soundfile.read(io.BytesIO(data))[0]) == 48000
    assert all(float(one["data-start"]) < 3 and float(one["data-end"]) <= 3 for one in found.all("button"))


def test_names_are_escaped(page, tmp_path):
    name = '<img src=x onerror="alert(1)">\n\x1b[2J.wav'
    shutil.copy(write_noise(tmp_path / "a.wav"), tmp_path / name)
    found = page(tmp_path / name)
    assert "onerror" in found.text and "\\n\\x1b[2J.wav" in found.text
    assert not any("onerror" in attributes for _, attributes in found.elements)


def test_page_that_is_there_is_kept(mil_asc, recordings, model, tmp_path):
    words = ["explain", recordings / "b.wav", "--model", model, "--to", tmp_path / "page.html"]
    (tmp_path / "page.html").write_text("mine")
    status, _, err = mil_asc(*words)
    assert status == 1 and err.count("\n") == 1 and "--force" in err
    assert (tmp_path / "page.html").read_text() == "mine"
    assert mil_asc(*words, "--force")[0] == 0


def test_bad_recording_makes_no_page(mil_asc, model, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    status, out, err = mil_asc("explain", tmp_path / "bad.wav", "--model", model, "--to", tmp_path / "page.html")
    assert (status, out) == (1, "") and "bad.wav: unreadable" in err and not (tmp_path / "page.html").exists()


def test_both_backends_show_the_same_spectrogram(page, recordings):
    found = [page(recordings / "b.wav", "--backend", name, "--force").all("img")[0] for name in ("onnx", "torch")]
    first, second = (pixels_of(one["src"]).astype(int) for one in found)
    assert first.shape == second.shape and np.mean(np.abs(first - second) > 4) < 0.01


@pytest.mark.parametrize("seconds", [0.3, 3.0, 9.37, 10.0])
def test_spectrogram_in_pieces_is_that_of_the_whole(model, monkeypatch, seconds):
    classifier = OnnxSceneClassifier.from_hparams(model)
    wav_N = np.random.default_rng(0).normal(size=round(16000 * seconds)).astype(np.float32)
    monkeypatch.setattr(spectrogram, "PIECE_SECONDS", 2.0)
    found = spectrogram.spectrogram_in_pieces(classifier, wav_N)
    np.testing.assert_allclose(found, classifier.spectrogram(wav_N), atol=1e-3)


# -- pictures


def test_png_has_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    data = png(pixels)
    np.testing.assert_array_equal(pixels_of("data:image/png;base64," + base64.b64encode(data).decode()), pixels)
    at = 8
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        body = data[at + 4 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(body)
        at += 12 + size


def test_colours_end_where_the_colour_map_does():
    np.testing.assert_array_equal(in_colour(np.array([0.0, 1.0, 2.0])), [[0, 0, 4], [252, 253, 191], [252, 253, 191]])


def test_brightness_ignores_the_loudest_moment():
    value = np.zeros((10, 100))
    value[:, 50:] = 1
    value[0, 0] = 1000
    assert brightness(value)[:, 50:].min() == 1 and brightness(value)[:, 1:50].max() == 0


def test_narrowed_columns_are_means():
    np.testing.assert_allclose(narrowed(np.arange(10.0)[None], 4), [[1, 4, 7, 9]])


def test_spectrogram_shows_a_tone_at_its_frequency():
    found = spectrogram_of(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000))
    assert found.shape == (513, 32) and set(found[:, 2:-2].argmax(0)) == {64}


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_stretch_shorter_than_the_model_takes_is_one_line_with_the_least(mil_asc, recordings, model, tmp_path, backend):
    words = ["explain", recordings / "b.wav", "--model", model, "--backend", backend, "--to", tmp_path / "a.html"]
    status, out, err = mil_asc(*words, "--minutes", 0.0001)
    found = re.fullmatch(
        r"error: --minutes must be at least ([\d.]+), got 0.0001: this model takes \S+ s or more\n", err
    )
    assert status == 1 and out == "" and found, err
    assert mil_asc(*words, "--minutes", found[1])[0] == 0
