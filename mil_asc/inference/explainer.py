"""What classifiers of every runtime share: recordings and waveforms in, scenes out; NumPy only."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mil_asc.audio.decode import check_waveform, fits_memory
from mil_asc.audio.sound_blocks import open_blocks
from mil_asc.errors import ArgumentError, UserError
from mil_asc.inference.recording_scores import REJECTED, RecordingScores, check_rule
from mil_asc.inference.scene import Scene
from mil_asc.inference.waveform import as_batch, as_counts, as_waveform, at_rate
from mil_asc.inference.windows import WindowScores, compute_in_windows
from mil_asc.model.interface import NetworkInterface

if TYPE_CHECKING:
    from mil_asc.packaging.familiarity import Calibration

MOST_REJECTED = 0.2


class Classified(NamedTuple):
    """What ``classify_file`` and ``classify_batch`` return, in the order of SpeechBrain's ``EncoderClassifier``.

    ``out_prob``: (B, C) confidences of the model's rule, 0 to 1 each (SpeechBrain's are log posteriors); ``score``:
    (B,) that of the class decided; ``index``: (B,) its index; ``text_lab``: B class names.
    """

    out_prob: Any
    score: Any
    index: Any
    text_lab: list[str]


class Explainer(ABC):
    """Explains and classifies recordings through ``compute``, which a runtime defines.

    Its methods may be called from several threads at a time, and in a forked process if they compute in one thread.
    """

    interface: NetworkInterface
    calibration: Calibration | None = None
    rejected: float = REJECTED
    metadata: Mapping[str, str] = MappingProxyType({})
    """Of an ONNX file, text by name; empty for others."""

    @abstractmethod
    def compute(self, wav_N: np.ndarray) -> WindowScores:
        """Scores of the instances of (N,) float32 samples, at least ``interface.min_samples``."""

    @abstractmethod
    def spectrogram(self, wav_N: np.ndarray) -> np.ndarray | None:
        """(F, T) log-mel spectrogram of (N,) float32 samples; None if the network takes the waveform itself."""

    # -- scenes

    def explain_file(self, path: str | Path, assumption: str | None = None, name: str | None = None) -> Scene:
        """Classify an audio file, of the formats, rates and lengths that ``mil_asc.audio.decode`` takes.

        A long recording is read and computed in windows: its memory does not grow with its length, except for the
        scores of its instances. ``Scene.timeline`` has a scene for every stretch of it.

        Arguments
        ---------
        path : str or Path
            The file. It must last at least one instance (``interface.min_samples``) and not be silent.
        assumption : str, optional
            The rule that decides the label: ``smi``, ``cmi`` or ``bag`` (the model's pooling); the result has the
            scores under all of them. By default the rule the model was trained for: ``smi``, or ``bag`` where it does
            not pool by maximum.
        name : str, optional
            What the file is called in messages, and whose ending says what ffmpeg decodes; by default the path.

        Returns
        -------
        Scene

        Raises
        ------
        AudioError
            The file is missing, corrupt, empty, silent, too short or too loud.
        UserError
            The scores are not finite.
        """
        check_rule(assumption)
        recording = self.score_file(path, name)
        recording.check_finite(os.fspath(path) if name is None else name)
        return recording.scene(assumption)

    def explain_waveform(self, wav_N: Any, assumption: str | None = None, sample_rate: int | None = None) -> Scene:
        """Classify a mono waveform; returns a ``Scene``.

        ``wav_N`` is a tensor or NumPy array of floating-point samples (N,), (1, N) or (N, 1), linear amplitude with
        full scale 1, at ``sample_rate`` (in Hz; by default the model's rate); anything else raises an
        ``ArgumentError`` (a ``ValueError``) of one line. What ``explain_file`` refuses in a file, such as digital
        silence, is the same ``AudioError`` here.
        """
        check_rule(assumption)
        return self._explain(as_waveform(wav_N), assumption, sample_rate, "waveform")

    def explain_batch(
        self, wavs: Any, wav_lens: Any = None, assumption: str | None = None, sample_rate: int | None = None
    ) -> list[Scene]:
        """A ``Scene`` of each of several waveforms (B, N), or one (N,), as ``explain_waveform`` takes them.

        ``wav_lens`` (B,) are lengths relative to N, as SpeechBrain has them. Each clip is computed by itself: its
        scores are exactly those of ``explain_waveform``. A clip that is refused is named by its position.
        """
        check_rule(assumption)
        wav_BN = as_batch(wavs)
        counts = as_counts(wav_lens, wav_BN)
        return [
            self._explain(wav_N[:count], assumption, sample_rate, f"clip {position} of the batch")
            for position, (wav_N, count) in enumerate(zip(wav_BN, counts))
        ]

    # -- as SpeechBrain's EncoderClassifier

    def classify_file(self, path: str | Path) -> Classified:
        """``explain_file`` as SpeechBrain returns it: ``out_prob, score, index, text_lab`` of a batch of one."""
        return self._classified([self.explain_file(path)])

    def classify_batch(self, wavs: Any, wav_lens: Any = None) -> Classified:
        """``explain_batch`` as SpeechBrain returns it: ``out_prob, score, index, text_lab``; see ``Classified``."""
        return self._classified(self.explain_batch(wavs, wav_lens))

    def _classified(self, scenes: list[Scene]) -> Classified:
        rule = self.interface.rule
        score_BC = np.array([list(scene.scores[rule].values()) for scene in scenes], np.float32)
        labels = [scene.label for scene in scenes]
        index_B = np.array([self.interface.labels.index(label) for label in labels], np.int64)
        return Classified(score_BC, score_BC[np.arange(len(scenes)), index_B], index_B, labels)

    # -- scores

    def score_file(self, path: str | Path, name: str | None = None) -> RecordingScores:
        """Instance scores of an audio file as ``explain_file`` takes it, without any check of the scores."""
        own = self.interface
        with (
            open_blocks(path, own.sample_rate, own.min_seconds, name) as blocks,
            fits_memory(os.fspath(path) if name is None else name),
        ):
            scores = compute_in_windows(blocks, blocks.num_samples, own, self.compute)
            return self._recording(scores, blocks.num_samples)

    def _explain(self, wav_N: np.ndarray, assumption: str | None, sample_rate: int | None, name: str) -> Scene:
        wav_N = at_rate(wav_N, sample_rate, self.interface.sample_rate, name)
        check_waveform(name, wav_N, self.interface.sample_rate, self.interface.min_seconds)
        scores = compute_in_windows([wav_N], len(wav_N), self.interface, self.compute)
        recording = self._recording(scores, len(wav_N))
        recording.check_finite(name)
        return recording.scene(assumption)

    def _recording(self, scores: WindowScores, num_samples: int) -> RecordingScores:
        times_I2 = self.interface.instance_times(len(scores.logits_IC), num_samples)
        return RecordingScores(
            self.interface,
            scores.logits_IC,
            times_I2,
            scores.attention_I,
            scores.traits_IK,
            self.calibration,
            self.rejected,
            num_samples / self.interface.sample_rate,
        )


def check_process(loaded_in: int, threads: int) -> None:
    """Refuse to compute with ``threads`` of a process ``loaded_in`` which this one was forked.

    A fork has none of the threads that its copy of the runtime would wait for.
    """
    if os.getpid() != loaded_in and threads != 1:
        raise UserError("the model was loaded before this process was forked: load it here, or compute in one thread")


def check_rejected(rejected: float | None) -> float:
    """The share of familiar recordings to call unfamiliar, by default ``REJECTED``.

    An ``ArgumentError`` unless it is above 0, up to 0.2.
    """
    if rejected is None:
        return REJECTED
    if isinstance(rejected, bool) or not isinstance(rejected, int | float) or not 0 < rejected <= MOST_REJECTED:
        raise ArgumentError(f"rejected must be a share above 0, at most {MOST_REJECTED}, got {rejected!r:.80}")
    return float(rejected)


def check_rejects(rejected: float | None, calibration: Calibration | None, source: str | Path) -> None:
    """A ``UserError`` if a share to reject is asked of a model that cannot reject, since it has no calibration."""
    if rejected is not None and calibration is None:
        raise UserError(f"{source} has no calibration, so it marks no foreign sound: leave out rejected ({rejected:g})")
