"""The page of ``mil-asc serve`` in Chromium: what a person sees, hears, and reaches with the keyboard."""

import base64
import json
import re
import time

import numpy as np
import pytest
import soundfile

from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.presentation.scene_formats import audacity_labels, moments
from mil_asc.synth.scenes import plan_clips, render_clip

playwright_api = pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')
pytest.importorskip("uvicorn", reason='needs pip install -e ".[serve]"')
import browser  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="needs the program chromium (apt-get install chromium)"),
]
RATE = 16000
HOSTILE = "<img src=x onerror=window.hacked=1>.wav"
HOLD_CLASSIFY = re.compile(r"/classify\?")


def sound(*parts):
    """Synthetic scenes of so many seconds each, one after the other."""
    plans, _ = plan_clips(20, 10)
    return np.concatenate(
        [
            render_clip(next(one for one in plans if one.scene == scene), 3, seconds, RATE, 0.5, 0.3)[0]
            for scene, seconds in parts
        ]
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Name -> path of recordings: one of two moments, one on which rules differ, one of a single scene, noise."""
    folder = tmp_path_factory.mktemp("recordings")
    samples = {
        "moments": sound(("metro_station", 3.0), ("street_traffic", 3.0), ("metro_station", 4.0)),
        "rules": sound(("park", 3.0), ("tram", 3.0), ("park", 4.0)),
        "park": sound(("park", 10.0)),
        "noise": 0.05 * np.random.default_rng(0).normal(size=10 * RATE),
    }
    for name, wav_N in samples.items():
        soundfile.write(folder / f"{name}.wav", wav_N, RATE)
    return {name: folder / f"{name}.wav" for name in samples}


@pytest.fixture(scope="module")
def classifier():
    return OnnxSceneClassifier.from_hparams(browser.MODEL, threads=1)


@pytest.fixture(scope="module")
def address():
    with browser.served() as found:
        yield found


@pytest.fixture(scope="module")
def window(recordings):
    with playwright_api.sync_playwright() as playwright:
        with browser.chromium(playwright, *browser.hears(recordings["park"])) as found:
            yield found


@pytest.fixture
def visit(window, address):
    """``visit(width, height, **settings)`` opens the page; at the end all of its windows are checked and closed."""
    opened = []

    def make(width=1280, height=900, **settings):
        opened.append(browser.Visit(window, address, width, height, **settings))
        return opened[-1].open()

    yield make
    for one in opened:
        one.check()
        one.close()


def test_result_is_that_of_the_classifier(visit, recordings, classifier, tmp_path):
    seen = visit()
    seen.upload(recordings["moments"])
    scene = classifier.explain_file(recordings["moments"])
    assert seen.text("#scene") == scene.label
    assert f"score of {scene.scores['smi'][scene.label]:.2f}" in seen.text(".decided-by")
    assert f"{scene.probability:.2f}" in seen.text(".probability")
    assert seen.page.locator("#result [role=alert]").count() == 0
    rows = seen.page.locator(".scores tbody tr").all_text_contents()
    assert len(rows) == len(scene.scores["smi"])
    for label, row in zip(sorted(scene.scores["smi"], key=lambda one: -scene.scores["smi"][one]), rows):
        assert row == label + "".join(f"{scene.scores[rule][label]:.3f}" for rule in ("smi", "cmi", "bag"))
    assert seen.page.locator(".moment").count() == len(list(moments(scene))) == 2
    seen.page.screenshot(path=tmp_path / "result.png", full_page=True)


def test_waveform_has_a_region_per_moment(visit, recordings, classifier):
    seen = visit()
    seen.upload(recordings["moments"])
    regions = seen.page.locator(".waves [part~=region]")
    regions.nth(1).wait_for()
    box = seen.page.locator(".waves").bounding_box()
    for one, moment in zip(regions.all(), moments(classifier.explain_file(recordings["moments"])), strict=True):
        found = one.bounding_box()
        assert found["x"] - box["x"] == pytest.approx(box["width"] * moment.start / 10, abs=2)
        assert found["width"] == pytest.approx(box["width"] * (moment.end - moment.start) / 10, abs=2)


def test_moment_plays_its_stretch_alone(visit, recordings, classifier):
    moment = next(moments(classifier.explain_file(recordings["moments"])))
    assert 0 < moment.start and moment.end < 9
    seen = visit()
    seen.upload(recordings["moments"])
    seen.page.evaluate(
        """() => {
          const audio = document.querySelector("audio");
          window.heard = [];
          const note = () => { window.heard.push(audio.currentTime); requestAnimationFrame(note); };
          audio.addEventListener("playing", note, {once: true});
        }"""
    )
    button = seen.page.locator(".moment").first
    button.click()
    seen.page.wait_for_function("() => !document.querySelector('audio').paused")
    assert button.get_attribute("aria-pressed") == "true"
    seen.page.wait_for_function("() => document.querySelector('audio').paused")
    heard = seen.page.evaluate("window.heard")
    assert len(heard) > 10 and min(heard) >= moment.start - 0.01 and max(heard) <= moment.end + 0.25
    assert seen.audio()[0] == pytest.approx(moment.end, abs=0.01)
    assert button.get_attribute("aria-pressed") == "false"


def test_moment_stops_where_its_button_is_pressed_again(visit, recordings):
    seen = visit()
    seen.upload(recordings["moments"])
    button = seen.page.locator(".moment").nth(1)
    button.click()
    seen.page.wait_for_function("() => !document.querySelector('audio').paused")
    button.click()
    position, paused = seen.audio()
    assert paused and 6 < position < 9


def test_position_says_what_is_scored_there(visit, recordings, classifier):
    scene = classifier.explain_file(recordings["moments"])
    seen = visit()
    seen.upload(recordings["moments"])
    track = seen.page.locator(".track")
    track.click(position={"x": 0.4 * track.bounding_box()["width"], "y": 50})
    seen.page.wait_for_function("() => document.querySelector('audio').currentTime > 3.9")
    instance = next(one for one in scene.instances if one.start <= 4.0 < one.end)
    said = f"{scene.label} {instance.scores[scene.label]:.2f}"
    playwright_api.expect(seen.page.locator(".here")).to_contain_text(said)
    seen.page.select_option("#compare", "bus")
    playwright_api.expect(seen.page.locator(".here")).to_contain_text(f"bus {instance.scores['bus']:.2f}")


def test_other_rule_decides_the_same_file_again(visit, recordings, classifier):
    smi, cmi = (classifier.explain_file(recordings["rules"], rule).label for rule in ("smi", "cmi"))
    assert smi != cmi
    seen = visit()
    seen.upload(recordings["rules"])
    assert seen.text("#scene") == smi
    seen.page.select_option("#rule", "cmi")
    playwright_api.expect(seen.page.locator("#scene")).to_have_text(cmi)
    assert seen.text(".decided-by").startswith("Decided by CMI")


def test_sound_unlike_the_training_data_is_marked_and_has_no_probability(visit, recordings, classifier):
    assert classifier.explain_file(recordings["noise"]).familiar is False
    seen = visit()
    seen.upload(recordings["noise"])
    alert = seen.page.locator("#result [role=alert]")
    assert alert.is_visible() and "unlike the training data" in alert.text_content()
    assert seen.text(".probability").startswith("No probability")


def test_text_file_is_an_error_in_one_sentence(visit, recordings, tmp_path):
    (tmp_path / "notes.txt").write_text("This is no sound.\n" * 100)
    seen = visit()
    seen.upload(recordings["park"])
    seen.upload(tmp_path / "notes.txt")
    alert = seen.page.locator("#error")
    assert alert.get_attribute("role") == "alert" and alert.is_visible()
    assert "notes.txt" in alert.text_content() and "\n" not in alert.text_content()
    assert seen.page.locator("#result").is_hidden()  # the result of another file
    assert any("status of 415" in text for _, text in seen.messages)


def test_too_large_file_is_refused_before_it_is_sent(visit, tmp_path):
    with open(tmp_path / "large.wav", "wb") as file:
        file.truncate(100_000_000)
    seen = visit()
    seen.upload(tmp_path / "large.wav")
    assert seen.text("#error").startswith("large.wav is too large: 100.0 MB")
    assert not [url for method, url in seen.requests if method == "POST"]


def test_busy_server_means_try_again(visit, recordings):
    seen = visit()
    answer = {"status": 429, "headers": {"Retry-After": "7"}, "json": {"error": "too many recordings at once"}}
    seen.page.route(HOLD_CLASSIFY, lambda route: route.fulfill(**answer))
    seen.upload(recordings["park"])
    assert seen.text("#error") == "The server says: too many recordings at once. Wait 7 s, then try again."


def test_cancel_ends_the_wait(visit, recordings):
    seen = visit()
    held = []
    seen.page.route(HOLD_CLASSIFY, lambda route: held.append(route))
    seen.page.set_input_files("#file", recordings["park"])
    seen.page.click("#cancel")
    playwright_api.expect(seen.page.locator("#work")).to_be_hidden()
    assert seen.text("#status") == "Cancelled." and seen.page.locator("#result").is_hidden()
    assert len(held) == 1
    seen.page.unroute(HOLD_CLASSIFY)
    seen.upload(recordings["park"])
    assert seen.page.locator("#scene").is_visible()


def test_example_is_classified_and_plays(visit):
    seen = visit()
    seen.page.locator("#examples button").first.click()
    seen.answered()
    assert seen.page.locator("#scene").is_visible()
    seen.page.click(".play")
    seen.page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")


def test_file_that_does_not_play_keeps_its_result(visit, recordings, tmp_path):
    wav_N, rate = soundfile.read(recordings["park"])
    soundfile.write(tmp_path / "park.aiff", wav_N, rate)
    seen = visit()
    seen.upload(tmp_path / "park.aiff")
    playwright_api.expect(seen.page.locator("#result .notice")).to_be_visible()
    assert "cannot play" in seen.text("#result .notice")
    assert seen.page.locator(".play").is_disabled() and seen.page.locator("#scene").is_visible()


def test_dropped_file_is_classified(visit, recordings, classifier):
    seen = visit()
    data = seen.page.evaluate_handle(
        """coded => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(coded), letter => letter.charCodeAt(0));
          data.items.add(new File([bytes], "dropped.wav", {type: "audio/wav"}));
          return data;
        }""",
        base64.b64encode(recordings["park"].read_bytes()).decode(),
    )
    seen.page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    seen.answered()
    assert seen.text(".file .name") == "dropped.wav"
    assert seen.text("#scene") == classifier.explain_file(recordings["park"]).label


def test_recording_with_the_microphone_is_classified(visit, recordings, classifier):
    seen = visit()
    seen.page.click("#record")
    seen.page.wait_for_function("() => document.querySelector('#recorded').textContent >= '0:05'")
    seen.page.click("#record-stop")
    seen.answered()
    assert re.fullmatch(r"recording \d\d-\d\d-\d\d\.wav", seen.text(".file .name"))
    seconds = float(seen.text(".file").rpartition("0:")[2])
    assert 4.9 <= seconds < 8
    assert seen.text("#scene") == classifier.explain_file(recordings["park"]).label


def test_discarded_recording_is_not_sent(visit):
    seen = visit()
    seen.page.click("#record")
    seen.page.click("#record-discard")
    assert seen.page.locator("#recorder").is_hidden() and seen.page.locator("#result").is_hidden()
    assert not [url for method, url in seen.requests if method == "POST"]


def test_live_view_is_provisional_before_it_is_final(visit, recordings, classifier, tmp_path):
    seen = visit()
    assert re.search(r"final \d+\.\d\d s after", seen.text("#live-words"))
    seen.page.click("#live-toggle")
    provisional, final = (seen.page.locator(f".card.{kind} .scene") for kind in ("provisional", "final"))
    playwright_api.expect(provisional).not_to_have_text("–", timeout=20000)
    assert final.text_content() == "–"
    playwright_api.expect(final).not_to_have_text("–", timeout=20000)
    playwright_api.expect(final).to_have_text(classifier.explain_file(recordings["park"]).label, timeout=20000)
    assert re.search(r"SMI \d\.\d\d · CMI \d\.\d\d", seen.text(".card.final"))
    drawn = seen.page.locator(".strip canvas").evaluate(
        "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(value => value > 0)"
    )
    assert drawn
    seen.page.locator("#live").screenshot(path=tmp_path / "live.png")
    seen.page.click("#live-toggle")
    playwright_api.expect(seen.page.locator("#live-time")).to_contain_text("Stopped at", timeout=20000)
    assert seen.text("#live-error") == "" and seen.text("#live-toggle") == "Start listening"
    assert [url for method, url in seen.requests if method == "WEBSOCKET"]


def test_live_view_says_why_it_is_not_available(window, address):
    seen = browser.Visit(window, address)
    reason = "every instance of this model depends on the whole recording"

    def without(route):
        model = route.fetch().json()
        route.fulfill(json=model | {"live": model["live"] | {"available": False, "reason": reason}})

    seen.page.route("**/model", without)
    seen.open()
    playwright_api.expect(seen.page.locator("#live-words")).to_contain_text(reason)
    assert seen.page.locator("#live-toggle").is_disabled()
    seen.check()
    seen.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit, recordings, scheme, tmp_path):
    seen = visit(color_scheme=scheme)
    seen.upload(recordings["noise"])
    seen.page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    found = seen.page.evaluate(browser.CONTRAST)
    assert found["count"] > 60 and not found["low"], found["low"]
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 64) == (scheme == "dark")


def test_narrow_screen_has_no_sideways_scroll(visit, recordings, tmp_path):
    seen = visit(390, 844, is_mobile=True, has_touch=True)
    seen.upload(recordings["moments"])
    seen.page.click("#live-toggle")
    playwright_api.expect(seen.page.locator(".card.provisional .scene")).not_to_have_text("–", timeout=20000)
    seen.page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = "all => all.filter(one => one.getBoundingClientRect().right > 390.5).map(one => one.outerHTML)"
    assert seen.page.locator("body :not(.track *)").evaluate_all(beyond) == []


def test_nothing_moves_where_reduced_motion_is_preferred(visit):
    seen = visit(reduced_motion="reduce")
    seen.page.click("#record")
    seen.page.locator(".dot").wait_for()
    assert seen.page.evaluate("document.getAnimations().length") == 0
    seen.page.click("#record-discard")


def test_everything_is_reached_and_worked_with_the_keyboard(visit, recordings):
    seen = visit()
    seen.page.wait_for_selector("#live-toggle:enabled")
    keys = seen.page.keyboard

    def tab_to(selector):
        for _ in range(40):
            keys.press("Tab")
            assert seen.page.evaluate(FOCUS_IS_SEEN), seen.page.evaluate("document.activeElement.outerHTML")
            if seen.page.evaluate("one => document.activeElement.matches(one)", selector):
                return
        raise AssertionError(f"{selector} was not reached")

    for selector in ("nav a", "#file", "#record", "#rule", "#examples button"):
        tab_to(selector)
    keys.press("Enter")
    seen.answered()
    tab_to(".position")
    keys.press("ArrowRight")
    keys.press("Space")
    seen.page.wait_for_function("() => !document.querySelector('audio').paused")
    keys.press("Space")
    assert seen.audio()[1]
    tab_to(".play")
    keys.press("Enter")
    seen.page.wait_for_function("() => !document.querySelector('audio').paused")
    keys.press("Space")
    assert seen.audio()[1]
    tab_to("#compare")
    tab_to(".moment")
    for key in ("Enter", "Space"):
        keys.press(key)
        seen.page.wait_for_function("() => !document.querySelector('audio').paused")
        keys.press(key)
        assert seen.audio()[1]
    for selector in ("a[download$='.txt']", "a[download$='.json']", "#live-toggle"):
        tab_to(selector)


FOCUS_IS_SEEN = """() => {
  const at = document.activeElement;
  const shown = at.matches(".hidden-input") ? document.querySelector(`label[for=${at.id}]`) : at;
  const style = getComputedStyle(shown);
  return at !== document.body && style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
}"""


def test_downloads_hold_the_labels_and_the_numbers(visit, recordings, classifier):
    scene = classifier.explain_file(recordings["moments"])
    seen = visit()
    seen.upload(recordings["moments"])
    files = {}
    for link in seen.page.locator("a[download]").all():
        with seen.page.expect_download() as started:
            link.click()
        files[started.value.suggested_filename] = started.value.path().read_text(encoding="utf-8")
    assert files["moments.labels.txt"] == audacity_labels(scene)
    facts = json.loads(files["moments.json"])
    assert facts["label"] == scene.label and facts["name"] == "moments.wav"
    assert facts["scores"]["cmi"] == pytest.approx(scene.scores["cmi"], abs=1e-5)
    assert len(facts["instances"]) == len(scene.instances)
    assert not {"peaks", "spectrogram"} & facts.keys()


def test_hostile_file_name_is_text(visit, recordings, tmp_path):
    (tmp_path / HOSTILE).write_bytes(recordings["park"].read_bytes())
    seen = visit()
    seen.upload(tmp_path / HOSTILE)
    assert seen.text(".file .name") == HOSTILE
    (tmp_path / HOSTILE).write_bytes(b"no sound")
    seen.upload(tmp_path / HOSTILE)
    assert "<img src=x" in seen.text("#error")
    assert seen.page.locator("img[src=x]").count() == 0
    assert seen.page.evaluate("window.hacked") is None


def test_thousands_of_instances_are_drawn_without_an_element_each(visit, address, recordings):
    seen = visit()
    copies = 600
    data = recordings["moments"].read_bytes()
    answer = seen.context.request.post(f"{address}/classify?name=long.wav", data=data).json()
    shift = answer["end"]
    for name in ("instances", "moments"):
        answer[name] = [
            one | {"start": one["start"] + n * shift, "end": one["end"] + n * shift}
            for n in range(copies)
            for one in answer[name]
        ]
    answer |= {"duration": copies * shift, "end": copies * shift}
    seen.page.route(HOLD_CLASSIFY, lambda route: route.fulfill(json=answer))
    seen.upload(recordings["moments"])
    assert seen.page.locator(".moment").count() == 200
    assert "The 200 most confident of 1200" in seen.text("#result")
    assert seen.page.evaluate("document.querySelectorAll('*').length") < 1500
    began = time.monotonic()
    seen.page.select_option("#compare", "bus")
    pixels = "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(value => value > 0)"
    assert seen.page.locator(".track canvas").evaluate(pixels)
    assert time.monotonic() - began < 2
