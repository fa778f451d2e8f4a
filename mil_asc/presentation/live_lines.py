"""The lines of ``mil-asc live``, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mil_asc.errors import printable
from mil_asc.inference.scene import UNFAMILIAR, Scene
from mil_asc.inference.stream import StreamedInstance, StreamingClassifier
from mil_asc.presentation.scene_formats import clock

DIGITS = 6


class FinalCounts:
    """How often each class was the most confident one, over the final instances of a stream.

    Instances of the silence that it begins with have no scene, as the stream has none then, and are counted apart.

    Attributes
    ----------
    by_label : collections.Counter
        Class -> instances.
    silent : int
        Instances without any sound.
    """

    def __init__(self, stream: StreamingClassifier):
        self._stream, self.silent = stream, 0
        self.by_label: Counter[str] = Counter()

    def add(self, found: Sequence[StreamedInstance]) -> None:
        """Count what ``push`` or ``finish`` gave; instances that are not final yet come again."""
        for one in found:
            if one.final and one.end <= self._stream.silent_seconds:
                self.silent += 1
            elif one.final:
                self.by_label[one.label] += 1

    @property
    def total(self) -> int:
        """All final instances."""
        return self.by_label.total() + self.silent


class TextLines:
    """A table: time, final scene of the window, its scores, and the newest instance with a question mark."""

    def __init__(self, stream: StreamingClassifier, rule: str):
        self._stream, self._rule = stream, rule
        self._width = max(5, *(len(printable(label)) for label in stream.interface.labels))
        self._newest: StreamedInstance | None = None

    def begin(self, name: str) -> str:
        """What is heard, the delay, and the columns."""
        window, delay = self._stream.window_seconds, self._stream.delay_seconds
        said = (
            f"{printable(name)}; scenes of {window:g} s by {self._rule.upper()}; "
            f"final after {delay:.2f} s, before that provisional (?)"
        )
        return f"{said}\n{'time':>10}  {'scene':{self._width}}   SMI   CMI  P(correct)  newest"

    def line(self, found: Sequence[StreamedInstance], final: Scene | None, running: Scene | None) -> str:
        """A second: ``final`` counts final instances alone; ``running`` is not shown here."""
        self._newest = found[-1] if found else self._newest
        time = clock(self._stream.seconds)
        if self._stream.is_silent:
            return f"{time:>10}  silent (every sample is zero)"
        front = f"{time:>10}  {'-':{self._width}}     -     -           -"
        if final is not None:
            scores = [final.scores[rule][final.label] for rule in ("smi", "cmi")]
            chance = "-" if final.probability is None else f"{final.probability:.2f}"
            label = printable(final.label)
            front = f"{time:>10}  {label:{self._width}}  {scores[0]:4.2f}  {scores[1]:4.2f}  {chance:>10}"
        mark = f"  ({UNFAMILIAR})" if final is not None and final.familiar is False else ""
        return f"{front}  {_newest(self._newest)}{mark}"

    def summary(self, counts: FinalCounts) -> str:
        """How often each class was the most confident one, over all final instances."""
        parts = [f"{printable(label)} {count}" for label, count in counts.by_label.most_common()]
        parts += [f"silent {counts.silent}"] if counts.silent else []
        rest = self._stream.seconds - self._stream.final_seconds
        left = f"; the last {rest:.2f} s are not final" if rest > self._stream.delay_seconds / 2 else ""
        return f"{clock(self._stream.seconds)}: {counts.total} instances: {', '.join(parts) or 'none'}{left}"


def _newest(one: StreamedInstance | None) -> str:
    if one is None:
        return "-"
    return f"{printable(one.label)}{'' if one.final else '?'} {one.confidence:.2f}"


class JsonLines:
    """An object per line; ``event`` is ``begin``, ``second`` or ``end``."""

    def __init__(self, stream: StreamingClassifier, rule: str):
        self._stream, self._rule = stream, rule

    def begin(self, name: str) -> str:
        """What is heard, and the settings."""
        own = self._stream
        return _json(
            event="begin",
            source=printable(name),
            labels=list(own.interface.labels),
            assumption=self._rule,
            window=own.window_seconds,
            delay=round(own.delay_seconds, DIGITS),
        )

    def line(self, found: Sequence[StreamedInstance], final: Scene | None, running: Scene | None) -> str:
        """A second: the scene of final instances, that of provisional ones too, and the instances that are new."""
        own = self._stream
        return _json(
            event="second",
            time=round(own.seconds, DIGITS),
            final_until=round(own.final_seconds, DIGITS),
            silent=own.is_silent,
            final=_scene(final),
            running=_scene(running),
            instances=[_instance(one) for one in found],
        )

    def summary(self, counts: FinalCounts) -> str:
        """How often each class was the most confident one, over all final instances."""
        return _json(
            event="end",
            time=round(self._stream.seconds, DIGITS),
            final_until=round(self._stream.final_seconds, DIGITS),
            counts=dict(counts.by_label),
            silent_instances=counts.silent,
        )


def _json(**values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _instance(one: StreamedInstance) -> dict[str, Any]:
    values = asdict(one) | {"scores": _rounded(one.scores)}
    return values | {name: round(values[name], DIGITS) for name in ("start", "end", "confidence")}


def _scene(scene: Scene | None) -> dict[str, Any] | None:
    if scene is None:
        return None
    return {
        "label": scene.label,
        "start": round(scene.start, DIGITS),
        "end": round(scene.end, DIGITS),
        "probability": None if scene.probability is None else round(scene.probability, DIGITS),
        "familiar": scene.familiar,
        "unfamiliarity": None if scene.unfamiliarity is None else round(scene.unfamiliarity, DIGITS),
        "scores": {rule: _rounded(scores) for rule, scores in scene.scores.items()},
    }


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {label: round(float(score), DIGITS) for label, score in scores.items()}
