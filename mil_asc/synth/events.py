"""Sound events of the synthetic scenes: distinct ones belong to one class, ambiguous ones occur in several.

An event function takes (rng, seconds, sample_rate) and returns ``round(seconds * sample_rate)`` float64 samples of
any level; ``render_event`` fades it in and out and sets its RMS to 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mil_asc.synth.sounds import (
    add,
    band,
    burst,
    filtered,
    formants,
    glide,
    melody,
    noise,
    regular_onsets,
    series,
    strike,
    swell,
    tone,
    voice,
    wander,
)

BELL_PARTIALS = ((0.5, 0.5), (1.0, 1.0), (1.2, 0.7), (1.5, 0.4), (2.0, 0.8), (2.67, 0.3), (4.0, 0.2))


# Distinct events: each belongs to one class.


def paging_gong(rng, seconds, sample_rate):
    """Two-tone gong before an announcement, 480-620 Hz and a third lower (airport)."""
    hz = rng.uniform(480.0, 620.0)
    return melody((hz, hz * 0.8), 0.6, ((1.0, 1.0), (2.0, 0.25), (3.0, 0.1)), seconds, sample_rate)


def suitcase_wheels(rng, seconds, sample_rate):
    """Hard wheels over tile joints: 14-22 knocks a second around 700-2600 Hz (airport)."""
    onsets = regular_onsets(rng, seconds, 1.0 / rng.uniform(14.0, 22.0), 0.3)
    rattle = series(onsets, lambda: burst(rng, 700.0, 2600.0, 0.012, 0.06, sample_rate), seconds, sample_rate)
    return rattle + 0.1 * noise(rng, len(rattle), sample_rate, band(500.0, 2000.0))


def door_hiss(rng, seconds, sample_rate):
    """Compressed air let out above 3.5 kHz, with a thump at its end (bus)."""
    air = burst(rng, 3500.0, 7500.0, 0.5 * seconds, seconds, sample_rate)
    add(air, 2.0 * burst(rng, 80.0, 250.0, 0.05, 0.2, sample_rate), int(0.8 * len(air)))
    return air


def diesel_rev(rng, seconds, sample_rate):
    """Idling engine that is revved: a rich harmonic comb on 32-45 Hz rising by half and more (bus)."""
    hz = glide(rng, (32.0, 45.0), (1.5, 2.0), seconds, sample_rate)
    comb = tone(hz, sample_rate, 1.0 / np.arange(1, 24) ** 0.35)
    knock = 0.5 + 0.5 * np.sin(np.pi * np.cumsum(hz) / sample_rate) ** 2
    return (comb + 0.8 * noise(rng, len(hz), sample_rate, band(400.0, 1300.0))) * knock * swell(len(hz), 0.7)


def rail_joints(rng, seconds, sample_rate):
    """Double clacks of bogies over rail joints, dull at 130-420 Hz (metro)."""
    first = np.arange(rng.uniform(0.0, 0.1), seconds, rng.uniform(0.4, 0.55))
    onsets = np.sort(np.concatenate([first, first + rng.uniform(0.1, 0.14)]))
    return series(onsets, lambda: burst(rng, 130.0, 420.0, 0.03, 0.12, sample_rate), seconds, sample_rate)


def tunnel_whoosh(rng, seconds, sample_rate):
    """Pressure wave in a tunnel: resonant noise of 500-1500 Hz that swells (metro)."""
    count = round(seconds * sample_rate)
    tube = formants((rng.uniform(450.0, 600.0), rng.uniform(900.0, 1100.0), rng.uniform(1350.0, 1550.0)), 60.0)
    return noise(rng, count, sample_rate, tube) * swell(count, rng.uniform(0.4, 0.8))


def door_chime(rng, seconds, sample_rate):
    """Three falling clear notes from 1150-1350 Hz (metro_station)."""
    hz = rng.uniform(1150.0, 1350.0)
    return melody((hz, hz * 0.84, hz * 0.67), 0.35, ((1.0, 1.0), (3.0, 0.3)), seconds, sample_rate)


def brake_squeal(rng, seconds, sample_rate):
    """Train brake: a piercing falling tone near 4-5 kHz with noise around it (metro_station)."""
    hz = glide(rng, (4200.0, 5000.0), (0.82, 0.92), seconds, sample_rate)
    hz = hz * (1.0 + 0.01 * wander(rng, len(hz), sample_rate, 30.0))
    squeal = tone(hz, sample_rate) * (0.7 + 0.3 * wander(rng, len(hz), sample_rate, 12.0))
    return (squeal + 0.2 * noise(rng, len(hz), sample_rate, band(3800.0, 5200.0))) * swell(len(hz), 0.6)


def bird_chirps(rng, seconds, sample_rate):
    """Short whistled sweeps between 5 and 7 kHz (park)."""

    def chirp():
        hz = glide(rng, (5400.0, 6600.0), (0.85, 1.06), rng.uniform(0.05, 0.12), sample_rate)
        return tone(hz, sample_rate) * np.hanning(len(hz))

    return series(regular_onsets(rng, seconds, rng.uniform(0.13, 0.2), 0.4), chirp, seconds, sample_rate)


def pigeon_coo(rng, seconds, sample_rate):
    """Soft throbbing tones of 330-460 Hz (park)."""
    pitch = rng.uniform(330.0, 460.0)

    def coo():
        count = round(rng.uniform(0.25, 0.4) * sample_rate)
        hz = pitch * (1.0 + 0.08 * swell(count, 0.4))
        throb = 0.7 + 0.3 * np.sin(2.0 * np.pi * 22.0 * np.arange(count) / sample_rate)
        return tone(hz, sample_rate, (1.0, 0.06)) * swell(count, 0.3) * throb

    return series(regular_onsets(rng, seconds, 0.45), coo, seconds, sample_rate)


def church_bell(rng, seconds, sample_rate):
    """A large bell: the inharmonic partials of a strike note of 280-360 Hz (public_square)."""
    return strike(rng.uniform(280.0, 360.0), BELL_PARTIALS, 1.5, seconds, sample_rate)


def fountain_burst(rng, seconds, sample_rate):
    """Splashing water: dense drops with rising bubbles over hiss, 1.5-6 kHz (public_square)."""

    def drop():
        hz = glide(rng, (1500.0, 3800.0), (1.1, 1.4), 0.02, sample_rate)
        return tone(hz, sample_rate) * np.exp(-np.linspace(0.0, 5.0, len(hz)))

    drops = series(rng.uniform(0.0, seconds, int(70 * seconds)), drop, seconds, sample_rate)
    splash = noise(rng, len(drops), sample_rate, band(1500.0, 6000.0, 2))
    return (drops + 0.25 * splash) * (0.7 + 0.3 * wander(rng, len(drops), sample_rate, 5.0))


def music_jingle(rng, seconds, sample_rate):
    """A quick tune: chords on 700-1800 Hz with a bass two octaves below (shopping_mall)."""
    steps = np.array([0, 4, 7, 12, 7, 4, 9, 12])[: max(3, round(seconds * 5.0))]
    pitches_hz = rng.uniform(700.0, 900.0) * 2.0 ** (rng.permutation(steps) / 12.0)
    return melody(
        pitches_hz,
        0.3,
        ((0.25, 1.0), (0.5, 0.6), (1.0, 1.0), (1.5, 0.6), (2.0, 0.6), (4.0, 0.4)),
        seconds,
        sample_rate,
    )


def checkout_beeps(rng, seconds, sample_rate):
    """Scanner beeps: bare tones of 2.9-3.2 kHz, 80 ms long (shopping_mall)."""
    beep = tone(np.full(round(0.08 * sample_rate), rng.uniform(2900.0, 3200.0)), sample_rate)
    onsets = regular_onsets(rng, seconds, rng.uniform(0.2, 0.35))
    return series(onsets, lambda: beep, seconds, sample_rate)


def bicycle_bell(rng, seconds, sample_rate):
    """Trilled small bell, 3.5-4 kHz with a partial above it (street_pedestrian)."""
    hz = rng.uniform(3500.0, 3900.0)
    onsets = regular_onsets(rng, seconds, 0.09, 0.2)
    return series(onsets, lambda: strike(hz, ((1.0, 1.0), (1.76, 0.8)), 0.15, 0.4, sample_rate), seconds, sample_rate)


def heel_steps(rng, seconds, sample_rate):
    """Hard heels close by: clicks of 1.8-4.5 kHz, about three a second (street_pedestrian)."""

    def click():
        knock = burst(rng, 1800.0, 4500.0, 0.012, 0.06, sample_rate)
        return knock + 0.4 * burst(rng, 250.0, 500.0, 0.02, 0.06, sample_rate)

    return series(regular_onsets(rng, seconds, rng.uniform(0.28, 0.38), 0.1), click, seconds, sample_rate)


def car_pass_by(rng, seconds, sample_rate):
    """A car close by: tyre noise of 600-2200 Hz that swells, an engine falling in pitch (street_traffic)."""
    count = round(seconds * sample_rate)
    tyres = noise(rng, count, sample_rate, band(600.0, 2200.0, 2))
    engine = tone(glide(rng, (90.0, 120.0), (0.8, 0.85), seconds, sample_rate), sample_rate, (1.0, 0.6, 0.4, 0.3))
    return (tyres + 0.4 * engine) * swell(count, rng.uniform(0.4, 0.6))


def car_horn(rng, seconds, sample_rate):
    """Two reedy tones, 390-430 Hz and a third higher, full of overtones (street_traffic)."""
    hz = np.full(round(seconds * sample_rate), rng.uniform(390.0, 430.0))
    reed = (0.5, 0.7, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3)
    return tone(hz, sample_rate, reed) + tone(1.25 * hz, sample_rate, reed)


def tram_bell(rng, seconds, sample_rate):
    """Foot gong struck three to four times a second, 900-1050 Hz (tram)."""
    hz = rng.uniform(900.0, 1050.0)
    partials = ((1.0, 1.0), (2.41, 0.7), (4.2, 0.3))
    onsets = regular_onsets(rng, seconds, rng.uniform(0.25, 0.33), 0.1)
    return series(onsets, lambda: strike(hz, partials, 0.3, 0.8, sample_rate), seconds, sample_rate)


def rail_squeal(rng, seconds, sample_rate):
    """Wheels in a tight bend: wavering tone of 1.9-2.3 kHz with two harmonics (tram)."""
    hz = glide(rng, (1900.0, 2300.0), (0.95, 1.08), seconds, sample_rate)
    hz = hz * (1.0 + 0.015 * wander(rng, len(hz), sample_rate, 20.0))
    return tone(hz, sample_rate, (1.0, 0.5, 0.4)) * (0.7 + 0.3 * wander(rng, len(hz), sample_rate, 10.0))


# Ambiguous events: each occurs in several classes.


def babble(rng, seconds, sample_rate):
    """Four people talking at once."""
    return sum(rng.uniform(0.5, 1.0) * voice(rng, seconds, sample_rate) for _ in range(4))


def announcement(rng, seconds, sample_rate):
    """One voice through a loudspeaker that passes 400-3400 Hz."""
    return filtered(voice(rng, seconds, sample_rate), sample_rate, band(400.0, 3400.0))


def footsteps(rng, seconds, sample_rate):
    """Soft steps, about two a second, 100-900 Hz."""

    def step():
        return burst(rng, rng.uniform(100.0, 300.0), rng.uniform(500.0, 900.0), 0.025, 0.12, sample_rate)

    return series(regular_onsets(rng, seconds, rng.uniform(0.4, 0.6)), step, seconds, sample_rate)


def object_thud(rng, seconds, sample_rate):
    """Something heavy set down once or twice, 60-700 Hz."""
    onsets = np.append(0.0, rng.uniform(0.1, seconds, rng.integers(2)))
    return series(
        onsets,
        lambda: burst(rng, 60.0, rng.uniform(250.0, 700.0), 0.06, 0.25, sample_rate),
        seconds,
        sample_rate,
    )


def phone_ring(rng, seconds, sample_rate):
    """Warbling telephone, two tones between 0.6 and 3.2 kHz in turn."""
    low_hz = rng.uniform(600.0, 2500.0)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    hz = np.where(np.sin(2.0 * np.pi * 12.0 * t) > 0.0, low_hz, 1.3 * low_hz)
    return tone(hz, sample_rate, (1.0, 0.3))


def distant_car(rng, seconds, sample_rate):
    """A car far away: noise of 90-700 Hz that swells."""
    count = round(seconds * sample_rate)
    return noise(rng, count, sample_rate, band(90.0, rng.uniform(350.0, 700.0), 2)) * swell(count, 0.5)


def passing_tram(rng, seconds, sample_rate):
    """A tram that passes: low rumble, rolling noise and a whine of 300-600 Hz."""
    count = round(seconds * sample_rate)
    rumble = noise(rng, count, sample_rate, band(60.0, 300.0)) + noise(rng, count, sample_rate, band(800.0, 2400.0))
    whine = tone(glide(rng, (300.0, 450.0), (0.9, 1.3), seconds, sample_rate), sample_rate, (1.0, 0.4))
    return (rumble + 0.4 * whine) * swell(count, 0.5)


def wind_gust(rng, seconds, sample_rate):
    """Wind at the microphone: unsteady noise below 120-300 Hz."""
    count = round(seconds * sample_rate)
    gust = noise(rng, count, sample_rate, band(30.0, rng.uniform(120.0, 300.0), 2))
    return gust * (0.6 + 0.4 * wander(rng, count, sample_rate, 8.0)) * swell(count, rng.uniform(0.3, 0.7))


def motor_whine(rng, seconds, sample_rate):
    """Electric drive that speeds up or slows down: harmonics on 180-400 Hz."""
    hz = glide(rng, (180.0, 400.0), (0.6, 1.7), seconds, sample_rate)
    return tone(hz, sample_rate, (1.0, 0.5, 0.6, 0.2, 0.3)) * swell(len(hz), 0.5)


def whistle(rng, seconds, sample_rate):
    """Somebody or something whistles: a bending tone that starts at 0.7-6 kHz."""
    hz = glide(rng, (700.0, 6000.0), (0.8, 1.2), seconds, sample_rate)
    return tone(hz, sample_rate, (1.0, rng.uniform(0.0, 0.3))) * swell(len(hz), rng.uniform(0.2, 0.8))


def clatter(rng, seconds, sample_rate):
    """Crockery, keys or luggage: irregular hard knocks somewhere between 0.5 and 7 kHz."""
    low_hz = np.exp(rng.uniform(np.log(500.0), np.log(4000.0)))
    onsets = rng.uniform(0.0, seconds, max(2, int(rng.uniform(4.0, 14.0) * seconds)))
    decay = rng.uniform(0.01, 0.04)
    return series(onsets, lambda: burst(rng, low_hz, 1.8 * low_hz, decay, 0.15, sample_rate), seconds, sample_rate)


def rustle(rng, seconds, sample_rate):
    """Clothes, bags or leaves: unsteady hiss, from 1-4 kHz upwards."""
    count = round(seconds * sample_rate)
    low_hz = rng.uniform(1000.0, 4000.0)
    hiss = noise(rng, count, sample_rate, band(low_hz, rng.uniform(1.3, 2.0) * low_hz, 2))
    return hiss * (0.55 + 0.45 * wander(rng, count, sample_rate, 9.0)) * swell(count, rng.uniform(0.2, 0.8))


@dataclass(frozen=True)
class EventKind:
    """How an event sounds and how long it may last (seconds)."""

    sound: Callable[[np.random.Generator, float, int], np.ndarray]
    shortest: float
    longest: float

    @property
    def name(self) -> str:
        """The kind as events.csv gives it."""
        return self.sound.__name__


DISTINCT_EVENTS = {
    "airport": (EventKind(paging_gong, 0.7, 1.4), EventKind(suitcase_wheels, 0.5, 1.3)),
    "bus": (EventKind(door_hiss, 0.5, 1.2), EventKind(diesel_rev, 0.7, 1.5)),
    "metro": (EventKind(rail_joints, 0.7, 1.5), EventKind(tunnel_whoosh, 0.7, 1.5)),
    "metro_station": (EventKind(door_chime, 0.6, 1.2), EventKind(brake_squeal, 0.5, 1.3)),
    "park": (EventKind(bird_chirps, 0.3, 1.2), EventKind(pigeon_coo, 0.4, 1.3)),
    "public_square": (EventKind(church_bell, 0.7, 1.5), EventKind(fountain_burst, 0.4, 1.2)),
    "shopping_mall": (EventKind(music_jingle, 0.5, 1.2), EventKind(checkout_beeps, 0.3, 1.2)),
    "street_pedestrian": (EventKind(bicycle_bell, 0.3, 0.9), EventKind(heel_steps, 0.5, 1.3)),
    "street_traffic": (EventKind(car_pass_by, 0.7, 1.5), EventKind(car_horn, 0.3, 1.0)),
    "tram": (EventKind(tram_bell, 0.5, 1.3), EventKind(rail_squeal, 0.5, 1.3)),
}

_BABBLE = EventKind(babble, 0.8, 2.0)
_ANNOUNCEMENT = EventKind(announcement, 0.8, 2.0)
_STEPS = EventKind(footsteps, 0.6, 2.0)
_THUD = EventKind(object_thud, 0.3, 0.8)
_PHONE = EventKind(phone_ring, 0.4, 1.2)
_CAR = EventKind(distant_car, 0.8, 2.0)
_TRAM = EventKind(passing_tram, 1.0, 2.0)
_WIND = EventKind(wind_gust, 0.6, 2.0)
_WHINE = EventKind(motor_whine, 0.8, 2.0)
_WHISTLE = EventKind(whistle, 0.3, 1.5)
_CLATTER = EventKind(clatter, 0.4, 2.0)
_RUSTLE = EventKind(rustle, 0.5, 2.0)
_ANYWHERE = (_BABBLE, _WHISTLE, _CLATTER, _RUSTLE)

AMBIGUOUS_EVENTS = {
    "airport": (*_ANYWHERE, _ANNOUNCEMENT, _STEPS, _THUD, _PHONE),
    "metro_station": (*_ANYWHERE, _ANNOUNCEMENT, _STEPS, _THUD, _PHONE, _WHINE),
    "shopping_mall": (*_ANYWHERE, _ANNOUNCEMENT, _STEPS, _THUD, _PHONE),
    "park": (*_ANYWHERE, _STEPS, _CAR, _WIND),
    "public_square": (*_ANYWHERE, _STEPS, _CAR, _WIND, _TRAM),
    "street_pedestrian": (*_ANYWHERE, _STEPS, _CAR, _WIND, _TRAM),
    "street_traffic": (*_ANYWHERE, _STEPS, _CAR, _WIND, _TRAM),
    "bus": (*_ANYWHERE, _ANNOUNCEMENT, _THUD, _PHONE, _WHINE, _CAR),
    "metro": (*_ANYWHERE, _ANNOUNCEMENT, _THUD, _PHONE, _WHINE),
    "tram": (*_ANYWHERE, _ANNOUNCEMENT, _THUD, _PHONE, _WHINE, _TRAM),
}


def render_event(kind: EventKind, rng: np.random.Generator, seconds: float, sample_rate: int) -> np.ndarray:
    """The event, ``seconds`` long, faded over 5 ms at either end, with an RMS of 1."""
    sound = kind.sound(rng, seconds, sample_rate)
    fade = min(len(sound) // 2, int(0.005 * sample_rate))
    ramp = np.linspace(0.0, 1.0, fade)
    sound[:fade] *= ramp
    sound[len(sound) - fade :] *= ramp[::-1]
    return sound / np.sqrt(np.mean(sound**2))
