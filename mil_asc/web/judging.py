"""What a process of the server does: a recording's bytes in, the JSON of its scene out.

Whoever sends a recording is a stranger: the process may be short of memory or crash over it, without harm to others.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import numpy as np

import mil_asc
from mil_asc.audio.containers import TooLong, UnusableSamples
from mil_asc.audio.sound_blocks import open_blocks
from mil_asc.errors import AudioError, UserError
from mil_asc.inference.explainer import Explainer
from mil_asc.inference.scene import Instances
from mil_asc.presentation.scene_formats import as_dict, audacity_labels, moments
from mil_asc.presentation.spectrogram import Spectrogram, spectrogram
from mil_asc.runtime.held_file import held_file

MOST_PEAKS = 1000
DIGITS = 4


class Upload(NamedTuple):
    """A recording to judge: its bytes, what it is called, and the rule (None: the model's own)."""

    data: bytes
    name: str
    assumption: str | None


class Answer(NamedTuple):
    """Status and JSON body of an answer."""

    status: int
    body: bytes


def refusal(status: int, reason: str) -> Answer:
    """An answer that says in one line why there is no scene."""
    return Answer(status, json.dumps({"error": reason}, ensure_ascii=False).encode())


@dataclass(frozen=True)
class JudgeSetup:
    """Loads the model in a process, and makes the function that judges an ``Upload``; picklable."""

    load: Callable[[], Explainer]
    model: str
    minutes: float
    memory: float

    def __call__(self) -> Callable[[Upload], Answer]:
        """Load the model; the function that judges."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its parent ends it when the recordings in work are done
        explainer = self.load()
        _limit_memory(round(self.memory * 1e9))
        return lambda upload: self._answer(explainer, upload)

    def _answer(self, explainer: Explainer, upload: Upload) -> Answer:
        try:
            return Answer(HTTPStatus.OK, self._judge(explainer, upload))
        except AudioError as error:
            return refusal(_status(error), str(error))
        except UserError as error:
            return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"{upload.name}: {error}")
        except MemoryError:
            return refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{upload.name}: takes more memory than is allowed here"
            )

    def _judge(self, explainer: Explainer, upload: Upload) -> bytes:
        own = explainer.interface
        with held_file(upload.data) as path:
            with open_blocks(path, own.sample_rate, own.min_seconds, upload.name, self.minutes / 60) as blocks:
                wav_N = np.concatenate(list(blocks))
        scene = explainer.explain_waveform(wav_N, upload.assumption)
        duration = len(wav_N) / own.sample_rate
        values = as_dict(scene, upload.name)
        values = {"name": upload.name} | {name: value for name, value in values.items() if name != "path"}
        values |= {
            "duration": round(duration, DIGITS),
            "instances": _instances(scene.instances),
            "moments": [one._asdict() for one in moments(scene)],
            "peaks": _peaks(wav_N),
            "spectrogram": _picture(spectrogram(explainer, wav_N), duration),
            "audacity": audacity_labels(scene),
            "model": self.model,
            "version": mil_asc.__version__,
        }
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode()


def _status(error: AudioError) -> int:
    if isinstance(error.__cause__, TooLong | MemoryError):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error.__cause__, UnusableSamples):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def _instances(found: Instances) -> list[dict[str, Any]]:
    """All instances with the confidence in every class."""
    confidence_IC = found.confidences_IC.round(DIGITS).tolist()
    rows = zip(found.times_I2.round(DIGITS).tolist(), found.winners_I.tolist(), confidence_IC)
    return [
        {
            "start": start,
            "end": end,
            "label": found.labels[winner],
            "confidence": confidence_C[winner],
            "positive": winner == found.decided,
            "scores": dict(zip(found.labels, confidence_C)),
        }
        for (start, end), winner, confidence_C in rows
    ]


def _peaks(wav_N: np.ndarray) -> list[float]:
    """Least and greatest sample of each of at most ``MOST_PEAKS`` columns, in turn."""
    starts = np.unique(np.linspace(0, len(wav_N), min(MOST_PEAKS, len(wav_N)), endpoint=False).astype(np.int64))
    low, high = np.minimum.reduceat(wav_N, starts), np.maximum.reduceat(wav_N, starts)
    return np.stack([low, high], 1).ravel().astype(np.float64).round(DIGITS).tolist()


def _picture(shown: Spectrogram, duration: float) -> dict[str, Any]:
    left, width = shown.extent(duration)
    return {"png": shown.picture(), "left": left, "width": width, "is_mel": shown.is_mel}


def _limit_memory(limit: int) -> None:
    """Let this process take at most ``limit`` bytes more than it has; on Linux, which counts them.

    A file in memory is not counted: what ffmpeg decodes may take as much again.
    """
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    for kind, wanted in ((resource.RLIMIT_AS, taken + limit), (resource.RLIMIT_FSIZE, limit)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
