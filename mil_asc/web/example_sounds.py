"""Recordings that the page offers to try: those of a folder, or synthetic ones."""

from __future__ import annotations

import io
import mimetypes
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from mil_asc.errors import UserError, printable

MOST = 12
SECONDS, RATE, SEED, EVENT_SHARE, AMBIGUOUS_SHARE = 10.0, 32000, 7, 0.5, 0.1
SYNTHETIC = 3
ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aac", ".mp4", ".webm")
_RENDERING = threading.Lock()


class Example(NamedTuple):
    """A recording to try: the name of its file, what the page calls it, its media type, and its bytes when asked."""

    name: str
    title: str
    kind: str
    read: Callable[[], bytes]


def examples(folder: Path | None, labels: Sequence[str], max_bytes: int) -> list[Example]:
    """The recordings that a page offers for a model of these classes.

    Arguments
    ---------
    folder : Path, optional
        Its recordings, at most 12, by their names; by default synthetic scenes, of classes of the model if it knows
        any of those, and noise.
    labels : sequence of str
        The model's classes.
    max_bytes : int
        Largest recording of a folder.

    Raises
    ------
    UserError
        The folder is none, or has no recording.
    """
    if folder is None:
        return _synthetic(labels) if find_spec("scipy") is not None else []
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of examples")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    found = [path for path in found if path.stat().st_size <= max_bytes]
    if not found:
        raise UserError(f"{folder} has no recording ({', '.join(ENDINGS)}) within the limit of size")
    return [_of_file(path) for path in found[:MOST]]


def _of_file(path: Path) -> Example:
    name = printable(path.name)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Example(name, printable(path.stem), kind, path.read_bytes)


def _synthetic(labels: Sequence[str]) -> list[Example]:
    from mil_asc.synth.scenes import SCENES

    known = [scene for scene in SCENES if scene in labels] or list(SCENES)
    chosen = known[:: max(len(known) // SYNTHETIC, 1)][:SYNTHETIC]
    found = [
        Example(f"{scene}.wav", f"{scene.replace('_', ' ')} (synthetic)", "audio/wav", partial(_scene, scene))
        for scene in chosen
    ]
    return [*found, Example("pink_noise.wav", "pink noise (no scene)", "audio/wav", _pink_noise)]


@cache
def _scene(scene: str) -> bytes:
    from mil_asc.synth.scenes import PlannedClip, plan_clips, render_clip

    clip: PlannedClip = next(one for one in plan_clips(100, 100)[1] if one.scene == scene)
    with _RENDERING:
        wav_N, _ = render_clip(clip, SEED, SECONDS, RATE, EVENT_SHARE, AMBIGUOUS_SHARE)
    return _wav(wav_N)


@cache
def _pink_noise() -> bytes:
    rng = np.random.default_rng(SEED)
    spectrum_F = np.fft.rfft(rng.standard_normal(round(SECONDS * RATE)))
    spectrum_F[1:] /= np.sqrt(np.arange(1, len(spectrum_F)))
    wav_N = np.fft.irfft(spectrum_F)
    return _wav(0.3 * wav_N / np.abs(wav_N).max())


def _wav(wav_N: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wav_N, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
