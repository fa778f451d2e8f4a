"""The page of ``mil-asc explain``: one file of HTML with its pictures and the recording in it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

import numpy as np
import soundfile

import mil_asc
from mil_asc.errors import printable
from mil_asc.inference.scene import UNFAMILIAR, Scene
from mil_asc.presentation.pixels import data_uri, in_colour, narrowed, png
from mil_asc.presentation.scene_formats import Moment, clock, moments
from mil_asc.presentation.spectrogram import MOST_COLUMNS, Spectrogram

TEMPLATE = Path(__file__).with_suffix(".html")
MEL_TITLE = "Log-mel spectrogram"
PLAIN_TITLE = "Spectrogram (the network takes the waveform itself)"
MOST_CLASSES = 40
MOST_MOMENTS = 200
RAMP = ("ffffff", "c6dbef", "6baed6", "2171b5", "08306b")
RULE_TEXTS = {"smi": "SMI", "cmi": "CMI", "bag": "the model's pooling"}


@dataclass(frozen=True)
class Explained:
    """What a page is made of.

    Arguments
    ---------
    name, model : str
        The recording's name, without folders, which a page that is passed on should not tell, and the model's.
    scene : Scene
        That of the whole recording.
    wav_N : numpy.ndarray
        (N,) float32 samples to show, from the beginning of the recording.
    rate : int
        Their rate (in Hz).
    spectrogram : Spectrogram
        That of the samples.
    length : float
        Length of the recording (in seconds).
    """

    name: str
    model: str
    scene: Scene
    wav_N: np.ndarray
    rate: int
    spectrogram: Spectrogram
    length: float

    @property
    def judged(self) -> float:
        """Seconds of what is shown that have instances; what follows is shorter than one."""
        return min(float(self.scene.instances.times_I2[-1, 1]), self.seconds)

    @property
    def seconds(self) -> float:
        """Length of what is shown."""
        return len(self.wav_N) / self.rate


def write_page(shown: Explained) -> str:
    """The text of the page; everything that comes from outside is escaped."""
    scene = shown.scene
    confidence_TC = _frame_confidence(shown)
    decided_T = confidence_TC[:, list(scene.scores["smi"]).index(scene.label)]
    values = {
        "title": escape(printable(f"{scene.label}: {shown.name}")),
        "name": escape(printable(shown.name)),
        "model": escape(printable(shown.model)),
        "version": escape(mil_asc.__version__),
        "label": escape(printable(scene.label)),
        "rule": RULE_TEXTS[scene.assumption],
        "score": f"{scene.scores[scene.assumption][scene.label]:.2f}",
        "chance": _chance(scene),
        "alert": _alert(scene),
        "length": clock(shown.length),
        "part": _part(shown),
        "unjudged": _unjudged_mark(shown),
        "rest": _rest(shown),
        "spectrogram": _spectrogram(shown),
        "mask": _mask(decided_T, shown),
        "picture": "Log-mel spectrogram"
        if shown.spectrogram.is_mel
        else "Spectrogram (the network takes the waveform itself)",
        "classes": _class_rows(scene, confidence_TC, shown),
        "marks": _marks(scene, shown),
        "moments": _moment_buttons(scene, shown),
        "scores": _score_rows(scene),
        "audio": data_uri("audio/flac", _flac(shown)),
        "facts": json.dumps({"seconds": shown.seconds}),
        "seconds": clock(shown.seconds),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def _frame_confidence(shown: Explained) -> np.ndarray:
    """(T, C) confidence of the instance that covers each frame; 0 after the last one."""
    times_I2, confidence_IC = shown.scene.instances.times_I2, shown.scene.instances.confidences_IC
    frames = shown.spectrogram.logmel_FT.shape[1]
    owner_T = np.searchsorted(times_I2[:, 1], np.arange(frames) * shown.spectrogram.hop_seconds)
    padded_IC = np.concatenate([confidence_IC, np.zeros((1, confidence_IC.shape[1]))])
    return padded_IC[np.minimum(owner_T, len(confidence_IC))]


def _flac(shown: Explained) -> bytes:
    """The samples as FLAC, turned down where they go beyond full scale."""
    file = io.BytesIO()
    loudest = max(float(np.abs(shown.wav_N).max()), 1.0)
    soundfile.write(file, shown.wav_N / loudest, shown.rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


# -- pictures


def _image(data: str, shown: Explained, text: str = "") -> str:
    left, width = shown.spectrogram.extent(shown.seconds)
    style = f"left:{100 * left:.4f}%;width:{100 * width:.4f}%"
    return f'<img alt="{escape(text)}" style="{style}" src="{data}">'


def _spectrogram(shown: Explained) -> str:
    return _image(shown.spectrogram.picture(), shown, "time from left to right, frequency upwards")


def _mask(decided_T: np.ndarray, shown: Explained) -> str:
    """Black over the spectrogram, opaque where the confidence is 0: what shines through is their product."""
    alpha_T = ((1 - narrowed(decided_T[None], MOST_COLUMNS)) * 255).round().astype(np.uint8)
    pixel_1TC = np.stack([np.zeros_like(alpha_T), alpha_T], -1)
    return _image(data_uri("image/png", png(pixel_1TC)), shown)


def _class_rows(scene: Scene, confidence_TC: np.ndarray, shown: Explained) -> str:
    """A strip per class, the one decided first, the others by their greatest confidence."""
    labels = list(scene.scores["smi"])
    order = sorted(range(len(labels)), key=lambda c: (labels[c] != scene.label, -scene.scores["smi"][labels[c]]))
    rows = []
    for c in order[:MOST_CLASSES]:
        strip = in_colour(narrowed(confidence_TC[None, :, c], MOST_COLUMNS), RAMP)
        track = _image(data_uri("image/png", png(strip)), shown) + _unjudged_mark(shown)
        name, decided = escape(printable(labels[c])), ' class="decided"' if labels[c] == scene.label else ""
        rows.append(
            f'<div class="row"><span{decided}>{name}</span><div class="track strip">{track}</div>'
            f"<span>{scene.scores['smi'][labels[c]]:.2f}</span></div>"
        )
    if len(order) > MOST_CLASSES:
        rows.append(f'<p class="soft">{len(order) - MOST_CLASSES} classes with less confidence are not shown.</p>')
    return "\n".join(rows)


# -- moments


def _shown_moments(scene: Scene, shown: Explained) -> list[Moment]:
    return [one._replace(end=min(one.end, shown.seconds)) for one in moments(scene) if one.start < shown.seconds]


def _marks(scene: Scene, shown: Explained) -> str:
    parts = []
    for one in _shown_moments(scene, shown):
        left, width = 100 * one.start / shown.seconds, 100 * (one.end - one.start) / shown.seconds
        parts.append(f'<i style="left:{left:.4f}%;width:{width:.4f}%"></i>')
    return "".join(parts)


def _moment_buttons(scene: Scene, shown: Explained) -> str:
    found = sorted(_shown_moments(scene, shown), key=lambda one: -one.confidence)
    if not found:
        return f"<p>No moment is most confident of {escape(printable(scene.label))}.</p>"
    buttons = [
        f'<button type="button" data-start="{one.start:.3f}" data-end="{one.end:.3f}">&#9654; {clock(one.start)} to '
        f"{clock(one.end)} <b>{one.confidence:.2f}</b></button>"
        for one in sorted(found[:MOST_MOMENTS], key=lambda one: one.start)
    ]
    if len(found) > MOST_MOMENTS:
        buttons.append(f'<p class="soft">The {MOST_MOMENTS} most confident of {len(found)}.</p>')
    return "\n".join(buttons)


# -- words


def _chance(scene: Scene) -> str:
    if scene.familiar is False:
        return "No probability that this is correct: it is known for recordings like those of the training data alone."
    if scene.probability is None:
        return "The model has no calibration: its scores are no probabilities, and foreign sound is not marked."
    return (
        f"Calibrated probability that this is correct: {scene.probability:.2f}, for recordings like those of the "
        "training data."
    )


def _alert(scene: Scene) -> str:
    if scene.familiar is not False:
        return ""
    return (
        f'<div class="alert" role="alert"><b>This recording is {UNFAMILIAR}.</b> The model knows its own classes alone '
        f"and names one of them for any sound: the result means little here (score {scene.unfamiliarity:.3g}).</div>"
    )


def _part(shown: Explained) -> str:
    if shown.seconds >= shown.length:
        return ""
    return f"The first {clock(shown.seconds)} are shown and played; the scene is that of the whole recording."


def _unjudged_mark(shown: Explained) -> str:
    """Hatching over the end of a track that no instance covers."""
    if shown.judged >= shown.seconds:
        return ""
    return f'<i class="unjudged" style="left:{100 * shown.judged / shown.seconds:.4f}%"></i>'


def _rest(shown: Explained) -> str:
    if shown.judged >= shown.seconds:
        return ""
    return f"Hatched: the last {shown.seconds - shown.judged:.2f} s are shorter than an instance and were not judged."


def _score_rows(scene: Scene) -> str:
    rows = []
    for label in sorted(scene.scores["smi"], key=lambda label: -scene.scores[scene.assumption][label]):
        cells = "".join(f"<td>{scene.scores[rule][label]:.3f}</td>" for rule in RULE_TEXTS)
        rows.append(f"<tr><th scope=row>{escape(printable(label))}</th>{cells}</tr>")
    return "\n".join(rows)
