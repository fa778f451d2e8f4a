"""Clips of noise and their stores, for the tests of this folder."""

import numpy as np
import soundfile

from mil_asc.store.build import prepare_waveforms


def write_clips(folder, count=40, seconds=0.2, rate=16000):
    """Noise of different lengths and peaks; the relative paths, sorted."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / f"audio/{number:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = int(seconds * rate) + 16 * (number % 5)
        wav = generator.standard_normal(frames) * 0.1 / (1 + number)
        soundfile.write(path, wav, rate, subtype="FLOAT")
        paths.append(f"audio/{path.name}")
    return paths


def prepare(folder, paths, cache_folder, **how):
    return prepare_waveforms(folder, paths, cache_folder, progress=False, **how)


def times(folder):
    """When each file of the store was written, by its name."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


def everything(store):
    """All samples of a store."""
    return np.concatenate([np.zeros(0, np.int16), *(block for _, block in store.blocks())])


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message
