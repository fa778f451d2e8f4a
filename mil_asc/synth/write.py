"""The folder of a set of synthetic scenes, in the layout of TAU Urban Acoustic Scenes 2019, made from a seed alone.

``events.csv`` says when each event sounds and which role it has, which no recorded set does.
"""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from filelock import FileLock
from tqdm import tqdm

from mil_asc.checks import check_count, check_number
from mil_asc.corpora import manifest
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.errors import ArgumentError, UserError
from mil_asc.runtime.files import size_text
from mil_asc.synth import sounds
from mil_asc.synth.event_table import read_events
from mil_asc.synth.placement import PlacedEvent
from mil_asc.synth.scenes import DEVICE, SCENES, PlannedClip, plan_clips, render_clip

GENERATOR_VERSION = 2  # raise it when the samples made from a seed change
MARK = "synth_scenes.json"
SAMPLE_BYTES = 2
FEWEST_CLIPS = 10  # in either list: one per class
EVENT_SHARE = 0.5
AMBIGUOUS_SHARE = 0.3
LARGEST_SHARE = 0.9  # of a clip covered by the events of a role, on average
LEAST_COVERED = 0.5  # seconds, on average: shorter events could not be told from each other


def generate_synth_scenes(
    folder: str | Path,
    seed: int = 1,
    train_clips: int = 300,
    evaluate_clips: int = 150,
    seconds: float = 10.0,
    event_share: float = EVENT_SHARE,
    ambiguous_share: float = AMBIGUOUS_SHARE,
    sample_rate: int = 16000,
    progress: bool = True,
    workers: int | None = None,
) -> None:
    """Make the set in ``folder``: meta.csv, evaluation_setup/, audio/, events.csv and a finish mark.

    A folder that holds the same finished set is left unchanged; one that holds anything else is refused.
    The files are written beside ``folder`` under a hidden name and take its place when all of them are complete.

    Arguments
    ---------
    folder : str or Path
        Folder of the set.
    seed : int
        0 or more; the same seed gives the same samples with any number of workers.
    train_clips, evaluate_clips : int
        Clips in either list, 10 or more, spread over the ten classes as evenly as possible.
    seconds : float
        Length of a clip (in seconds), 2 or more.
    event_share : float
        Mean share of a clip that the distinct events of its class cover: 0.05 to 0.9, and 0.5 seconds or more.
    ambiguous_share : float
        The same for events that occur in several classes, or 0 for none of them.
    sample_rate : int
        Rate of the files (in Hz), 16000 or more.
    progress : bool
        Whether to show a bar on standard error.
    workers : int, optional
        Number of threads; by default one per processor, at most 8.

    Raises
    ------
    ArgumentError
        A value that is not legal.
    UserError
        A folder that holds something else, or a set that lost files; a folder that cannot be
        written.
    """
    asked = {
        "version": GENERATOR_VERSION,
        "seed": seed,
        "train_clips": train_clips,
        "evaluate_clips": evaluate_clips,
        "seconds": seconds,
        "event_share": event_share,
        "ambiguous_share": ambiguous_share,
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
                _check_space(target.parent, asked)
                _write_set(target, asked, progress, workers or min(8, os.cpu_count() or 1))
    except OSError as error:
        raise UserError(f"cannot write synthetic scenes to {target}: {error.strerror or error}") from error


def _check_parameters(asked: dict) -> None:
    check_count("seed", asked["seed"], least=0)
    check_count("train_clips", asked["train_clips"], least=FEWEST_CLIPS)
    check_count("evaluate_clips", asked["evaluate_clips"], least=FEWEST_CLIPS)
    check_count("sample_rate", asked["sample_rate"], least=sounds.LOWEST_SAMPLE_RATE)
    check_number("seconds", asked["seconds"], least=2)
    for name, least in (("event_share", 0.05), ("ambiguous_share", 0.0)):
        share, seconds = asked[name], asked["seconds"]
        check_number(name, share, least=least)
        if share > LARGEST_SHARE:
            raise ArgumentError(f"{name} must be {LARGEST_SHARE:g} at most, got {share!r}")
        if 0 < share * seconds < LEAST_COVERED:
            raise ArgumentError(
                f"{name} must be {LEAST_COVERED / seconds:g} or more in clips of {seconds:g} s, got {share!r}"
            )


def _check_space(folder: Path, asked: dict) -> None:
    """Raise a ``UserError`` if the recordings would fill the disk of ``folder``."""
    clips = asked["train_clips"] + asked["evaluate_clips"]
    needed, free = clips * asked["seconds"] * asked["sample_rate"] * SAMPLE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {clips} synthetic scenes of {asked['seconds']:g} s need {size_text(needed)}, "
            f"{size_text(free)} are free: make fewer or shorter ones"
        )


def _is_finished(target: Path, asked: dict) -> bool:
    """Whether ``target`` holds the requested set; a ``UserError`` if it holds something else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        held = json.loads((target / MARK).read_text(encoding="utf-8"))["parameters"]
        differing = [name for name in asked if held.get(name) != asked[name]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{target} is not a finished set of synthetic scenes: name a new or empty folder") from None
    if "version" in differing:
        raise UserError(
            f"{target} holds synthetic scenes of generator version {held.get('version')}; this is version "
            f"{GENERATOR_VERSION}, whose scenes are different: name another folder or delete this one"
        )
    if differing:
        raise UserError(
            f"{target} holds synthetic scenes with {_listed(held, differing)}, requested were "
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
    """Write everything under a temporary name, the finish mark last, then move it to ``target``."""
    unfinished = target.with_name(f".{target.name}.partial")
    try:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        (unfinished / "audio").mkdir(parents=True)
        train, evaluate = plan_clips(asked["train_clips"], asked["evaluate_clips"])
        write = partial(
            _write_clip,
            unfinished,
            **{name: asked[name] for name in ("seed", "seconds", "sample_rate", "event_share", "ambiguous_share")},
        )
        events = _write_all(write, train + evaluate, progress, workers)
        _write_tables(unfinished, train, evaluate, events)
        mark = {"generator": "mil_asc.synth.scenes", "parameters": asked, "files": len(train + evaluate)}
        (unfinished / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_all(write: Callable, clips: Sequence[PlannedClip], progress: bool, workers: int) -> list[list[PlacedEvent]]:
    """Call ``write`` for every clip in threads; the events come back in the order of the clips."""
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


def _write_clip(folder: Path, clip: PlannedClip, sample_rate: int, **parameters) -> list[PlacedEvent]:
    samples, events = render_clip(clip, sample_rate=sample_rate, **parameters)
    wav = io.BytesIO()
    soundfile.write(wav, np.round(samples * 32767.0).astype(np.int16), sample_rate, format="WAV", subtype="PCM_16")
    (folder / clip.filename).write_bytes(wav.getvalue())  # a full disk is an OSError here
    return events


def _write_tables(
    folder: Path, train: list[PlannedClip], evaluate: list[PlannedClip], events: list[list[PlacedEvent]]
) -> None:
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
            for clip, own in zip(clips, events, strict=True)
            for event in own
        ),
    )


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = ["\t".join(row) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepare_synth_scenes(
    folder: str | Path,
    labels: Sequence[str] = SCENES,
    seed: int = 1,
    train_clips: int = 300,
    evaluate_clips: int = 150,
    seconds: float = 10.0,
    event_share: float = EVENT_SHARE,
    ambiguous_share: float = AMBIGUOUS_SHARE,
) -> manifest.Corpus:
    """Make the set where it is missing, and read its lists and the events of every clip.

    Arguments
    ---------
    folder, seed, train_clips, evaluate_clips, seconds, event_share, ambiguous_share
        As ``generate_synth_scenes`` takes them.
    labels : sequence of str
        The classes, in the order of the model's outputs.

    Returns
    -------
    Corpus
    """
    generate_synth_scenes(folder, seed, train_clips, evaluate_clips, seconds, event_share, ambiguous_share)
    corpus = read_dcase_folder(folder, labels)
    corpus.notes.append("the sounds are synthetic: scores compare methods, they say little about real recordings")
    corpus.events = read_events(Path(folder) / "events.csv", corpus.clips, seconds)
    return corpus
