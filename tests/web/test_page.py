"""The page of ``mil-asc serve`` in Chromium: what it shows of a recording, and what it plays."""

import json
import re
import time

import browser
import pytest

from mil_asc.presentation.scene_formats import audacity_labels, moments

playwright_api = pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')
pytest.importorskip("uvicorn", reason='needs pip install -e ".[serve]"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="needs the program chromium (apt-get install chromium)"),
]
HOSTILE = "<img src=x onerror=window.hacked=1>.wav"
HOLD_CLASSIFY = re.compile(r"/classify\?")


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
    other = tmp_path / "other" / HOSTILE  # the player may still read the first one
    other.parent.mkdir()
    other.write_bytes(b"no sound")
    seen.upload(other)
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
