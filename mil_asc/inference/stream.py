"""Sound that is still arriving: its instances as soon as their context is there, in bounded memory; NumPy only.

An instance depends on ``context_instances`` of sound on either side of it. Of the samples that have arrived, those
that an instance which is not final may still depend on are kept, and computed anew whenever another instance's sound is
complete. So the stream gives the scores of the whole recording, without any state inside the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from mil_asc.audio.containers import UnusableAudio
from mil_asc.audio.decode import check_length
from mil_asc.checks import check_number
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.inference.explainer import Explainer
from mil_asc.inference.recording_scores import RecordingScores, check_rule
from mil_asc.inference.scene import Scene
from mil_asc.inference.stream_samples import ArrivingSamples, RecentSamples
from mil_asc.inference.waveform import as_rate, as_waveform
from mil_asc.inference.windows import WINDOW_INSTANCES, WindowScores, joined
from mil_asc.mil.bag_logits import sigmoid

MOST_WINDOW_SECONDS = 3600.0
NAME = "the stream"
"""What a stream is called in messages."""
LENGTH_TOLERANCE = 2e-5
"""Logits (relative to the largest, at least 1) that differ by more than rounding does."""

_BY_LENGTH: WeakKeyDictionary[Explainer, bool] = WeakKeyDictionary()


@dataclass(frozen=True)
class StreamedInstance:
    """One stretch of a stream: number ``position``, ``start`` and ``end`` (in seconds), its most confident class.

    ``confidence`` is that class's, and ``scores`` has the confidence of every class (0 to 1). ``final`` is True if all
    that it depends on has arrived; otherwise it is what a recording would give that ended now, and may change.
    """

    position: int
    start: float
    end: float
    label: str
    confidence: float
    scores: dict[str, float]
    final: bool


class StreamingClassifier:
    """Classifies a stream, such as a microphone's, through a loaded classifier.

    The final instances are those that the whole recording has (``Explainer.explain_waveform``), however it is divided
    into chunks: their confidences agree within 1e-5. Each is final ``delay_seconds`` after its end.

    Two extractors (``two_path_resnet``, ``trident_resnet``) pad by the number of frames, so that their first instance
    depends on how long the recording will be. Of these, a stream longer than the context is judged as the recording
    without what follows its last complete instance step; ``judged_seconds`` says how much that is.

    Silence within a stream is judged as within a recording. While every sample so far is zero there is no ``scene``,
    and ``finish`` refuses a stream of nothing else, as ``explain_file`` refuses a silent file.

    One stream is for one thread at a time; many may share a classifier.

    Arguments
    ---------
    explainer : Explainer
        ``SceneClassifier`` or ``OnnxSceneClassifier``.
    window_seconds : float
        Length of the sliding window of ``scene`` (in seconds), above 0, at most 3600.
    sample_rate : int, optional
        Rate of the samples (in Hz), 1000 to 768000; by default the model's.

    Raises
    ------
    UserError
        Every instance of the model depends on the whole recording.
    ArgumentError
        A value is not legal.

    Example
    -------
    >>> from mil_asc.inference.onnx import OnnxSceneClassifier
    >>> classifier = OnnxSceneClassifier.from_hparams("synthscenes-fuse-pnl", threads=1)
    >>> stream = StreamingClassifier(classifier)
    >>> noise_N = 0.1 * np.random.default_rng(0).normal(size=80_000)
    >>> [one.final for one in stream.push(noise_N)]
    [True, True, False, False, False, False, False, False, False]
    >>> len(stream.finish()), stream.scene().end
    (7, 4.576)
    """

    def __init__(self, explainer: Explainer, window_seconds: float = 10.0, sample_rate: int | None = None):
        self.interface = explainer.interface
        context, step = self.interface.context_instances, self.interface.step_samples
        if context is None:
            raise UserError(
                "every instance of this model depends on the whole recording (ResNorm, or an extractor that averages "
                "over time), so it cannot judge a stream: classify complete recordings"
            )
        check_number("window_seconds", window_seconds, above=0)
        if window_seconds > MOST_WINDOW_SECONDS:
            raise ArgumentError(f"window_seconds must be at most {MOST_WINDOW_SECONDS:g}, got {window_seconds!r:.80}")
        self.window_seconds = float(window_seconds)
        self.sample_rate = as_rate(sample_rate, self.interface.sample_rate)
        self._explainer, self._context = explainer, context
        self._arriving = ArrivingSamples(self.sample_rate, self.interface.sample_rate)
        most = max((2 * context + WINDOW_INSTANCES + 1) * step, self.interface.min_samples + step)
        self._recent = RecentSamples(most)
        self._most_kept = math.ceil(self.window_seconds * self.interface.sample_rate / step) + 1
        self._finals = self._finals_kept = self._judged_steps = self._judged = 0
        self._kept: WindowScores | None = None
        self._provisional: WindowScores | None = None
        self._is_finished = False

    @property
    def delay_seconds(self) -> float:
        """From the end of an instance until it is final (in seconds), without the few milliseconds of resampling."""
        samples = self._context * self.interface.step_samples + self.interface.hop_samples / 2
        return samples / self.interface.sample_rate

    @property
    def seconds(self) -> float:
        """Length of the sound so far (in seconds)."""
        return self._arriving.frames / self.sample_rate

    @property
    def judged_seconds(self) -> float:
        """Length of the sound that the latest instances were computed from (in seconds)."""
        return self._judged / self.interface.sample_rate

    @property
    def final_seconds(self) -> float:
        """Up to where instances are final (in seconds)."""
        if self._finals == 0:
            return 0.0
        return float(self.interface.instance_times(1, self._judged, self._finals - 1)[0, 1])

    @property
    def is_silent(self) -> bool:
        """Whether every sample so far is zero."""
        return not self._arriving.has_sound

    @property
    def silent_seconds(self) -> float:
        """Length of the silence (every sample is zero) that the stream begins with (in seconds)."""
        return self._arriving.silent_frames / self.sample_rate

    def push(self, samples: Any) -> list[StreamedInstance]:
        """Take the next samples; the instances that are new or computed anew, in the order of time.

        Arguments
        ---------
        samples : numpy.ndarray, torch.Tensor or sequence of float
            Mono, (n,) of any length, floating-point with full scale 1. A chunk of seconds costs less than many short
            ones: the context is computed again for each instance whose sound becomes complete at the end of a chunk.

        Returns
        -------
        list of StreamedInstance
            Those that became final, each once; then all provisional ones. Nothing where no instance's sound was
            completed.

        Raises
        ------
        AudioError
            Samples are not finite or absurdly large. The stream is as it was before, and may go on.
        UserError
            The scores are not finite.
        ArgumentError
            Another shape or type, or the stream is finished.
        """
        self._check_open()
        wav_n = as_waveform(samples, "samples")
        with _refused():
            self._arriving.check(wav_n)
        found = [one for part_n in self._arriving.parts(wav_n) for one in self._take(part_n)]
        if self._recent.end // self.interface.step_samples > self._judged_steps:
            found += self._judge()
            found += self._instances(self._provisional, self._finals, final=False)
        return found

    def finish(self) -> list[StreamedInstance]:
        """End the stream: all instances that were not final, which are final now.

        Raises
        ------
        AudioError
            The stream is shorter than an instance, or silent (every sample is zero).
        ArgumentError
            It is finished already.
        """
        self._check_open()
        self._is_finished = True
        found = self._take(self._arriving.rest())
        with _refused():
            check_length(self._recent.end / self.interface.sample_rate, self.interface.min_seconds)
            if self.is_silent:
                raise UnusableAudio("silent (every sample is zero)")
        return found + self._judge(is_last=True)

    def scene(self, assumption: str | None = None, provisional: bool = True) -> Scene | None:
        """The scene of the sliding window, which ends with the newest instance.

        Arguments
        ---------
        assumption : str, optional
            ``smi``, ``cmi`` or ``bag``; by default the model's own.
        provisional : bool
            Whether provisional instances count. Without them, the window ends with the newest final instance.

        Returns
        -------
        Scene or None
            As that of a recording, with times of the stream; ``familiar`` judges the window. None while there is no
            such instance, or nothing but zeros so far.
        """
        check_rule(assumption)
        parts = [self._kept, self._provisional if provisional else None]
        there = [part for part in parts if part is not None and len(part.logits_IC)]
        if not there or self.is_silent:
            return None
        scores, first = joined(there), self._finals - self._finals_kept
        times_I2 = self.interface.instance_times(len(scores.logits_IC), self._judged, first)
        within_I = times_I2.mean(1) > times_I2[-1, 1] - self.window_seconds
        start = min(int((~within_I).sum()), len(times_I2) - 1)
        scene = self._recording(scores.part(start, None), times_I2[start:]).scene(assumption)
        return replace(scene, parts=None)

    # -- the network

    def _take(self, part_n: np.ndarray) -> list[StreamedInstance]:
        """Keep samples; the instances that become final where more arrive than are kept."""
        found: list[StreamedInstance] = []
        while len(part_n):
            if self._recent.room == 0:
                found += self._judge()
                if self._recent.room == 0:
                    raise UserError("the network gives fewer instances than its step says: the model is damaged")
            taken, part_n = np.split(part_n, [self._recent.room])
            self._recent.append(taken)
        return found

    def _judge(self, is_last: bool = False) -> list[StreamedInstance]:
        """Compute what is not final; the instances that are final now."""
        step, end = self.interface.step_samples, self._usable()
        self._judged_steps = self._recent.end // step
        wav_N = self._recent.until(end)
        if len(wav_N) < self.interface.min_samples:
            return []
        first = self._recent.begin // step
        scores = self._explainer.compute(wav_N).part(self._finals - first, None)
        self._recording(scores, np.zeros((len(scores.logits_IC), 2))).check_finite(NAME)
        count = len(scores.logits_IC)
        ready = count if is_last else min(max(end // step - self._context - self._finals, 0), count)
        self._judged = end
        new = scores.part(0, ready)
        found = self._instances(new, self._finals, final=True)
        self._finals += ready
        self._kept = (new if self._kept is None else joined([self._kept, new])).part(-self._most_kept, None)
        self._finals_kept = len(self._kept.logits_IC)
        self._provisional = scores.part(ready, None)
        self._recent.drop(max(self._finals - self._context, 0) * step)
        return found

    def _usable(self) -> int:
        """Samples from the beginning of the stream to where it can be judged."""
        end, step = self._recent.end, self.interface.step_samples
        if end // step <= self._context or not pads_by_length(self._explainer):
            return end
        return end - end % step

    def _instances(self, scores: WindowScores | None, first: int, final: bool) -> list[StreamedInstance]:
        if scores is None:
            return []
        labels, confidences_IC = self.interface.labels, sigmoid(scores.logits_IC.astype(np.float64))
        times_I2 = self.interface.instance_times(len(confidences_IC), self._judged, first)
        winners_I = scores.logits_IC.argmax(1)
        found = []
        for position, ((start, end), winner, score_C) in enumerate(
            zip(times_I2.tolist(), winners_I.tolist(), confidences_IC.tolist()), start=first
        ):
            by_class = dict(zip(labels, score_C))
            found.append(StreamedInstance(position, start, end, labels[winner], score_C[winner], by_class, final))
        return found

    def _recording(self, scores: WindowScores, times_I2: np.ndarray) -> RecordingScores:
        own = self._explainer
        rest = (scores.attention_I, scores.traits_IK, own.calibration, own.rejected)
        return RecordingScores(self.interface, scores.logits_IC, times_I2, *rest)

    def _check_open(self) -> None:
        if self._is_finished:
            raise ArgumentError("the stream is finished: make another StreamingClassifier for other sound")


def pads_by_length(explainer: Explainer) -> bool:
    """Whether an early instance depends on the number of samples far behind it; measured once per classifier.

    Such an extractor halves the number of frames, and pads odd and even numbers differently. Between a whole number of
    steps and one frame less than the next, the parity changes in every layer.
    """
    if explainer not in _BY_LENGTH:
        _BY_LENGTH[explainer] = _measure_padding(explainer)
    return _BY_LENGTH[explainer]


def _measure_padding(explainer: Explainer) -> bool:
    own = explainer.interface
    step, hop = own.step_samples, own.hop_samples
    length = max(((own.context_instances or 0) + 2) * step, own.min_samples)
    wav_N = np.random.default_rng(0).normal(scale=0.1, size=length + step).astype(np.float32)
    expected_C, *others = (
        explainer.compute(wav_N[: length + more]).logits_IC[0] for more in (0, step - hop, step // (2 * hop) * hop)
    )
    limit = LENGTH_TOLERANCE * max(1.0, float(np.abs(expected_C).max()))
    return any(float(np.abs(other_C - expected_C).max()) > limit for other_C in others)


class _refused:
    """Turns ``UnusableAudio`` into the ``AudioError`` of a stream."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UnusableAudio):
            raise AudioError(f"{NAME}: {error}") from error
