"""What a synthetic scene is, and how it is rendered from a seed.

A clip is a background, typical of its category and only weakly of its class, in which short events stand out.
Distinct events belong to one class; ambiguous events occur in several classes and are as loud. How much of a clip each
of the two covers is a parameter (``mil_asc.synth.placement``).
Every location colours its clips in its own way, and none is in both the train and the evaluation set.

Lengths and onsets are in seconds, frequencies in Hz, levels in dB or linear amplitude with full scale 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from mil_asc.synth import sounds
from mil_asc.synth.events import render_event
from mil_asc.synth.placement import PlacedEvent, draw_events

CITIES = ("arlen", "brume", "corvo", "dunmar", "eskil", "fayre")  # the last is in the evaluation set only
DEVICE = "a"
SEGMENTS_PER_LOCATION = 2
LOCATION_SPREAD_DB = 6.0  # standard deviation of a location's colour at each octave
LAYER_SPREAD_DB = 4.0  # standard deviation of the level of a location's crowd, and of its hum
EVENT_SNR_DB = (2.0, 14.0)
LOCATION_STREAM, CITY_STREAM = 1, 2  # keep the random streams of places apart from those of clips


@dataclass(frozen=True)
class Texture:
    """Background of a class: noise spectrum at sounds.OCTAVES_HZ, crowd and hum level (dB), hum pitch (Hz).

    ``gust_db`` is the depth of the slow rise and fall of the noise.
    """

    spectrum_db: tuple[float, ...]
    crowd_db: float
    hum_db: float
    hum_hz: tuple[float, float]
    gust_db: float


TEXTURES = {
    "airport": Texture((0, 0, -1, -4, -9, -15, -22, -30), -7, -14, (48, 62), 2.0),
    "metro_station": Texture((3, 2, 0, -4, -10, -16, -24, -32), -9, -11, (46, 60), 2.5),
    "shopping_mall": Texture((-2, -1, 0, -3, -8, -13, -21, -30), -5, -15, (48, 62), 2.0),
    "park": Texture((2, 0, -5, -9, -11, -13, -15, -19), -19, -25, (60, 110), 4.0),
    "public_square": Texture((3, 1, -4, -7, -9, -12, -16, -21), -13, -24, (60, 110), 3.5),
    "street_pedestrian": Texture((3, 1, -3, -7, -9, -12, -17, -22), -12, -23, (60, 110), 3.5),
    "street_traffic": Texture((6, 3, -2, -6, -7, -12, -18, -23), -16, -20, (55, 100), 4.5),
    "bus": Texture((14, 11, 5, -2, -12, -21, -30, -39), -15, 1, (24, 36), 3.0),
    "metro": Texture((12, 11, 7, 0, -10, -20, -29, -38), -16, -3, (28, 48), 3.5),
    "tram": Texture((13, 10, 6, 0, -10, -19, -28, -37), -15, -1, (28, 44), 3.0),
}
SCENES = tuple(sorted(TEXTURES))
REVERB_SECONDS = {
    **dict.fromkeys(("airport", "metro_station", "shopping_mall"), (0.4, 1.0)),
    **dict.fromkeys(("park", "public_square", "street_pedestrian", "street_traffic"), (0.1, 0.4)),
    **dict.fromkeys(("bus", "metro", "tram"), (0.06, 0.2)),
}
GUST_BANDS_HZ = ((10.0, 300.0), (300.0, 1500.0), (1500.0, 1e6))  # the noise swells in each alone
HUM_HARMONICS = 1.0 / np.arange(1, 9)


@dataclass(frozen=True)
class PlannedClip:
    """One file to make; ``index`` selects its random stream."""

    index: int
    scene: str
    city: str
    location: int
    segment: int

    @property
    def filename(self) -> str:
        """Path below the folder, as the tables give it."""
        return f"audio/{self.scene}-{self.city}-{self.location}-{self.segment}-{DEVICE}.wav"

    @property
    def identifier(self) -> str:
        """City and location, as in meta.csv."""
        return f"{self.city}-{self.location}"


@dataclass(frozen=True)
class Place:
    """What the clips of a location share: texture, colour (dB at sounds.OCTAVES_HZ), echo, peak amplitude."""

    texture: Texture
    hum_hz: float
    colour_db: np.ndarray
    echo: np.ndarray
    peak: float


# What is recorded where.


def plan_clips(train_clips: int, evaluate_clips: int) -> tuple[list[PlannedClip], list[PlannedClip]]:
    """The train and the evaluation set, balanced over classes; locations are numbered through both."""
    train = _plan_list(train_clips, CITIES[:-1], first_city=0, first_index=0, first_location=0)
    evaluate = _plan_list(
        evaluate_clips,
        CITIES,
        first_city=len(CITIES) - 1,
        first_index=len(train),
        first_location=1 + max(clip.location for clip in train),
    )
    return train, evaluate


def _plan_list(
    count: int, cities: Sequence[str], first_city: int, first_index: int, first_location: int
) -> list[PlannedClip]:
    clips: list[PlannedClip] = []
    location = first_location - 1
    for class_number, scene in enumerate(SCENES):
        share = count // len(SCENES) + (class_number < count % len(SCENES))
        for k in range(share):
            place, segment = divmod(k, SEGMENTS_PER_LOCATION)
            location += segment == 0
            city = cities[(first_city + class_number + place) % len(cities)]
            clips.append(PlannedClip(first_index + len(clips), scene, city, location, segment))
    return clips


def make_place(seed: int, clip: PlannedClip, sample_rate: int) -> Place:
    """The location of a clip, the same for all its segments."""
    rng = np.random.default_rng([seed, clip.location, LOCATION_STREAM])
    city_rng = np.random.default_rng([seed, CITIES.index(clip.city), CITY_STREAM])
    texture = TEXTURES[clip.scene]
    octaves = np.linspace(-1.0, 1.0, len(sounds.OCTAVES_HZ))
    colour_db = city_rng.normal(0.0, 2.0) * octaves + LOCATION_SPREAD_DB * rng.standard_normal(len(octaves))
    varied = Texture(
        texture.spectrum_db,
        texture.crowd_db + rng.normal(0.0, LAYER_SPREAD_DB),
        texture.hum_db + rng.normal(0.0, LAYER_SPREAD_DB),
        texture.hum_hz,
        texture.gust_db * rng.uniform(0.5, 2.0),
    )
    echo = _echo(rng, rng.uniform(*REVERB_SECONDS[clip.scene]), sample_rate)
    peak = np.exp(rng.uniform(np.log(0.06), np.log(0.4)))
    return Place(varied, rng.uniform(*texture.hum_hz), colour_db, echo, peak)


def _echo(rng: np.random.Generator, seconds: float, sample_rate: int) -> np.ndarray:
    """Impulse response: the direct sound, then noise that falls by 60 dB in ``seconds``.

    The noise has -14 to -4 dB of the energy of the direct sound.
    """
    count = round(seconds * sample_rate)
    tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count)
    tail *= 10.0 ** (rng.uniform(-14.0, -4.0) / 20.0) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], tail])


# A clip.


def render_clip(
    clip: PlannedClip, seed: int, seconds: float, sample_rate: int, event_share: float, ambiguous_share: float
) -> tuple[np.ndarray, list[PlacedEvent]]:
    """Samples of a clip, float64 in (-0.5, 0.5), and its events in the order of their onsets.

    ``event_share`` and ``ambiguous_share`` are the mean shares of a clip that distinct and ambiguous events cover.
    """
    place = make_place(seed, clip, sample_rate)
    rng = np.random.default_rng([seed, clip.index])
    background = make_background(rng, place, round(seconds * sample_rate), sample_rate)
    background_power = band_powers(background, sample_rate) / len(background)
    mix = background.copy()
    events = draw_events(rng, clip.scene, seconds, event_share, ambiguous_share)
    for event in events:
        dry = render_event(event.kind, rng, event.offset - event.onset, sample_rate)
        gain = event_gain(dry, background_power, rng.uniform(*EVENT_SNR_DB), sample_rate)
        sounds.add(mix, gain * signal.fftconvolve(dry, place.echo), round(event.onset * sample_rate))
    mix = sounds.filtered(mix, sample_rate, sounds.octave_curve(place.colour_db))
    return mix * place.peak * rng.uniform(0.9, 1.1) / np.max(np.abs(mix)), events


def make_background(rng: np.random.Generator, place: Place, count: int, sample_rate: int) -> np.ndarray:
    """Noise, crowd and hum of a place, before its colour."""
    texture = place.texture
    track = place.hum_hz * (1.0 + 0.06 * sounds.wander(rng, count, sample_rate, 0.4))
    hum = sounds.tone(track, sample_rate, HUM_HARMONICS)
    background = _linear(texture.hum_db) * hum + _linear(texture.crowd_db) * _crowd(rng, count, sample_rate)
    curve = sounds.octave_curve(np.array(texture.spectrum_db))
    for low_hz, high_hz in GUST_BANDS_HZ:
        response = sounds.chained(curve, sounds.band(low_hz, high_hz, 2))
        gusts = _linear(texture.gust_db * sounds.wander(rng, count, sample_rate, 0.7))
        background += gusts * sounds.noise(rng, count, sample_rate, response)
    return background


def _crowd(rng: np.random.Generator, count: int, sample_rate: int) -> np.ndarray:
    """Many distant voices: three vowel bands of noise, each swelling at the pace of syllables."""
    crowd = np.zeros(count)
    for low_hz, high_hz, gain in ((250.0, 800.0, 1.0), (900.0, 2000.0, 0.7), (2200.0, 3600.0, 0.3)):
        syllables = 1.0 + 0.7 * sounds.wander(rng, count, sample_rate, 5.0)
        crowd += gain * syllables * sounds.noise(rng, count, sample_rate, sounds.band(low_hz, high_hz))
    return crowd


def _linear(level_db):
    return 10.0 ** (level_db / 20.0)


def band_powers(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Energy in third-octave bands from 50 Hz to half the sample rate (squared amplitude times samples)."""
    energy = np.abs(fft.rfft(samples)) ** 2 / len(samples)
    edges_hz = 50.0 * 2.0 ** (np.arange(0.0, np.log2(sample_rate / 2 / 50.0), 1.0 / 3.0))
    edges = np.searchsorted(fft.rfftfreq(len(samples), 1.0 / sample_rate), edges_hz)
    return np.add.reduceat(energy, edges)


def event_gain(event: np.ndarray, background_power: np.ndarray, snr_db: float, sample_rate: int) -> float:
    """Gain that brings an event to ``snr_db`` over the background.

    The ratio is taken in third-octave bands and averaged with the event's energy as weight, so that
    a whistle in a quiet band needs little amplitude.
    """
    event_power = band_powers(event, sample_rate) / len(event)
    ratio = np.sum(event_power**2 / background_power) / np.sum(event_power)
    return np.sqrt(10.0 ** (snr_db / 10.0) / ratio)
