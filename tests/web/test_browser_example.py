"""``examples/browser`` in Chromium: what it says of recordings is what ``OnnxSceneClassifier`` says."""

import json
import re
import statistics
import time

import browser
import example_site
import numpy as np
import pytest
import soundfile
from browser import RATE, sound

from mil_asc.errors import AudioError
from mil_asc.packaging.sources import resolve_source

pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="needs the program chromium (apt-get install chromium)"),
]
EXACT, DECODED, RESAMPLED, LOW_RATE = 1e-4, 1e-3, 0.03, 0.1
"""Tolerances of confidences and scores; the example's README states them."""
FILES = len([path for path in example_site.EXAMPLE.iterdir() if path.suffix != ".md"]) + 3
"""Requests of the page: its own files, model and runtime."""


@pytest.fixture(scope="module")
def files(recordings, tmp_path_factory):
    """More recordings: of other lengths, formats, channels and rates."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(5)
    scenes_N = sound(("park", 3.0), ("tram", 3.0), ("bus", 4.0))
    stereo_N2 = np.stack([scenes_N, random.normal(scale=0.01, size=len(scenes_N))], axis=1)
    minutes_N = np.concatenate([sound(("park", 20.0), ("metro", 20.0), ("tram", 25.0)), scenes_N[:5000]])
    at_44100, at_48000 = (sound(("park", 10.0), rate=rate) for rate in (44100, 48000))
    made = {
        "instance.wav": (0.1 * random.normal(size=7168), RATE, "PCM_16"),
        "odd.wav": (sound(("metro", 4.7)), RATE, "PCM_24"),
        "float.wav": (2 * scenes_N, RATE, "FLOAT"),
        "double.wav": (scenes_N, RATE, "DOUBLE"),
        "eight.wav": (scenes_N, RATE, "PCM_U8"),
        "long.wav": (minutes_N, RATE, "PCM_16"),
        "stereo.wav": (stereo_N2, RATE, "PCM_32"),
        "stereo-44100.wav": (np.stack([at_44100, 0.5 * at_44100], axis=1), 44100, "PCM_16"),
        "rate-48000.wav": (at_48000, 48000, "FLOAT"),
        "rate-8000.wav": (scenes_N, 8000, "PCM_16"),
        "rate-16000.flac": (scenes_N, RATE, "PCM_16"),
        "rate-44100.flac": (at_44100, 44100, "PCM_24"),
        "rate-44100.mp3": (at_44100, 44100, "MPEG_LAYER_III"),
        "rate-44100.ogg": (at_44100, 44100, "VORBIS"),
    }
    for name, (wav, rate, subtype) in made.items():
        soundfile.write(folder / name, wav, rate, subtype=subtype)
    return {name: folder / name for name in made} | {f"{name}.wav": path for name, path in recordings.items()}


@pytest.fixture(scope="module")
def site(npm_runtime, tmp_path_factory):
    """The page with the shipped model: its address, and the requests that its host got."""
    folder = tmp_path_factory.mktemp("site") / "page"
    example_site.put_together(folder, npm_runtime, (resolve_source(browser.MODEL) / "model.onnx").read_bytes())
    with example_site.static_host(folder) as found:
        yield found


@pytest.fixture
def opened(window, site):
    """``opened(width, height)`` visits the page; at the end all visits are checked and closed."""
    visits = []

    def make(width=1280, height=900, **settings):
        visits.append(example_site.PageVisit(window, site[0], width, height, **settings))
        return visits[-1].open()

    yield make
    for one in visits:
        one.check()
        one.close()


def saved(visit):
    """What the page saves as JSON."""
    with visit.page.expect_download() as started:
        visit.page.locator("a[download]").click()
    return json.loads(started.value.path().read_text(encoding="utf-8"))


def assert_agrees(found, scene, tolerance):
    """The saved result is a scene's: scores, instances, calibration."""
    assert (found["label"], found["assumption"], found["familiar"]) == (scene.label, scene.assumption, scene.familiar)
    for rule, scores in scene.scores.items():
        if rule != "cmi" or tolerance == EXACT:
            assert found["scores"][rule] == pytest.approx(scores, abs=tolerance), rule
    assert len(found["instances"]) == len(scene.instances)
    for one, other in zip(found["instances"], scene.instances):
        assert (one["start"], one["end"]) == pytest.approx((other.start, other.end), abs=1e-9)
        assert one["confidence"] == pytest.approx(other.confidence, abs=tolerance)
        if tolerance == EXACT:
            assert (one["label"], one["positive"]) == (other.label, other.positive)
    # of a single instance, whose deviation is rounding, and which is not judged
    rel = 0.1 if scene.familiar is None else 30 * tolerance
    assert found["unfamiliarity"] == pytest.approx(scene.unfamiliarity, rel=rel)
    assert found["probability"] == pytest.approx(scene.probability, abs=tolerance)
    assert (found["start"], found["end"]) == pytest.approx((scene.start, scene.end))


@pytest.mark.parametrize(
    "name",
    ["moments.wav", "noise.wav", "instance.wav", "odd.wav", "float.wav", "double.wav", "eight.wav", "stereo.wav"],
)
def test_wav_at_the_model_s_rate_gives_the_scene_of_the_classifier(opened, files, classifier, name):
    seen = opened()
    seen.upload(files[name])
    assert seen.text("#error") == ""
    assert_agrees(saved(seen), classifier.explain_file(files[name]), EXACT)


def test_long_recording_in_windows_gives_the_scores_of_the_whole(opened, files, classifier):
    scene = classifier.explain_file(files["long.wav"])
    assert len(scene.instances) > 48 + 2 * 7
    seen = opened()
    seen.upload(files["long.wav"])
    assert_agrees(saved(seen), scene, EXACT)


@pytest.mark.parametrize(
    "name, tolerance",
    [
        ("stereo-44100.wav", RESAMPLED),
        ("rate-48000.wav", RESAMPLED),
        ("rate-8000.wav", LOW_RATE),
        ("rate-16000.flac", DECODED),
        ("rate-44100.flac", RESAMPLED),
    ],
)
def test_other_rates_and_lossless_formats_give_the_scene_within_a_tolerance(opened, files, classifier, name, tolerance):
    seen = opened()
    seen.upload(files[name])
    assert_agrees(saved(seen), classifier.explain_file(files[name]), tolerance)


@pytest.mark.parametrize("name", ["rate-44100.mp3", "rate-44100.ogg"])
def test_lossy_formats_give_the_same_scene(opened, files, classifier, name):
    seen = opened()
    seen.upload(files[name])
    found, scene = saved(seen), classifier.explain_file(files[name])
    assert (found["label"], found["familiar"]) == (scene.label, scene.familiar)
    assert found["end"] == pytest.approx(scene.end, abs=0.6)


def test_page_shows_scene_scores_probability_and_moments(opened, files, classifier, tmp_path):
    scene = classifier.explain_file(files["moments.wav"])
    seen = opened()
    seen.upload(files["moments.wav"])
    assert seen.text("#scene") == scene.label
    assert f"Decided by SMI with a score of {scene.scores['smi'][scene.label]:.2f}" in seen.text(".decided-by")
    assert f"{scene.probability:.2f}" in seen.text(".probability")
    rows = seen.page.locator(".scores tbody tr").all_text_contents()
    assert len(rows) == len(scene.scores["smi"])
    assert rows[0] == scene.label + "".join(f"{scene.scores[rule][scene.label]:.3f}" for rule in ("smi", "cmi", "bag"))
    buttons = seen.page.locator(".moment").all_text_contents()
    assert len(buttons) == 2 and buttons[0].startswith("0:")
    assert seen.page.locator("#result [role=alert]").count() == 0
    seen.page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_foreign_sound_is_marked_and_has_no_probability(opened, files, classifier):
    assert classifier.explain_file(files["noise.wav"]).familiar is False
    seen = opened()
    seen.upload(files["noise.wav"])
    assert "unlike the training data" in seen.text("#result [role=alert]")
    assert seen.text(".probability").startswith("No probability")


def test_other_rule_decides_the_recording_again(opened, files, classifier):
    smi, cmi = (classifier.explain_file(files["rules.wav"], rule) for rule in ("smi", "cmi"))
    assert smi.label != cmi.label
    seen = opened()
    seen.upload(files["rules.wav"])
    assert seen.text("#scene") == smi.label
    seen.page.select_option("#rule", "cmi")
    assert seen.text("#scene") == cmi.label
    assert_agrees(saved(seen), cmi, EXACT)


def test_moment_plays_its_stretch_of_the_samples(opened, files, classifier):
    seen = opened()
    seen.page.evaluate(
        """() => {
          const start = AudioBufferSourceNode.prototype.start;
          window.heard = [];
          AudioBufferSourceNode.prototype.start = function (...values) {
            window.heard.push([...values, this.buffer.sampleRate, this.buffer.length]);
            start.apply(this, values);
          };
        }"""
    )
    seen.upload(files["moments.wav"])
    button = seen.page.locator(".moment").first
    found = re.findall(r"0:(\d\d\.\d\d)", button.text_content())
    start, end = map(float, found)
    began = time.monotonic()
    button.click()
    seen.page.wait_for_function("() => document.querySelector('.moment').getAttribute('aria-pressed') === 'true'")
    seen.page.wait_for_function("() => document.querySelector('.moment').getAttribute('aria-pressed') === 'false'")
    assert time.monotonic() - began > 0.9 * (end - start)
    (heard,) = seen.page.evaluate("window.heard")
    assert heard == pytest.approx([0, start, end - start, RATE, 10 * RATE], abs=0.02)
    assert float(seen.page.locator(".position").input_value()) == pytest.approx(end, abs=0.02)
    button.click()
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_position_says_what_is_scored_there(opened, files, classifier):
    scene = classifier.explain_file(files["moments.wav"])
    seen = opened()
    seen.upload(files["moments.wav"])
    seen.page.locator(".position").fill("4")
    instance = next(one for one in scene.instances if one.start <= 4.0 < one.end)
    assert seen.text(".here").startswith(f"0:04.00: {scene.label} {instance.scores[scene.label]:.2f}")


def test_dropped_file_is_classified(opened, files, classifier):
    seen = opened()
    seen.page.evaluate(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
          const event = new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer});
          document.querySelector("#drop").dispatchEvent(event);
        }""",
        list(files["odd.wav"].read_bytes()),
    )
    seen.page.wait_for_selector("#scene")
    assert seen.text("#scene") == classifier.explain_file(files["odd.wav"]).label
    assert seen.text(".name") == "dropped.wav"


def refused_files(folder):
    """Name -> what the page must say of the file that is written there."""
    tone_N = np.sin(np.arange(30000) * 0.1)
    hole_N = np.where(np.arange(30000) == 12345, np.nan, tone_N)
    for name, wav_N, rate in (
        ("silent", 0 * tone_N, RATE),
        ("short", tone_N[:7167], RATE),
        ("nan", hole_N, RATE),
        ("nan-48k", hole_N, 48000),
        ("loud", 1e12 * tone_N, RATE),
        ("cut", tone_N, RATE),
    ):
        soundfile.write(folder / f"{name}.wav", wav_N, rate, subtype="FLOAT")
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:50000])
    (folder / "text.wav").write_text("no sound at all")
    (folder / "none.wav").write_bytes(b"")
    soundfile.write(folder / "silent.flac", 0 * tone_N, RATE)
    return {
        "silent.wav": "silent (every sample is zero)",
        "silent.flac": "silent (every sample is zero)",
        "short.wav": "too short: 0.447937 s, at least 0.448000 s needed",
        "nan.wav": "holds NaN or infinite samples",
        "nan-48k.wav": "holds NaN or infinite samples",
        "loud.wav": "at most 4.29e+9 allowed",
        "cut.wav": "truncated: the header states 120000 bytes",
        "text.wav": "no audio that this browser can decode",
        "none.wav": "empty (0 bytes)",
    }


def test_what_cannot_be_classified_is_refused_in_a_sentence(opened, files, classifier, tmp_path):
    seen = opened()
    for name, reason in refused_files(tmp_path).items():
        seen.upload(tmp_path / name)
        with pytest.raises(AudioError) as error:
            classifier.explain_file(tmp_path / name)
        said = seen.text("#error")
        assert said.startswith(f"{name}: ") and reason in said, name
        assert name in ("text.wav", "loud.wav") or str(error.value).endswith(said)
        assert seen.page.locator("#result").is_hidden()
    seen.upload(files["park.wav"])
    assert seen.text("#error") == "" and seen.text("#scene")


def test_recording_beyond_the_stated_length_is_refused(opened, tmp_path):
    seen = opened()
    assert "30 min" in seen.text("#limits")
    noise_N = 0.1 * np.random.default_rng(0).normal(size=RATE * 31 * 60).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise_N, RATE)
    soundfile.write(tmp_path / "long.mp3", noise_N, RATE)
    for name in ("long.wav", "long.mp3"):
        seen.upload(tmp_path / name)
        assert "31.0 minutes, at most 30 are taken here" in seen.text("#error")


def test_hostile_file_name_is_text(opened, files, tmp_path):
    name = "<img src=x onerror=window.hacked=1>.wav"
    (tmp_path / name).write_bytes(files["odd.wav"].read_bytes())
    seen = opened()
    seen.upload(tmp_path / name)
    assert seen.text(".name") == name
    assert seen.page.locator("img").count() == 0


def test_nothing_is_sent_after_loading_and_nothing_can_be(opened, site, files):
    _, requests = site
    requests.clear()
    seen = opened()
    loaded = list(requests)
    assert len(loaded) == FILES and all(line.startswith("GET ") and size == 0 for line, size in loaded)
    assert {"GET /model.onnx HTTP/1.1", "GET / HTTP/1.1"} < {line for line, _ in loaded}
    for name in ("moments.wav", "stereo-44100.wav", "rate-44100.mp3"):
        seen.upload(files[name])
    assert requests == loaded
    assert all(url.startswith((seen.address, "data:", "blob:")) for _, url in seen.requests)
    refused = seen.page.evaluate(
        """async () => {
          const ways = [() => fetch("/model.onnx"), () => fetch("/upload", {method: "POST", body: "sound"}),
            () => fetch("https://example.com/")];
          const done = await Promise.allSettled(ways.map((way) => way()));
          navigator.sendBeacon("/upload", "sound");
          new Image().src = "/upload?sound";
          return done.map((one) => one.status);
        }"""
    )
    assert refused == ["rejected"] * 3
    seen.page.wait_for_timeout(300)
    assert requests == loaded
    seen.messages[:] = [one for one in seen.messages if "Content Security Policy" not in one[1]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_telephone(opened, files, tmp_path, scheme):
    seen = opened(390, 800, color_scheme=scheme)
    seen.upload(files["long.wav"])
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    seen.page.screenshot(path=tmp_path / f"telephone-{scheme}.png", full_page=True)


def test_time_a_clip_of_ten_seconds_takes(opened, files):
    seen = opened()
    times = []
    for _ in range(7):
        seen.upload(files["park.wav"])
        times.append([int(one) for one in re.findall(r"(\d+) ms", seen.text(".took"))])
    (decoding, *_), (first, *later) = zip(*times)
    print(f"\n10 s at 16 kHz: first {decoding} + {first} ms, then {statistics.median(later):.0f} ms (median of 6)")
    seen.upload(files["stereo-44100.wav"])
    print(f"10 s of stereo at 44.1 kHz: {seen.text('.took')}")
    assert statistics.median(later) < 10_000
