"""What a packed model knows of its own limits: ``calibration.json``, and what is computed from it; NumPy only.

Two things are kept. A monotone map turns the score of the decided class into the probability that the class is correct.
And a Mahalanobis distance says how far a recording is from clips like the training data: instance vectors are projected
to K/2 directions, and their means over a recording or a window, with the logarithms of their deviations over time, are
compared with the nearest of M class centres. Means of the projections and of their squares, the K traits, are all that
is needed, so that a recording of any length can be streamed. docs/confidence.md explains both.

Shapes: I instances, C classes, D instance dimension, K traits, M centres.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mil_asc.checks import check_count, check_number
from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.interface import RULE_NAMES

Array = NDArray[np.float64]

FORMAT = 1
MOST_BYTES = 2_000_000
MOST_DIMENSIONS, MOST_DIRECTIONS, MOST_CENTRES = 10_000, 256, 10_000
TABLES = ("projection", "offset", "centres", "whitening")
LARGEST = 1e30
"""Bounds of what a file may state; numbers are at most ``LARGEST`` in size."""
LEAST_SHARE, MOST_SHARE = 0.0005, 0.2
"""Shares of clips like the training data that a threshold may reject."""
SCORE_MARGIN = 1e-12
"""Scores are kept this far from 0 and 1 before their logit is taken."""
LEAST_DEVIATION = 1e-3
"""Added to deviations before their logarithm; directions have a deviation of about 1 over clips."""


@dataclass(frozen=True)
class RuleCalibration:
    """How far the score of the decided class can be trusted under one rule.

    Arguments
    ---------
    slope, intercept : float
        The probability is sigmoid(slope * x + intercept), slope >= 0. x is the logit of the score, and under CMI the
        share of votes itself.
    accuracy : float
        Share of the calibration clips that the rule classifies correctly.
    error_before : float
        Expected calibration error of the score itself.
    error_after : float
        That of the probability, of maps that were fitted to other clips (cross-validated).
    """

    slope: float
    intercept: float
    accuracy: float
    error_before: float
    error_after: float

    def __post_init__(self) -> None:
        check_finite_number("slope", self.slope, 0.0, LARGEST)
        check_finite_number("intercept", self.intercept, -LARGEST, LARGEST)
        for name in ("accuracy", "error_before", "error_after"):
            check_finite_number(name, getattr(self, name), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of a model.

    Arguments
    ---------
    rules : dict
        ``RuleCalibration`` by rule: ``smi``, ``cmi`` and ``bag``.
    projection : numpy.ndarray
        (D, K/2) float32 map from instance vectors to their directions.
    offset : numpy.ndarray
        (1, K/2) float32, subtracted from the projected vectors.
    centres : numpy.ndarray
        (M, K) float32 means and log deviations of M classes.
    whitening : numpy.ndarray
        (K, K) float32 map after which differences from a centre have covariance 1.
    counts, scales : list of int, list of float
        Clips of each number of instances have scores that are greater by each scale; counts ascend. Recordings of fewer
        instances are not judged, those of more like the longest.
    shares, thresholds : list of float
        The score that is exceeded by each share of clips like the training data: shares ascend, thresholds descend.
    clips : int
        Clips that all of this was fitted to.
    shortest, longest : float
        Their lengths (in seconds).
    bins : int
        Bins of equal width of the expected calibration errors.

    Raises
    ------
    ArgumentError
        A value of another type or shape, or out of its range.
    """

    rules: dict[str, RuleCalibration]
    projection: NDArray[np.float32]
    offset: NDArray[np.float32]
    centres: NDArray[np.float32]
    whitening: NDArray[np.float32]
    counts: list[int]
    scales: list[float]
    shares: list[float]
    thresholds: list[float]
    clips: int
    shortest: float
    longest: float
    bins: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.rules, dict) or set(self.rules) != set(RULE_NAMES):
            raise ArgumentError(f"rules must be {', '.join(RULE_NAMES)}, got {name_keys(self.rules)}")
        self._check_shapes()
        self._check_scales()
        self._check_table()
        check_count("clips", self.clips)
        check_count("bins", self.bins)
        check_number("shortest", self.shortest, above=0)
        check_number("longest", self.longest, least=self.shortest)

    def _check_shapes(self) -> None:
        for name in TABLES:
            table = getattr(self, name)
            if table.ndim != 2 or 0 in table.shape or not (np.abs(table) <= LARGEST).all():
                raise ArgumentError(f"{name} must be a table of finite numbers, got shape {table.shape}")
        dimensions, directions = self.projection.shape
        if dimensions > MOST_DIMENSIONS or directions > MOST_DIRECTIONS or len(self.centres) > MOST_CENTRES:
            raise ArgumentError(
                f"projection must be at most {MOST_DIMENSIONS} x {MOST_DIRECTIONS} and centres at most {MOST_CENTRES}, "
                f"got {dimensions} x {directions} and {len(self.centres)}"
            )
        traits = 2 * directions
        legal = {"offset": (1, directions), "centres": (len(self.centres), traits), "whitening": (traits, traits)}
        for name, shape in legal.items():
            if getattr(self, name).shape != shape:
                raise ArgumentError(f"{name} must be {shape} as projection is, got {getattr(self, name).shape}")

    def _check_scales(self) -> None:
        for count in self.counts:
            check_count("counts", count, least=2)
        for scale in self.scales:
            check_finite_number("scales", scale, 1 / LARGEST, LARGEST)
        rising = all(low < high for low, high in zip(self.counts, self.counts[1:]))
        if not 1 <= len(self.counts) <= 1000 or len(self.scales) != len(self.counts) or not rising:
            raise ArgumentError("counts and scales must be 1 to 1000 numbers each, and counts ascend from 2 up")

    def _check_table(self) -> None:
        for share in self.shares:
            check_finite_number("shares", share, 1 / LARGEST, 1.0)
        for threshold in self.thresholds:
            check_finite_number("thresholds", threshold, 0.0, LARGEST)
        if not 2 <= len(self.shares) <= 1000 or len(self.thresholds) != len(self.shares):
            raise ArgumentError(
                f"shares and thresholds must be 2 to 1000 numbers each, got {len(self.shares)} and "
                f"{len(self.thresholds)}"
            )
        rising = all(low < high for low, high in zip(self.shares, self.shares[1:]))
        falling = all(high >= low for high, low in zip(self.thresholds, self.thresholds[1:]))
        if not (rising and falling and self.shares[0] <= LEAST_SHARE and self.shares[-1] >= MOST_SHARE):
            raise ArgumentError(
                f"shares must ascend from {LEAST_SHARE} or less to {MOST_SHARE} or more, and thresholds descend"
            )

    # -- the decided class

    def confidence(self, rule: str, score: float) -> float:
        """Probability that the decided class is correct, 0 to 1; it never falls as the score rises.

        Arguments
        ---------
        rule : str
            The rule that decided: ``smi``, ``cmi`` or ``bag``.
        score : float
            The rule's score of the decided class, 0 to 1.

        Raises
        ------
        ArgumentError
            There is no such rule, or the score is not between 0 and 1.
        """
        if rule not in RULE_NAMES:
            raise ArgumentError(f"unknown rule {rule!r:.80}; legal: {', '.join(RULE_NAMES)}")
        check_finite_number("score", score, 0.0, 1.0)
        own = self.rules[rule]
        z = own.slope * float(score_feature(rule, np.float64(score))) + own.intercept
        return math.exp(-np.logaddexp(0.0, -z))

    # -- foreign sound

    def traits(self, logits_IC: NDArray[Any], vector_ID: NDArray[Any]) -> NDArray[np.float32]:
        """(I, K) float32 traits of instances, of which ``score`` takes the mean over a recording or a window.

        Arguments
        ---------
        logits_IC : numpy.ndarray
            (I, C) instance logits; this distance does not use them.
        vector_ID : numpy.ndarray
            (I, D) instance vectors.

        Raises
        ------
        ArgumentError
            The vectors have another number of dimensions.
        """
        del logits_IC
        vector_ID = np.asarray(vector_ID, np.float32)
        if vector_ID.ndim != 2 or vector_ID.shape[1] != len(self.projection):
            raise ArgumentError(
                f"vectors must be (I, {len(self.projection)}) as the calibration is, got {vector_ID.shape}"
            )
        direction_IK = vector_ID @ self.projection - self.offset
        return np.concatenate([direction_IK, np.square(direction_IK)], axis=1)

    def score(self, mean_K: NDArray[Any], instances: int | None = None) -> float:
        """How foreign a recording is, 0 or more, from the mean of its instances' traits; about 1 is typical.

        Arguments
        ---------
        mean_K : numpy.ndarray
            (K,) mean of ``traits`` over the recording or window.
        instances : int, optional
            Number of its instances: deviations over fewer instances scatter more, which is allowed for. Default: as
            many as the clips that the calibration was fitted to.

        Raises
        ------
        ArgumentError
            The traits have another shape.
        """
        mean_K = np.asarray(mean_K, np.float64)
        if mean_K.shape != self.centres.shape[1:]:
            raise ArgumentError(f"traits must be ({self.centres.shape[1]},), got {mean_K.shape}")
        difference_MK = summary(mean_K) - self.centres
        square_M = np.square(difference_MK @ self.whitening.astype(np.float64)).mean(1)
        return float(np.sqrt(square_M.min())) / self._scale(instances)

    def _scale(self, instances: int | None) -> float:
        if instances is None:
            return 1.0
        return float(np.interp(math.log(max(instances, 1)), np.log(self.counts), self.scales))

    def threshold(self, rejected: float = 0.01) -> float:
        """The score that a share ``rejected`` (0.0005 to 0.2) of clips like the training data exceeds."""
        check_finite_number("rejected", rejected, LEAST_SHARE, MOST_SHARE)
        return float(np.interp(math.log(rejected), np.log(self.shares), self.thresholds))

    def familiar(self, mean_K: NDArray[Any], rejected: float = 0.01, instances: int | None = None) -> bool | None:
        """Whether a recording's score is within the threshold that rejects a share ``rejected`` of familiar clips.

        None for recordings of fewer instances than the calibration covers, which have no deviation over time.
        """
        if instances is not None and instances < self.counts[0]:
            return None
        return self.score(mean_K, instances) <= self.threshold(rejected)

    # -- the file

    def to_json(self) -> str:
        """The text of ``calibration.json``; numbers have the precision of float32."""
        content = {
            "format": FORMAT,
            "rules": {rule: {one.name: brief(getattr(own, one.name)) for one in fields(own)}
                      for rule, own in self.rules.items()},
            **{name: [[brief(number) for number in row] for row in getattr(self, name)] for name in TABLES},
            "counts": self.counts,
            "scales": [brief(scale) for scale in self.scales],
            "shares": [brief(share) for share in self.shares],
            "thresholds": [brief(threshold) for threshold in self.thresholds],
            "clips": self.clips,
            "shortest": self.shortest,
            "longest": self.longest,
            "bins": self.bins,
        }  # fmt: skip
        return json.dumps(content, separators=(",", ":")) + "\n"

    def check_fits(self, dimensions: int) -> None:
        """Refuse a network whose instance vectors have another number of ``dimensions`` (``UserError``)."""
        if len(self.projection) != dimensions:
            own = len(self.projection)
            raise UserError(f"the calibration is of vectors of {own} dimensions, the network gives {dimensions}")

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """The calibration of a file's text.

        Raises
        ------
        UserError
            The text is too long, no JSON, of another format, or has a key or a value that is not legal.
        """
        try:
            return cls._of(_parse(text))
        except ArgumentError as error:
            raise UserError(f"the calibration is damaged: {error}") from error

    @classmethod
    def _of(cls, content: Any) -> Calibration:
        check_keys("the calibration", content, {"format"} | {one.name for one in fields(cls)})
        if type(content["format"]) is not int or content["format"] != FORMAT:
            raise ArgumentError(f"format must be {FORMAT}, got {content['format']!r:.80}")
        check_keys("rules", content["rules"], set(RULE_NAMES))
        rules = {}
        for rule in RULE_NAMES:
            check_keys(f"rules of {rule}", content["rules"][rule], {one.name for one in fields(RuleCalibration)})
            rules[rule] = RuleCalibration(**content["rules"][rule])
        for name in ("counts", "scales", "shares", "thresholds"):
            if not isinstance(content[name], list):
                raise ArgumentError(f"{name} must be a list, got {content[name]!r:.80}")
        tables = {name: _table(name, content[name]) for name in TABLES}
        rest = {name: value for name, value in content.items() if name != "format"}
        return cls(**rest | tables | {"rules": rules})


def summary(mean_K: NDArray[Any]) -> Array:
    """(..., K) means and log deviations of directions, from the means of them and of their squares."""
    mean_K, square_K = np.split(np.asarray(mean_K, np.float64), 2, axis=-1)
    variance_K = np.maximum(square_K - np.square(mean_K), 0.0)
    return np.concatenate([mean_K, np.log(np.sqrt(variance_K) + LEAST_DEVIATION)], axis=-1)


def score_feature(rule: str, score: Any) -> Any:
    """What the map to a probability takes: the logit of a score (float64, any shape), and of votes their share."""
    if rule == "cmi":
        return score
    kept = np.clip(score, SCORE_MARGIN, 1 - SCORE_MARGIN)
    return np.log(kept) - np.log1p(-kept)


def brief(number: float) -> float:
    """A number rounded to the precision of float32, with the fewest digits."""
    return float(np.format_float_scientific(np.float32(number), unique=True))


def check_finite_number(name: str, value: Any, least: float, most: float) -> None:
    """Accept only numbers from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ArgumentError(f"{name} must be a number from {least:g} to {most:g}, got {value!r:.80}")


def check_keys(name: str, content: Any, legal: set[str]) -> None:
    """Accept only a dictionary with exactly these keys."""
    if not isinstance(content, dict) or set(content) != legal:
        raise ArgumentError(f"{name} must have the keys {', '.join(sorted(legal))}, got {name_keys(content)}")


def name_keys(content: Any) -> str:
    """The keys of a dictionary, or the type of anything else, in a few words."""
    if not isinstance(content, dict):
        return type(content).__name__
    return f"{', '.join(sorted(map(str, content))):.200}" or "none"


def _parse(text: str) -> Any:
    """JSON without repeated keys, NaN or infinity."""
    if not isinstance(text, str) or len(text) > MOST_BYTES:
        raise ArgumentError(f"it must be text of at most {MOST_BYTES} characters")
    try:
        return json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_no_constant, parse_int=_whole)
    except RecursionError as error:
        raise ArgumentError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ArgumentError(f"it is not JSON ({error.msg}, line {error.lineno})") from error


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ArgumentError("a key is repeated")
    return content


def _no_constant(name: str) -> Any:
    raise ArgumentError(f"numbers must be finite, got {name}")


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ArgumentError(f"numbers must be short, got {digits:.20}...")
    return int(digits)


def _table(name: str, rows: Any) -> NDArray[np.float32]:
    """float32 table of lists of numbers, of equal lengths."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        raise ArgumentError(f"{name} must be a list of rows of one length")
    for row in rows:
        for number in row:
            check_finite_number(name, number, -LARGEST, LARGEST)
    return np.array(rows, np.float32).reshape(len(rows), len(rows[0]) if rows else 0)
