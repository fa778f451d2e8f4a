"""The server, Chromium, and recordings to show in it; each module has its own server and window."""

import browser
import example_site
import numpy as np
import pytest
import soundfile
from browser import RATE, sound

from mil_asc.inference.onnx import OnnxSceneClassifier


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


@pytest.fixture(scope="session")
def npm_runtime(tmp_path_factory):
    """Name -> bytes of the files of onnxruntime-web that ``examples/browser`` needs."""
    return example_site.runtime_files(tmp_path_factory.mktemp("npm"))
