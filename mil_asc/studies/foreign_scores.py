"""Out-of-domain scores to compare: published ones, most as pytorch-ood computes them, and that of a packed model.

A score is fitted to clips like the training data and gives (B,) numbers for others, greater for more foreign ones.

Shapes: B clips, I instances, C classes, D instance dimension, S statistics.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mil_asc.errors import UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.packaging.calibrate import fit_calibration
from mil_asc.packaging.familiarity import Calibration

INSTALL = "pip install --no-deps pytorch-ood==0.4.0 torchvision==0.29.1"
NEIGHBOURS, PRINCIPAL = 10, 64


@dataclass(frozen=True, eq=False)
class Clips:
    """What a network gives for clips.

    Arguments
    ---------
    logits, vectors : list of numpy.ndarray
        (I, C) instance logits and (I, D) instance vectors of each clip.
    bag_logits_BC : numpy.ndarray
        By the model's own pooling.
    statistics_BS : numpy.ndarray
        Means and deviations over time of the log-mel bins.
    seconds : list of float
        Lengths.
    """

    logits: list[np.ndarray]
    vectors: list[np.ndarray]
    bag_logits_BC: np.ndarray
    statistics_BS: np.ndarray
    seconds: list[float]

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def mean_logits_BC(self) -> torch.Tensor:
        """Over the instances, float64."""
        return torch.from_numpy(np.stack([logits_IC.mean(0, dtype=np.float64) for logits_IC in self.logits]))

    @property
    def mean_vectors_BD(self) -> torch.Tensor:
        """Over the instances, float64."""
        return torch.from_numpy(np.stack([vector_ID.mean(0, dtype=np.float64) for vector_ID in self.vectors]))


@torch.no_grad()
def run_clips(network: MILClassifier, waveforms: Iterator[np.ndarray]) -> Clips:
    """``Clips`` of (N,) float32 waveforms."""
    logits, vectors, bag_logits, statistics, seconds = [], [], [], [], []
    for wav_N in waveforms:
        wav_1N = torch.from_numpy(wav_N)[None]
        vector_1ID, score_1IC = network.vectors_and_scores(wav_1N)
        bags = network.as_bags(score_1IC)
        logits.append(bags.logits_BIC[0].numpy())
        vectors.append(vector_1ID[0].float().numpy())
        bag_logits.append(bags.bag_logits_BC[0].numpy())
        deviation_F, mean_F = torch.std_mean(network.spectrogram(wav_1N)[0].double(), dim=1, correction=0)
        statistics.append(torch.cat([mean_F, deviation_F]).numpy())
        seconds.append(len(wav_N) / network.front_end.sample_rate)
    return Clips(logits, vectors, np.array(bag_logits), np.array(statistics), seconds)


Score = Callable[[Clips], np.ndarray]


def fit_scores(
    network: MILClassifier, own: Clips, truth_B: np.ndarray, groups: list[str] | None = None
) -> tuple[dict[str, Score], Calibration]:
    """Every score by its name, fitted to ``own`` clips of classes ``truth_B``, and the calibration that is packed.

    ``groups`` are as ``fit_calibration`` takes them.

    Raises
    ------
    UserError
        pytorch-ood is not installed.
    """
    try:
        from pytorch_ood import detector
    except ImportError as error:
        raise UserError(f"this comparison needs pytorch-ood: {INSTALL}") from error
    truth = torch.from_numpy(truth_B)
    principal = min(PRINCIPAL, network.instances.dim // 2)
    weight_CD, bias_C = network.detector.weight.detach(), network.detector.bias.detach()
    seconds = (min(own.seconds), max(own.seconds))
    calibration = fit_calibration(own.logits, own.vectors, truth_B, own.bag_logits_BC, seconds, groups)
    centre_S, spread_S = own.statistics_BS.mean(0), own.statistics_BS.std(0) + 1e-6

    def statistics(clips: Clips) -> torch.Tensor:
        return torch.from_numpy((clips.statistics_BS - centre_S) / spread_S)

    with _double_precision():
        matching = detector.KLMatching(None).fit_logits(own.mean_logits_BC)
        of_vectors = {
            "Mahalanobis": detector.Mahalanobis(None),
            "relative Mahalanobis": detector.RMD(None),
            f"ViM ({principal} dimensions)": detector.ViM(None, principal, weight_CD, bias_C),
            f"{NEIGHBOURS}-NN": detector.KNN(None, k=NEIGHBOURS),
        }  # fmt: skip
        for fitted in of_vectors.values():
            fitted.fit_features(own.mean_vectors_BD, truth)
        of_logmel = detector.Mahalanobis(None).fit_features(statistics(own), truth)
    scores = {
        "max softmax": lambda clips: detector.MaxSoftmax.score(clips.mean_logits_BC),
        "SMI confidence": lambda clips: -np.array([logits_IC.max() for logits_IC in clips.logits], np.float64),
        "max logit": lambda clips: detector.MaxLogit.score(clips.mean_logits_BC),
        "energy": lambda clips: detector.EnergyBased.score(clips.mean_logits_BC),
        "KL matching": lambda clips: matching.predict_logits(clips.mean_logits_BC),
        **{name: _features_score(fitted) for name, fitted in of_vectors.items()},
        "Mahalanobis, log-mel statistics": lambda clips: of_logmel.predict_features(statistics(clips)),
        PACKED: lambda clips: calibration_scores(calibration, clips),
    }
    return {name: _as_array(score) for name, score in scores.items()}, calibration


PACKED = "Mahalanobis, means and deviations over time"
"""The score of ``mil_asc.packaging.familiarity``."""


def calibration_scores(calibration: Calibration, clips: Clips) -> np.ndarray:
    """(B,) scores of a packed model."""
    return np.array(
        [
            calibration.score(calibration.traits(logits_IC, vector_ID).mean(0, dtype=np.float64), len(vector_ID))
            for logits_IC, vector_ID in zip(clips.logits, clips.vectors)
        ]
    )


def _features_score(fitted) -> Callable:
    return lambda clips: fitted.predict_features(clips.mean_vectors_BD)


def _as_array(score: Callable) -> Score:
    def computed(clips: Clips) -> np.ndarray:
        with _double_precision(), torch.no_grad():
            return np.asarray(score(clips), np.float64)

    return computed


@contextlib.contextmanager
def _double_precision() -> Iterator[None]:
    """pytorch-ood makes its tables in the default type; a covariance of many dimensions needs float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
