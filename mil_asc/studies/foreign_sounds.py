"""Sounds that no scene consists of, made from a seed: white, pink and brown noise, tones, and chords like music.

Each maker returns (N,) float32 samples whose level (RMS) is drawn log-uniformly from ``LEVELS``.
"""

from collections.abc import Callable, Iterator

import numpy as np

from mil_asc.errors import ArgumentError

LEVELS = (0.001, 0.3)
"""Least and greatest RMS; full scale is 1."""
NOISE_SLOPES = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Power falls with frequency to minus this."""
LOWEST_HZ = 20.0
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 11), (0, 3, 7, 10), (0, 5, 7))
"""Semitones above the root."""


def noise(rng: np.random.Generator, num_samples: int, sample_rate: int, slope: float) -> np.ndarray:
    """Gaussian noise of power 1 / f^slope above ``LOWEST_HZ``, and none below."""
    spectrum_F = np.fft.rfft(rng.normal(size=num_samples))
    hertz_F = np.fft.rfftfreq(num_samples, 1 / sample_rate)
    shape_F = np.where(hertz_F < LOWEST_HZ, 0.0, np.maximum(hertz_F, LOWEST_HZ) ** (-slope / 2))
    return np.fft.irfft(spectrum_F * shape_F, num_samples)


def tone(rng: np.random.Generator, num_samples: int, sample_rate: int) -> np.ndarray:
    """One sine of 50 Hz to 0.45 times the sampling rate, log-uniform."""
    hertz = np.exp(rng.uniform(np.log(50), np.log(0.45 * sample_rate)))
    return np.sin(2 * np.pi * (hertz * np.arange(num_samples) / sample_rate + rng.uniform()))


def chords(rng: np.random.Generator, num_samples: int, sample_rate: int) -> np.ndarray:
    """Struck chords of three or four decaying notes with harmonics, one every 0.4 to 1.2 s, over a drone."""
    sound_N, step = np.zeros(num_samples), int(rng.uniform(0.4, 1.2) * sample_rate)
    root, decay = rng.uniform(40, 64), rng.uniform(0.3, 1.5)
    for first in range(0, num_samples, step):
        time_N = np.arange(min(num_samples - first, int(6 * decay * sample_rate))) / sample_rate
        intervals = CHORDS[rng.integers(len(CHORDS))]
        for note in root + rng.choice([0, 2, 4, 5, 7, 9]) + np.array(intervals):
            struck_N = _note(rng, note, time_N, sample_rate) * np.exp(-time_N / decay)
            sound_N[first : first + len(struck_N)] += struck_N
    return sound_N + 0.2 * _note(rng, root - 12, np.arange(num_samples) / sample_rate, sample_rate)


def _note(rng: np.random.Generator, note: float, time_N: np.ndarray, sample_rate: int) -> np.ndarray:
    """A MIDI note number with the harmonics below half the sampling rate, at most six."""
    hertz = 440 * 2 ** ((note - 69) / 12)
    order_H = np.arange(1, min(6, int(0.5 * sample_rate / hertz)) + 1)
    return sum(np.sin(2 * np.pi * (k * hertz * time_N + rng.uniform())) / k for k in order_H)


def _maker(slope: float) -> Callable:
    return lambda rng, num_samples, sample_rate: noise(rng, num_samples, sample_rate, slope)


MAKERS: dict[str, Callable] = {
    **{f"{name} noise": _maker(slope) for name, slope in NOISE_SLOPES.items()},
    "tones": tone,
    "chords": chords,
}
"""Makers by the name of their set: (rng, samples, rate) -> (N,) of any level."""


def make_sounds(kind: str, count: int, seed: int, seconds: float = 10.0, sample_rate: int = 16000) -> Iterator:
    """``count`` sounds of a ``kind`` (a key of ``MAKERS``), each (N,) float32; the same seed gives the same ones.

    Example
    -------
    >>> [sound_N.shape for sound_N in make_sounds("pink noise", 2, seed=1, seconds=0.5)]
    [(8000,), (8000,)]
    """
    if kind not in MAKERS:
        raise ArgumentError(f"unknown kind of sound {kind!r:.80}; legal: {', '.join(MAKERS)}")
    num_samples = round(seconds * sample_rate)
    for position in range(count):
        rng = np.random.default_rng([seed, list(MAKERS).index(kind), position])
        sound_N = MAKERS[kind](rng, num_samples, sample_rate)
        level = np.exp(rng.uniform(*np.log(LEVELS)))
        yield (level * sound_N / np.sqrt(np.mean(sound_N**2))).astype(np.float32)
