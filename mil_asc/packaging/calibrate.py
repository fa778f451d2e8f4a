"""Fit the calibration of a model to clips that it was never trained on.

Nothing here is random. Shapes: B clips, I instances, C classes, D instance dimension, K traits, M centres, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from mil_asc.errors import ArgumentError, UserError
from mil_asc.mil.verdicts import judge
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.interface import RULE_NAMES
from mil_asc.packaging.familiarity import (
    LEAST_SHARE,
    MOST_SHARE,
    Array,
    Calibration,
    RuleCalibration,
    brief,
    score_feature,
    summary,
)

LEAST_CLIPS = 500
"""Fewer clips say too little: the 1 % threshold would rest on less than five."""
FOLDS = 20
"""Of the cross-validation. With five, distances fitted to four fifths of the clips made the thresholds too high."""
BINS = 10
VARYING = 16
"""Directions along which clips vary most, beside one fewer than there are classes."""
COUNTS = (2, 3, 4, 6, 9, 13)
"""Numbers of instances for which shorter recordings are compared with clips cut to them."""
RIDGE = 1e-3
"""Share of the mean variance that is added to every direction."""
TAIL_SHARE = 0.05
"""The greatest scores, of which clips are few."""
SCALE_SHARE = 0.02
"""Scores of short recordings are scaled so that this share exceeds the same threshold."""
TABLE_SHARES = 40
NEWTON_STEPS = 100


class TooFewClips(UserError):
    """There are fewer than ``LEAST_CLIPS`` clips for a calibration."""


# -- the probability of the decided class


def expected_calibration_error(probability_B: Array, correct_B: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean over clips of |share of correct clips - mean probability| of their bin; bins have equal widths.

    Example
    -------
    >>> expected_calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False]))
    0.15
    """
    bin_B = np.minimum((np.asarray(probability_B) * bins).astype(int), bins - 1)
    gap_N = np.bincount(bin_B, weights=np.asarray(correct_B, float) - probability_B, minlength=bins)
    return round(float(np.abs(gap_N).sum() / len(bin_B)), 12)


def fit_map(feature_B: Array, correct_B: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope (>= 0) and intercept of Platt's map from a feature to the probability of being correct.

    Platt's targets, (n + 1) / (n + 2) and 1 / (m + 2) for n correct and m other clips, keep it finite where the classes
    are separable. Where a falling map would fit better, the slope is 0.
    """
    hits = int(correct_B.sum())
    target_B = np.where(correct_B, (hits + 1) / (hits + 2), 1 / (len(correct_B) - hits + 2))
    scale = max(float(feature_B.std()), 1e-9)
    centre = float(feature_B.mean())
    x_B2 = np.stack([(feature_B - centre) / scale, np.ones(len(feature_B))], axis=1)
    weight_2 = _logistic(x_B2, target_B)
    if weight_2[0] < 0:
        weight_2 = np.array([0.0, _logistic(x_B2[:, 1:], target_B)[0]])
    slope = weight_2[0] / scale
    return float(slope), float(weight_2[1] - slope * centre)


def _logistic(x_BF: Array, target_B: Array) -> Array:
    """Weights (F,) of the least cross-entropy by Newton's method, with halved steps where it would rise."""

    def loss(weight_F: Array) -> float:
        z_B = x_BF @ weight_F
        return float((np.logaddexp(0, z_B) - target_B * z_B).sum() + 1e-6 * weight_F @ weight_F)

    weight_F = np.zeros(x_BF.shape[1])
    for _ in range(NEWTON_STEPS):
        p_B = 1 / (1 + np.exp(-x_BF @ weight_F))
        slope_F = x_BF.T @ (p_B - target_B) + 2e-6 * weight_F
        curve_FF = (x_BF * (p_B * (1 - p_B))[:, None]).T @ x_BF + 2e-6 * np.eye(len(weight_F))
        step_F = np.linalg.solve(curve_FF, slope_F)
        while loss(weight_F - step_F) > loss(weight_F) and np.abs(step_F).max() > 1e-12:
            step_F = step_F / 2
        weight_F = weight_F - step_F
        if np.abs(step_F).max() < 1e-10:
            break
    return weight_F


def _calibrate_rule(
    rule: str, score_B: Array, correct_B: NDArray[np.bool_], fold_B: NDArray[np.int64]
) -> RuleCalibration:
    feature_B = score_feature(rule, score_B)
    held_B = np.zeros(len(score_B))
    for fold in np.unique(fold_B):
        kept = fold_B != fold
        slope, intercept = fit_map(feature_B[kept], correct_B[kept])
        held_B[~kept] = 1 / (1 + np.exp(-(slope * feature_B[~kept] + intercept)))
    slope, intercept = fit_map(feature_B, correct_B)
    return RuleCalibration(
        slope=brief(slope),
        intercept=brief(intercept),
        accuracy=brief(float(correct_B.mean())),
        error_before=brief(expected_calibration_error(score_B, correct_B)),
        error_after=brief(expected_calibration_error(held_B, correct_B)),
    )


# -- the distance from clips like the training data


class Directions:
    """Directions of instance vectors, fitted to the clips' mean vectors: (D, K/2) projection and (1, K/2) offset.

    Those that separate the classes best (linear discriminants), then those along which clips vary most.
    """

    def __init__(self, mean_BD: Array, truth_B: NDArray[np.int64]):
        centre_MD, member_B = class_means(mean_BD, truth_B)
        own_D = mean_BD.mean(0)
        scatter_BD = mean_BD - centre_MD[member_B]
        within_DD = scatter_BD.T @ scatter_BD / len(mean_BD)
        variance_D, axis_DD = np.linalg.eigh(within_DD)
        variance_D = np.maximum(variance_D, 0) + RIDGE * max(variance_D.mean(), 1e-12)
        white_DD = axis_DD / np.sqrt(variance_D)
        discriminant = np.linalg.svd((centre_MD - own_D) @ white_DD, full_matrices=False)[2]
        separating_DK = white_DD @ discriminant[: len(centre_MD) - 1].T
        principal = np.linalg.svd(mean_BD - own_D, full_matrices=False)
        varying_DK = principal[2][:VARYING].T * (np.sqrt(len(mean_BD)) / np.maximum(principal[1][:VARYING], 1e-6))
        self.projection = np.concatenate([separating_DK, varying_DK], axis=1).astype(np.float32)
        self.offset = (own_D @ self.projection.astype(np.float64))[None].astype(np.float32)


def class_means(value_BF: Array, truth_B: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """(M, F) means of the classes that occur, and (B,) which of them each clip belongs to."""
    classes, member_B = np.unique(truth_B, return_inverse=True)
    return np.stack([value_BF[member_B == m].mean(0) for m in range(len(classes))]), member_B


class Distance:
    """The distance of ``Calibration.score`` before its thresholds are known: directions, centres and whitening."""

    def __init__(self, vectors: Sequence[Array], truth_B: NDArray[np.int64]):
        directions = Directions(np.stack([vector_ID.mean(0, dtype=np.float64) for vector_ID in vectors]), truth_B)
        self.projection, self.offset = directions.projection, directions.offset
        feature_BK = self.features(vectors)
        centre_MK, member_B = class_means(feature_BK, truth_B)
        covariance_KK = LedoitWolf(assume_centered=True).fit(feature_BK - centre_MK[member_B]).covariance_
        variance_K, axis_KK = np.linalg.eigh(covariance_KK)
        self.centres = centre_MK.astype(np.float32)
        self.whitening = (axis_KK / np.sqrt(np.maximum(variance_K, 1e-12))).astype(np.float32)

    def features(self, vectors: Iterable[Array]) -> Array:
        """(B, K) means and log deviations over time."""
        directions = [vector_ID @ self.projection - self.offset for vector_ID in vectors]
        means = [np.concatenate([t_IK.mean(0, dtype=np.float64), np.square(t_IK).mean(0, dtype=np.float64)])
                 for t_IK in directions]  # fmt: skip
        return summary(np.stack(means))

    def scores(self, vectors: Iterable[Array]) -> Array:
        """(B,) distances to the nearest centre, over the root of K."""
        feature_BK = self.features(vectors)
        square_BM = [np.square((feature_BK - centre_K) @ self.whitening).mean(1) for centre_K in self.centres]
        return np.sqrt(np.min(square_BM, axis=0))


def _held_out_scores(
    vectors: list[Array], truth_B: NDArray[np.int64], fold_B: NDArray[np.int64], counts: list[int]
) -> dict[int, Array]:
    """{number of instances: (B,) scores of clips cut to it}, each by a distance fitted to the other folds."""
    found = {count: np.zeros(len(vectors)) for count in counts}
    for fold in np.unique(fold_B):
        kept, held = np.flatnonzero(fold_B != fold), np.flatnonzero(fold_B == fold)
        distance = Distance([vectors[b] for b in kept], truth_B[kept])
        for count in counts:
            found[count][held] = distance.scores([_middle(vectors[b], count) for b in held])
    return found


def _middle(vector_ID: Array, count: int) -> Array:
    """``count`` consecutive instances from the middle of a clip, or all if it has fewer."""
    first = max(len(vector_ID) - count, 0) // 2
    return vector_ID[first : first + count]


def threshold_table(score_B: Array) -> tuple[list[float], list[float]]:
    """Shares, ascending, and the scores that they exceed, descending.

    Beyond the share ``TAIL_SHARE``, where clips are few, the excess over its score is taken as exponential.
    """
    share_S = np.geomspace(LEAST_SHARE, MOST_SHARE, TABLE_SHARES)
    share_S[[0, -1]] = LEAST_SHARE, MOST_SHARE
    edge = float(np.quantile(score_B, 1 - TAIL_SHARE))
    excess = float((score_B[score_B > edge] - edge).mean()) if (score_B > edge).any() else 0.0
    tail_S = edge + excess * np.log(TAIL_SHARE / share_S)
    threshold_S = np.where(share_S < TAIL_SHARE, tail_S, np.quantile(score_B, 1 - share_S))
    threshold_S = np.minimum.accumulate(threshold_S)
    return [brief(share) for share in share_S], [brief(threshold) for threshold in threshold_S]


# -- all of it


def fit_calibration(
    logits: Sequence[Array],
    vectors: Sequence[Array],
    truth_B: NDArray[np.int64],
    bag_logits_BC: Array,
    seconds: tuple[float, float],
    groups: Sequence[str] | None = None,
) -> Calibration:
    """The calibration of a model from what it gave for clips that it was never trained on.

    Arguments
    ---------
    logits, vectors : list of numpy.ndarray
        (I, C) instance logits and (I, D) instance vectors of each clip, at least ``LEAST_CLIPS`` clips.
    truth_B : numpy.ndarray
        (B,) class indices.
    bag_logits_BC : numpy.ndarray
        (B, C) bag logits by the model's own pooling.
    seconds : tuple of float
        Lengths of the shortest and the longest clip.
    groups : list of str, optional
        Group of each clip, such as its location: the folds of the cross-validation do not split groups.

    Returns
    -------
    Calibration
        Errors after calibration, and thresholds, are of clips that the maps and the distance were not fitted to.

    Raises
    ------
    TooFewClips
        There are fewer than ``LEAST_CLIPS`` clips.
    UserError
        The clips have fewer than two instances.
    ArgumentError
        The lists have different lengths.
    """
    truth_B, clips = np.asarray(truth_B), len(truth_B)
    if clips < LEAST_CLIPS:
        raise TooFewClips(f"a calibration needs {LEAST_CLIPS} clips or more that were never trained on, got {clips}")
    for name, values in (("logits", logits), ("vectors", vectors), ("bag_logits_BC", bag_logits_BC)):
        if len(values) != clips:
            raise ArgumentError(f"{name} must be of {clips} clips as truth_B is, got {len(values)}")
    usual = int(np.median([len(vector_ID) for vector_ID in vectors]))
    if usual < 2:
        raise UserError("a calibration needs clips of two instances or more")
    fold_B = _folds(truth_B, groups)
    rules = _fit_rules(logits, np.asarray(bag_logits_BC), truth_B, fold_B)
    vectors = [np.asarray(vector_ID, np.float32) for vector_ID in vectors]
    counts = [count for count in COUNTS if count < 0.9 * usual] + [usual]
    held = _held_out_scores(vectors, truth_B, fold_B, counts)
    tail = {count: float(np.quantile(score_B, 1 - SCALE_SHARE)) for count, score_B in held.items()}
    distance = Distance(vectors, truth_B)
    shares, thresholds = threshold_table(held[usual])
    return Calibration(
        rules=rules,
        projection=distance.projection,
        offset=distance.offset,
        centres=distance.centres,
        whitening=distance.whitening,
        counts=counts,
        scales=[brief(tail[count] / tail[usual]) for count in counts],
        shares=shares,
        thresholds=thresholds,
        clips=clips,
        shortest=float(seconds[0]),
        longest=float(seconds[1]),
        bins=BINS,
    )


def _folds(truth_B: NDArray[np.int64], groups: Sequence[str] | None) -> NDArray[np.int64]:
    """(B,) fold of each clip: groups, or single clips, of each class in turn."""
    names = np.arange(len(truth_B)).astype(str) if groups is None else np.asarray(groups)
    fold_of: dict[str, int] = {}
    for label in np.unique(truth_B):
        new = [name for name in dict.fromkeys(names[truth_B == label].tolist()) if name not in fold_of]
        fold_of |= {name: position % FOLDS for position, name in enumerate(new)}
    return np.array([fold_of[name] for name in names.tolist()])


def _fit_rules(
    logits: Sequence[Array], bag_logits_BC: Array, truth_B: NDArray[np.int64], fold_B: NDArray[np.int64]
) -> dict[str, RuleCalibration]:
    verdicts = [judge(logits_IC, bag_logits_C) for logits_IC, bag_logits_C in zip(logits, bag_logits_BC)]
    rules = {}
    for rule in RULE_NAMES:
        winner_B = np.array([verdict[rule].winner for verdict in verdicts])
        score_B = np.array([verdict[rule].scores_C[verdict[rule].winner] for verdict in verdicts])
        rules[rule] = _calibrate_rule(rule, score_B, winner_B == truth_B, fold_B)
    return rules


@torch.no_grad()
def calibrate(
    network: MILClassifier,
    waveforms: Iterable[NDArray[np.float32]],
    truth_B: Sequence[int],
    groups: Sequence[str] | None = None,
) -> Calibration:
    """Run a network over clips that it was never trained on, and fit its calibration to them.

    Arguments
    ---------
    network : MILClassifier
        In evaluation mode.
    waveforms : iterable of numpy.ndarray
        (N,) float32 samples of each clip at the network's rate; one is held at a time.
    truth_B : sequence of int
        Class index of each clip.
    groups : sequence of str, optional
        As ``fit_calibration`` takes them.

    Raises
    ------
    TooFewClips
        There are fewer than ``LEAST_CLIPS`` clips, which is refused before any is computed.
    ArgumentError
        The network is in training mode.
    """
    if network.training:
        raise ArgumentError("network must be in evaluation mode: call network.eval()")
    if len(truth_B) < LEAST_CLIPS:
        raise TooFewClips(
            f"a calibration needs {LEAST_CLIPS} clips or more that were never trained on, got {len(truth_B)}"
        )
    device = next(network.parameters()).device
    logits, vectors, bag_logits, lengths = [], [], [], []
    for wav_N in waveforms:
        vector_1ID, score_1IC = network.vectors_and_scores(torch.as_tensor(wav_N, device=device)[None])
        bags = network.as_bags(score_1IC)
        logits.append(bags.logits_BIC[0].cpu().numpy())
        vectors.append(vector_1ID[0].float().cpu().numpy())
        bag_logits.append(bags.bag_logits_BC[0].cpu().numpy())
        lengths.append(len(wav_N) / network.front_end.sample_rate)
    seconds = (min(lengths, default=0.0), max(lengths, default=0.0))
    return fit_calibration(logits, vectors, np.asarray(truth_B), np.array(bag_logits), seconds, groups)
