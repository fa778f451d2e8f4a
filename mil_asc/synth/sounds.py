"""Sound building blocks of the synthetic scenes: filters, noises, tones, strikes, voices, and their order in time.

Every sound is a float64 vector of samples, of any level. Tones whose instantaneous frequency comes near half the
sample rate are left out, so nothing aliases.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import fft

LOWEST_SAMPLE_RATE = 16000  # Hz; the highest fundamentals (bird song, squeals) need it
OCTAVES_HZ = np.array([62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
VOWEL_FORMANTS_HZ = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (530, 1840, 2480),
    (570, 840, 2410),
    (440, 1020, 2240),
)

Response = Callable[[np.ndarray], np.ndarray]


# Filters: a response maps frequencies in Hz to linear gains.


def band(low_hz: float, high_hz: float, order: int = 4) -> Response:
    """Band-pass response: gain about 1 between the two corners, falling 6 * order dB an octave outside."""

    def gain(hz: np.ndarray) -> np.ndarray:
        below = (low_hz / (hz + 1e-3)) ** order
        above = (hz / high_hz) ** order
        return 1.0 / np.sqrt((1.0 + below * below) * (1.0 + above * above))

    return gain


def octave_curve(gains_db: np.ndarray) -> Response:
    """Response through the eight gains (dB) at OCTAVES_HZ, straight lines over log frequency, no offset."""

    def gain(hz: np.ndarray) -> np.ndarray:
        curve_db = np.interp(np.log2(hz + 1e-3), np.log2(OCTAVES_HZ), gains_db)
        return 10.0 ** (curve_db / 20.0) * band(25.0, 1e9, 2)(hz)

    return gain


def chained(first: Response, second: Response) -> Response:
    """One filter after the other."""
    return lambda hz: first(hz) * second(hz)


def formants(peaks_hz: Sequence[float], width_hz: float = 120.0) -> Response:
    """Response of a vocal tract: one resonance at each peak, the higher ones weaker."""

    def gain(hz: np.ndarray) -> np.ndarray:
        return sum(0.6**k / (1.0 + ((hz - peak) / width_hz) ** 2) for k, peak in enumerate(peaks_hz))

    return gain


def filtered(samples: np.ndarray, sample_rate: int, response: Response) -> np.ndarray:
    """The samples through a zero-phase filter."""
    length = fft.next_fast_len(len(samples), real=True)
    spectrum = fft.rfft(samples, length)
    spectrum *= response(fft.rfftfreq(length, 1.0 / sample_rate))
    return fft.irfft(spectrum, length)[: len(samples)]


# Sources.


def noise(rng: np.random.Generator, count: int, sample_rate: int, response: Response) -> np.ndarray:
    """``count`` samples of Gaussian noise: unit variance through the given magnitude response."""
    length = fft.next_fast_len(count, real=True)
    spectrum = rng.standard_normal(2 * (length // 2 + 1)).view(complex)
    spectrum *= np.sqrt(length / 2) * response(fft.rfftfreq(length, 1.0 / sample_rate))
    return fft.irfft(spectrum, length)[:count]


def wander(rng: np.random.Generator, count: int, sample_rate: int, rate_hz: float) -> np.ndarray:
    """A slow random curve in [-1, 1]: ``rate_hz`` random points per second, joined by straight lines."""
    points = max(2, int(np.ceil(count / sample_rate * rate_hz)) + 1)
    return np.interp(np.linspace(0, points - 1, count), np.arange(points), rng.uniform(-1.0, 1.0, points))


def tone(hz_track: np.ndarray, sample_rate: int, harmonics: Sequence[float] = (1.0,)) -> np.ndarray:
    """A tone that follows a frequency track (Hz, one value per sample); harmonics are linear amplitudes."""
    audible = int(0.45 * sample_rate / np.max(hz_track))
    first = np.exp(2j * np.pi * np.cumsum(hz_track) / sample_rate)
    partial, sound = np.ones_like(first), np.zeros(len(first))
    for amplitude in harmonics[:audible]:
        partial *= first
        sound += amplitude * partial.imag
    return sound


def strike(hz: float, partials: Sequence[tuple], decay: float, seconds: float, sample_rate: int) -> np.ndarray:
    """A struck body: partials (frequency ratio, amplitude) that fall by 9 dB in ``decay`` seconds or less."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    sound = np.zeros(len(t))
    for ratio, amplitude in partials:
        if hz * ratio < 0.45 * sample_rate:
            sound += amplitude * np.sin(2.0 * np.pi * hz * ratio * t) * np.exp(-t * max(1.0, ratio) / decay)
    return sound * np.minimum(1.0, t / 0.002)


def burst(rng, low_hz: float, high_hz: float, decay: float, seconds: float, sample_rate: int) -> np.ndarray:
    """A burst of band noise that dies away by 9 dB every ``decay`` seconds."""
    count = round(seconds * sample_rate)
    fall = np.exp(-np.arange(count) / sample_rate / decay)
    return noise(rng, count, sample_rate, band(low_hz, high_hz)) * fall


def voice(rng: np.random.Generator, seconds: float, sample_rate: int) -> np.ndarray:
    """Speech-like syllables: a pulse train at 90-240 Hz through changing vowels, with short gaps."""
    count = round(seconds * sample_rate)
    sound = np.zeros(count)
    pitch_hz = rng.uniform(90.0, 240.0)
    vowels = np.array(VOWEL_FORMANTS_HZ)
    start = 0
    while start < count:
        length = int(rng.uniform(0.12, 0.28) * sample_rate)
        pitch = pitch_hz * rng.uniform(0.85, 1.2) * np.linspace(1.05, 0.95, length)
        pulses = np.diff(np.floor(np.cumsum(pitch) / sample_rate), prepend=0.0)
        vowel = formants(vowels[rng.integers(len(vowels))] * rng.uniform(0.9, 1.15))
        add(sound, filtered(pulses, sample_rate, vowel) * np.hanning(length) * rng.uniform(0.4, 1.0), start)
        start += length + int(rng.choice([0.0, 0.03, 0.15], p=[0.6, 0.25, 0.15]) * sample_rate)
    return sound


# Composition in time.


def add(canvas: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add a sound into the canvas from sample ``start``; what would go past the end is cut off."""
    count = min(len(sound), len(canvas) - start)
    if count > 0:
        canvas[start : start + count] += sound[:count]


def series(onsets: Sequence[float], make: Callable[[], np.ndarray], seconds: float, sample_rate: int) -> np.ndarray:
    """One sound from ``make`` at each onset (seconds)."""
    canvas = np.zeros(round(seconds * sample_rate))
    for onset in onsets:
        add(canvas, make(), round(onset * sample_rate))
    return canvas


def regular_onsets(rng: np.random.Generator, seconds: float, period: float, jitter: float = 0.1) -> np.ndarray:
    """Onsets in [0, seconds), about ``period`` seconds apart, each late by up to jitter * period."""
    onsets = np.arange(0.0, seconds, period)
    return onsets + rng.uniform(0.0, jitter * period, len(onsets))


def glide(rng, start_hz: tuple, ratio: tuple, seconds: float, sample_rate: int) -> np.ndarray:
    """Frequency track (Hz) that starts in the range ``start_hz`` and ends at ``ratio`` (a range) times that."""
    start = rng.uniform(*start_hz)
    return np.geomspace(start, start * rng.uniform(*ratio), round(seconds * sample_rate))


def swell(count: int, peak_at: float) -> np.ndarray:
    """Envelope in [0, 1] that rises to its peak at the fraction ``peak_at`` of its length and falls again."""
    x = np.linspace(0.0, 1.0, count)
    return np.sin(0.5 * np.pi * np.where(x < peak_at, x / peak_at, (1.0 - x) / (1.0 - peak_at))) ** 2


def melody(pitches_hz, decay: float, harmonics: Sequence[tuple], seconds: float, sample_rate: int) -> np.ndarray:
    """Struck notes of equal length, one for each pitch, that ring into one another."""
    step = seconds / len(pitches_hz)
    canvas = np.zeros(round(seconds * sample_rate))
    for k, hz in enumerate(pitches_hz):
        add(
            canvas,
            strike(hz, harmonics, decay, seconds - k * step, sample_rate),
            round(k * step * sample_rate),
        )
    return canvas
