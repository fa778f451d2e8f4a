"""What tests of the page share: the server as a user starts it, Chromium, and what a page must never do."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mil_asc.synth.scenes import plan_clips, render_clip

MODEL = "synthscenes-fuse-pnl"
RATE = 16000
CHROMIUM = shutil.which("chromium")
SERVE = [sys.executable, "-m", "mil_asc.cli.main", "serve", "--model", MODEL, "--port", "0"]
REFUSED = re.compile(r"the server responded with a status of (4\d\d|503)")
"""What Chromium writes to the console for every answer of an error, whatever the page makes of it."""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


def sound(*parts, rate=RATE):
    """Synthetic scenes of so many seconds each, one after the other."""
    plans, _ = plan_clips(20, 10)
    return np.concatenate(
        [
            render_clip(next(one for one in plans if one.scene == scene), 3, seconds, rate, 0.5, 0.3)[0]
            for scene, seconds in parts
        ]
    )


@contextmanager
def served(*words):
    """The address of ``mil-asc serve``, started in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "MIL_ASC_MODEL"}
    process = subprocess.Popen(
        [*SERVE, *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment | {"OMP_NUM_THREADS": "1"}
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, f"no address in the first line: {line!r}"
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@contextmanager
def chromium(playwright, *options):
    """Debian's Chromium without a window; it plays without a click and hears no real microphone."""
    own = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *options]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=own)
    try:
        yield browser
    finally:
        browser.close()


def hears(path):
    """Options that make Chromium allow the microphone and hear a WAV file from it, again and again."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}",
    )


class Visit:
    """The page in a window of its own, and all that it wrote to the console and asked for."""

    def __init__(self, browser, address, width=1280, height=900, **settings):
        self.address, self.messages, self.requests = address, [], []
        self.context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.messages.append((message.type, message.text)))
        self.page.on("pageerror", lambda error: self.messages.append(("error", str(error))))
        self.page.on("request", lambda request: self.requests.append((request.method, request.url)))
        self.page.on("websocket", lambda socket: self.requests.append(("WEBSOCKET", socket.url)))

    def open(self):
        """Loads the page; returns when it knows its model and the examples."""
        self.page.goto(self.address)
        self.page.locator("#examples button").first.wait_for()
        return self

    def upload(self, path):
        """Chooses a file, as the dialog of the browser does, and waits until the server has answered."""
        self.page.set_input_files("#file", path)
        self.answered()

    def answered(self):
        """Waits for a result or an error."""
        self.page.wait_for_function(
            "() => document.querySelector('#work').hidden && (document.querySelector('#error').textContent"
            " || !document.querySelector('#result').hidden)"
        )

    def text(self, selector):
        """The text of the one element that is found."""
        return self.page.locator(selector).text_content()

    def audio(self):
        """Position (in seconds) and whether the playback is paused."""
        return self.page.locator("audio").evaluate("audio => [audio.currentTime, audio.paused]")

    def check(self):
        """Nothing was written to the console, or refused by the policy, and nobody else was asked for anything."""
        wrong = [text for kind, text in self.messages if kind in ("error", "warning") and not REFUSED.search(text)]
        assert not wrong, wrong
        own = (self.address, self.address.replace("http", "ws"), f"blob:{self.address}", "data:")
        foreign = [url for _, url in self.requests if not url.startswith(own)]
        assert self.requests and not foreign, foreign

    def close(self):
        """Closes the window."""
        self.context.close()
