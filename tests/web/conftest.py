"""The server, Chromium, and recordings to show in it; each module has its own server and window."""

import browser
import numpy as np
import pytest
import soundfile

from mil_asc.inference.onnx import OnnxSceneClassifier
from mil_asc.synth.scenes import plan_clips, render_clip

RATE = 16000


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
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def window(playwright, recordings):
    """Chromium whose microphone hears a park, again and again."""
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
