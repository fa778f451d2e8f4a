"""What ``tools/growth.py`` works on: tiny recordings in class folders, and lists like those of TAU 2022."""

import itertools
import shutil
import wave

import numpy as np

from mil_asc.corpora.dcase import SCENES
from mil_asc.errors import UserError
from mil_asc.runtime.files import size_text

SAMPLE_RATE, SAMPLES = 16000, 4000
"""Of every recording: a quarter of a second, 8 kB."""
BYTES_PER_FILE = 24_000
"""On the disk: a recording, its place in the waveform store, its rows."""
NOISE_SAMPLES, STEP = 2**20, 997
"""Each recording begins ``STEP`` samples after the one before it in the same noise, so that a million differ."""
SHARES = {"train": 139_620 / 230_350, "evaluate": 29_680 / 230_350}
"""Of the rows of TAU 2022; the others are in neither list."""
DEVICES = {"train": ("a", "b", "c", "s1", "s2", "s3"), "evaluate": ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")}
CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")
PIECES = 10
"""Seconds of a recording, each of which is a row."""
PLACE_PIECES = 400
"""Rows of a location."""


def write_recordings(folder, count):
    """``count`` WAV files of different noise in ten class folders, which are made.

    They are no links to one another, because a corpus has a file once.

    Raises
    ------
    UserError
        The disk has too little room for them and what the steps make of them.
    """
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < count * BYTES_PER_FILE:
        needed = size_text(count * BYTES_PER_FILE)
        raise UserError(f"{folder}: {count} files need about {needed}, {size_text(free)} are free: give another --work")
    noise_N = (1000 * np.random.default_rng(0).normal(size=NOISE_SAMPLES)).astype("<i2")
    for label in SCENES:
        (folder / label).mkdir()
    for number in range(count):
        start = number * STEP % (NOISE_SAMPLES - SAMPLES)
        with wave.open(str(folder / SCENES[number % len(SCENES)] / f"{number:07}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, SAMPLES, "NONE", ""))
            file.writeframes(noise_N[start : start + SAMPLES].tobytes())


def write_lists(folder, rows):
    """``meta.csv`` with ``rows`` rows and the two lists of fold 1, with the shares, devices and classes of TAU 2022."""
    (folder / "evaluation_setup").mkdir(parents=True)
    counts = {name: round(share * rows) for name, share in SHARES.items()}
    counts["neither"] = rows - sum(counts.values())
    columns = "filename\tscene_label"
    with open(folder / "meta.csv", "w", encoding="utf-8") as meta:
        meta.write(f"{columns}\tidentifier\tsource_label\n")
        for number, (name, count) in enumerate(counts.items()):
            pieces = _pieces(number, DEVICES.get(name, DEVICES["evaluate"]))
            with open(folder / f"evaluation_setup/fold1_{name}.csv", "w", encoding="utf-8") as file:
                file.write(f"{columns}\n")
                for path, label, place, device in itertools.islice(pieces, count):
                    meta.write(f"{path}\t{label}\t{place}\t{device}\n")
                    file.write(f"{path}\t{label}\n")


def _pieces(number, devices):
    """Path, class, location and device of one row after the other; those of another ``number`` are at other places."""
    for row in itertools.count():
        recording = row // PIECES
        label, device = SCENES[recording % len(SCENES)], devices[recording // len(SCENES) % len(devices)]
        place = f"{CITIES[row // PLACE_PIECES % len(CITIES)]}-{10_000 * (number + 1) + row // PLACE_PIECES}"
        name = f"audio/{label}-{place}-{1_000_000 * number + recording}-{row % PIECES}-{device}.wav"
        yield name, label, place, device
