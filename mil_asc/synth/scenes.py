"""Synthetic acoustic scenes in the layout of TAU Urban Acoustic Scenes 2019, made from a seed alone.

A clip is a background, typical of its category and only weakly of its class, in which short events stand out.
Distinct events belong to one class; ambiguous events occur in several classes and are as many and as loud.
Every location colours its clips in its own way, and none stands in both the train and the evaluate list.
`events.csv` says when each event sounds and which role it has, which no recorded set does.

Lengths and onsets are in seconds, frequencies in Hz, levels in dB or linear amplitude with full scale 1.
"""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from filelock import FileLock
from scipy import fft, signal
from tqdm import tqdm

from mil_asc.corpora import manifest
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.errors import UserError
from mil_asc.synth import sounds

GENERATOR_VERSION = 1  # raise it when the samples made from a seed change
MARK = "synth_scenes.json"
CITIES = ("arlen", "brume", "corvo", "dunmar", "eskil", "fayre")  # the last occurs in the evaluate list only
DEVICE = "a"
SEGMENTS_PER_LOCATION = 2
LOCATION_SPREAD_DB = 6.0  # standard deviation of a location's colour at each octave
LAYER_SPREAD_DB = 4.0  # standard deviation of the level of a location's crowd, and of its hum
EVENT_SNR_DB = (2.0, 14.0)
FEWEST_CLIPS = 10  # in either list: one a class
_DISTINCT_COUNT_SHARES = (0.2, 0.35, 0.3, 0.15)  # of the clips have one, two, three, four distinct events
_LOCATION_STREAM, _CITY_STREAM = 1, 2  # set the random streams of places apart from those of clips


@dataclass(frozen=True)
class Texture:
    """Background of a class: noise spectrum at sounds.OCTAVES_HZ, crowd and hum level (dB), hum pitch (Hz).

    `gust_db` is the depth of the slow rise and fall of the noise.
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
_GUST_BANDS_HZ = ((10.0, 300.0), (300.0, 1500.0), (1500.0, 1e6))  # the noise swells in each alone
_HUM_HARMONICS = 1.0 / np.arange(1, 9)


@dataclass(frozen=True)
class Clip:
    """One file to make; `index` selects its random stream."""

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
class Event:
    """An event that sounds in [onset, offset) seconds; role is `distinct` or `ambiguous`."""

    onset: float
    offset: float
    kind: sounds.EventKind
    role: str


@dataclass(frozen=True)
class Place:
    """What the clips of a location share: texture, colour (dB at sounds.OCTAVES_HZ), echo, peak amplitude."""

    texture: Texture
    hum_hz: float
    colour_db: np.ndarray
    echo: np.ndarray
    peak: float


# What is recorded where.


def plan_clips(train_clips: int, evaluate_clips: int) -> tuple[list[Clip], list[Clip]]:
    """The train and the evaluate list, balanced over classes; locations are numbered through both."""
    train = _plan_list(train_clips, CITIES[:-1], first_city=0, first_index=0, first_location=0)
    evaluate = _plan_list(
        evaluate_clips,
        CITIES,
        first_city=len(CITIES) - 1,
        first_index=len(train),
        first_location=1 + max(clip.location for clip in train),
    )
    return train, evaluate


def _plan_list(count: int, cities: Sequence[str], first_city: int, first_index: int, first_location: int) -> list[Clip]:
    clips: list[Clip] = []
    location = first_location - 1
    for class_number, scene in enumerate(SCENES):
        share = count // len(SCENES) + (class_number < count % len(SCENES))
        for k in range(share):
            place, segment = divmod(k, SEGMENTS_PER_LOCATION)
            location += segment == 0
            city = cities[(first_city + class_number + place) % len(cities)]
            clips.append(Clip(first_index + len(clips), scene, city, location, segment))
    return clips


def make_place(seed: int, clip: Clip, sample_rate: int) -> Place:
    """The location of a clip, the same for all its segments."""
    rng = np.random.default_rng([seed, clip.location, _LOCATION_STREAM])
    city_rng = np.random.default_rng([seed, CITIES.index(clip.city), _CITY_STREAM])
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
    """Impulse response: the direct sound, then noise that falls by 60 dB in `seconds`.

    The noise has -14 to -4 dB of the energy of the direct sound.
    """
    count = round(seconds * sample_rate)
    tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count)
    tail *= 10.0 ** (rng.uniform(-14.0, -4.0) / 20.0) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], tail])


# A clip.


def render_clip(clip: Clip, seed: int, seconds: float, sample_rate: int) -> tuple[np.ndarray, list[Event]]:
    """Samples of a clip, float64 in (-0.5, 0.5), and its events in the order they sound."""
    place = make_place(seed, clip, sample_rate)
    rng = np.random.default_rng([seed, clip.index])
    background = make_background(rng, place, round(seconds * sample_rate), sample_rate)
    background_power = _band_powers(background, sample_rate) / len(background)
    mix = background.copy()
    events = draw_events(rng, clip.scene, seconds)
    for event in events:
        dry = sounds.render_event(event.kind, rng, event.offset - event.onset, sample_rate)
        gain = _event_gain(dry, background_power, rng.uniform(*EVENT_SNR_DB), sample_rate)
        sounds.add(mix, gain * signal.fftconvolve(dry, place.echo), round(event.onset * sample_rate))
    mix = sounds.filtered(mix, sample_rate, sounds.octave_curve(place.colour_db))
    return mix * place.peak * rng.uniform(0.9, 1.1) / np.max(np.abs(mix)), events


def make_background(rng: np.random.Generator, place: Place, count: int, sample_rate: int) -> np.ndarray:
    """Noise, crowd and hum of a place, before its colour."""
    texture = place.texture
    track = place.hum_hz * (1.0 + 0.06 * sounds.wander(rng, count, sample_rate, 0.4))
    hum = sounds.tone(track, sample_rate, _HUM_HARMONICS)
    background = _linear(texture.hum_db) * hum + _linear(texture.crowd_db) * _crowd(rng, count, sample_rate)
    curve = sounds.octave_curve(np.array(texture.spectrum_db))
    for low_hz, high_hz in _GUST_BANDS_HZ:
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


def draw_events(rng: np.random.Generator, scene: str, seconds: float) -> list[Event]:
    """One to four distinct events and about as many ambiguous ones, none over another, fewer in short clips.

    Onsets and offsets are whole milliseconds.
    """
    most = int(np.clip(seconds * 0.4, 1, 4))
    distinct_count = min(most, rng.choice(4, p=_DISTINCT_COUNT_SHARES) + 1)
    ambiguous_count = rng.integers(distinct_count, distinct_count + 2)
    drawn = [_draw_kind(rng, sounds.DISTINCT_EVENTS[scene], "distinct") for _ in range(distinct_count)]
    drawn += [_draw_kind(rng, sounds.AMBIGUOUS_EVENTS[scene], "ambiguous") for _ in range(ambiguous_count)]
    milliseconds = int(seconds * 1000)
    while sum(length for length, _, _ in drawn) > 0.7 * milliseconds and len(drawn) > 1:
        drawn.pop()
    drawn = [drawn[k] for k in rng.permutation(len(drawn))]
    spare = milliseconds - sum(length for length, _, _ in drawn)
    gaps = np.floor(rng.dirichlet(np.ones(len(drawn) + 1)) * spare).astype(int)
    events, now = [], 0
    for gap, (length, kind, role) in zip(gaps, drawn, strict=False):
        onset = now + int(gap)
        now = onset + length
        events.append(Event(onset / 1000, now / 1000, kind, role))
    return events


def _draw_kind(rng: np.random.Generator, kinds: Sequence[sounds.EventKind], role: str):
    kind = kinds[rng.integers(len(kinds))]
    return round(1000 * rng.uniform(kind.shortest, kind.longest)), kind, role


def _band_powers(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Energy in third-octave bands from 50 Hz to half the sample rate (squared amplitude times samples)."""
    energy = np.abs(fft.rfft(samples)) ** 2 / len(samples)
    edges_hz = 50.0 * 2.0 ** (np.arange(0.0, np.log2(sample_rate / 2 / 50.0), 1.0 / 3.0))
    edges = np.searchsorted(fft.rfftfreq(len(samples), 1.0 / sample_rate), edges_hz)
    return np.add.reduceat(energy, edges)


def _event_gain(event: np.ndarray, background_power: np.ndarray, snr_db: float, sample_rate: int) -> float:
    """Gain that brings an event to `snr_db` over the background.

    The ratio is taken in third-octave bands and averaged with the event's energy as weight, so that
    a whistle in a quiet band needs little amplitude.
    """
    event_power = _band_powers(event, sample_rate) / len(event)
    ratio = np.sum(event_power**2 / background_power) / np.sum(event_power)
    return np.sqrt(10.0 ** (snr_db / 10.0) / ratio)


# The folder.


def generate_synth_scenes(
    folder: str | Path,
    seed: int = 1,
    train_clips: int = 300,
    evaluate_clips: int = 150,
    seconds: float = 10.0,
    sample_rate: int = 16000,
    progress: bool = True,
    workers: int | None = None,
) -> None:
    """Make the set in `folder`: meta.csv, evaluation_setup/, audio/, events.csv and a finish mark.

    A folder that holds the same finished set is left as it is; one that holds anything else is refused.
    The files are written beside `folder` under a hidden name and take its place when all are there.

    Arguments
    ---------
    folder : where the set shall stand.
    seed : 0 or more; the same seed gives the same samples with any number of workers.
    train_clips, evaluate_clips : clips in either list, 10 or more, as even over the ten classes as can be.
    seconds : length of a clip, 2 or more.
    sample_rate : in Hz, 16000 or more.
    progress : whether to show a bar on standard error.
    workers : number of threads; None takes one a processor, at most 8.
    """
    asked = {
        "version": GENERATOR_VERSION,
        "seed": seed,
        "train_clips": train_clips,
        "evaluate_clips": evaluate_clips,
        "seconds": float(seconds),
        "sample_rate": sample_rate,
    }
    _check_parameters(asked)
    target = Path(folder).expanduser().resolve()
    try:
        if _is_finished(target, asked):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not _is_finished(target, asked):
                _write_set(target, asked, progress, workers or min(8, os.cpu_count() or 1))
    except OSError as error:
        raise UserError(f"cannot write synthetic scenes to {target}: {error.strerror or error}") from error


def _check_parameters(asked: dict) -> None:
    lowest = {
        "seed": 0,
        "train_clips": FEWEST_CLIPS,
        "evaluate_clips": FEWEST_CLIPS,
        "seconds": 2.0,
        "sample_rate": sounds.LOWEST_SAMPLE_RATE,
    }
    for name, least in lowest.items():
        if not asked[name] >= least:
            raise UserError(f"synthetic scenes: {name} is {asked[name]}, but must be {least} or more")


def _is_finished(target: Path, asked: dict) -> bool:
    """Whether the set asked for stands at `target`; a UserError if something else does."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        held = json.loads((target / MARK).read_text(encoding="utf-8"))["parameters"]
        differing = [name for name in asked if held.get(name) != asked[name]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{target} is no finished set of synthetic scenes: name a new or empty folder") from None
    if differing:
        raise UserError(
            f"{target} holds synthetic scenes with {_listed(held, differing)}, asked for were "
            f"{_listed(asked, differing)}: name another folder or delete this one"
        )
    train, evaluate = plan_clips(asked["train_clips"], asked["evaluate_clips"])
    missing = [clip.filename for clip in train + evaluate if not (target / clip.filename).is_file()]
    if missing:
        raise UserError(f"{target} has lost {len(missing)} of its files, such as {missing[0]}: delete it")
    return True


def _listed(parameters: dict, names: Iterable[str]) -> str:
    return ", ".join(f"{name}={parameters.get(name)}" for name in names)


def _write_set(target: Path, asked: dict, progress: bool, workers: int) -> None:
    """Write everything under a temporary name, the finish mark last, then move it to `target`."""
    unfinished = target.with_name(f".{target.name}.partial")
    try:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        (unfinished / "audio").mkdir(parents=True)
        train, evaluate = plan_clips(asked["train_clips"], asked["evaluate_clips"])
        write = partial(
            _write_clip,
            unfinished,
            seed=asked["seed"],
            seconds=asked["seconds"],
            sample_rate=asked["sample_rate"],
        )
        events = _write_all(write, train + evaluate, progress, workers)
        _write_tables(unfinished, train, evaluate, events)
        mark = {"generator": "mil_asc.synth.scenes", "parameters": asked, "files": len(train + evaluate)}
        (unfinished / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_all(write, clips: Sequence[Clip], progress: bool, workers: int) -> list[list[Event]]:
    """Call `write` for every clip in threads; the events come back in the order of the clips."""
    executor = ThreadPoolExecutor(workers)
    try:
        done = executor.map(write, clips)
        bar = tqdm(
            done,
            total=len(clips),
            desc="synthetic scenes",
            unit="clip",
            file=sys.stderr,
            disable=not progress,
        )
        return list(bar)
    finally:
        executor.shutdown(cancel_futures=True)


def _write_clip(folder: Path, clip: Clip, seed: int, seconds: float, sample_rate: int) -> list[Event]:
    samples, events = render_clip(clip, seed, seconds, sample_rate)
    wav = io.BytesIO()
    soundfile.write(wav, np.round(samples * 32767.0).astype(np.int16), sample_rate, format="WAV", subtype="PCM_16")
    (folder / clip.filename).write_bytes(wav.getvalue())  # a full disk is an OSError here
    return events


def _write_tables(folder: Path, train: list[Clip], evaluate: list[Clip], events: list[list[Event]]) -> None:
    clips = train + evaluate
    setup = folder / "evaluation_setup"
    setup.mkdir()
    _write_table(
        folder / "meta.csv",
        ("filename", "scene_label", "identifier", "source_label"),
        ((clip.filename, clip.scene, clip.identifier, DEVICE) for clip in clips),
    )
    for name, listed in (("train", train), ("evaluate", evaluate)):
        rows = ((clip.filename, clip.scene) for clip in listed)
        _write_table(setup / f"fold1_{name}.csv", ("filename", "scene_label"), rows)
    _write_table(setup / "fold1_test.csv", ("filename",), ((clip.filename,) for clip in evaluate))
    _write_table(
        folder / "events.csv",
        ("filename", "onset", "offset", "kind", "role"),
        (
            (clip.filename, f"{event.onset:.3f}", f"{event.offset:.3f}", event.kind.name, event.role)
            for clip, heard in zip(clips, events, strict=True)
            for event in heard
        ),
    )


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = ["\t".join(row) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepare_synth_scenes(folder, labels=SCENES, seed=1, train_clips=300, evaluate_clips=150, seconds=10.0):
    """Make the set where it is not there yet, and read it: a ``Corpus`` with the events of every clip.

    Arguments are those of ``generate_synth_scenes``; ``labels`` are the classes in the order of the model's outputs.
    """
    generate_synth_scenes(folder, seed, train_clips, evaluate_clips, seconds)
    corpus = read_dcase_folder(folder, labels)
    corpus.notes.append("the sounds are synthetic: figures tell methods apart, not how real scenes are heard")
    with open(Path(folder) / "events.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            event = manifest.Event(float(row["onset"]), float(row["offset"]), row["kind"], row["role"])
            corpus.events.setdefault(row["filename"], []).append(event)
    return corpus
