"""The page of ``mil-asc serve`` in Chromium: files, the microphone, errors, the keyboard, small and dark screens."""

import base64
import re

import browser
import pytest
import soundfile

playwright_api = pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')
pytest.importorskip("uvicorn", reason='needs pip install -e ".[serve]"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="needs the program chromium (apt-get install chromium)"),
]
HOLD_CLASSIFY = re.compile(r"/classify\?")
FOCUS_IS_SEEN = """() => {
  const at = document.activeElement;
  const shown = at.matches(".hidden-input") ? document.querySelector(`label[for=${at.id}]`) : at;
  const style = getComputedStyle(shown);
  return at !== document.body && style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
}"""


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


def test_stopped_server_is_said_in_both_views(window, recordings):
    with browser.served() as address:
        seen = browser.Visit(window, address).open()
        seen.page.click("#live-toggle")
        seen.page.locator("#live-view").wait_for()
    playwright_api.expect(seen.page.locator("#live-error")).not_to_be_empty()
    seen.upload(recordings["park"])
    assert "is mil-asc serve still running" in seen.text("#error")
    assert seen.text("#live-toggle") == "Start listening"
    seen.close()


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
    assert not seen.page.evaluate(browser.CONTRAST)["low"]
    seen.page.click("#live-toggle")
    playwright_api.expect(seen.page.locator("#live-time")).to_contain_text("Stopped at", timeout=20000)
    assert seen.text("#live-error") == "" and seen.text("#live-toggle") == "Start listening"
    assert [url for method, url in seen.requests if method == "WEBSOCKET"]


def test_live_view_marks_sound_unlike_the_training_data(playwright, address, recordings):
    with browser.chromium(playwright, *browser.hears(recordings["noise"])) as window:
        seen = browser.Visit(window, address).open()
        seen.page.click("#live-toggle")
        playwright_api.expect(seen.page.locator(".card.final .unfamiliar")).to_be_visible(timeout=20000)
        assert "No probability" in seen.text(".card.final")
        seen.check()
        seen.close()


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
    seen = visit(390, 844, is_mobile=True, has_touch=True, color_scheme="dark")
    seen.upload(recordings["moments"])
    seen.page.click("#live-toggle")
    playwright_api.expect(seen.page.locator(".card.provisional .scene")).not_to_have_text("–", timeout=20000)
    seen.page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert not seen.page.evaluate(browser.CONTRAST)["low"]
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
