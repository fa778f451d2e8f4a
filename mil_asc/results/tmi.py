"""Receiver operating characteristic under the threshold assumption, TMI (paper, section 5.4, Fig. 10).

Under TMI a class is present in a clip when at least theta of its instances have a confidence of tau or more. A clip
may therefore have several classes or none, and no single class is decided; what is measured is how well each class is
separated from the rest while theta is swept. Clips of one length have equally many instances, and sweeping theta is
sweeping the share of instances at tau or above; for clips of different lengths theta is that share.
"""

import numpy as np
from sklearn.metrics import auc, roc_curve

from mil_asc.mil.decisions import confident_counts
from mil_asc.results.predictions import Predictions

Curve = tuple[np.ndarray, np.ndarray]
"""False and true positive rates of a ROC curve."""


def threshold_scores(predictions: Predictions, tau: float = 0.5) -> np.ndarray:
    """Share of each clip's instances whose confidence p_ic is ``tau`` or more, by class.

    Arguments
    ---------
    predictions : Predictions
        Of clips that may differ in their number of instances.
    tau : float
        Confidence from which an instance counts, above 0 and below 1.

    Returns
    -------
    np.ndarray
        (B, C) float64, 0 to 1.

    Raises
    ------
    ValueError
        ``tau`` is not above 0 and below 1.
    """
    counts_BC = np.empty(predictions.bag_logits_BC.shape)
    for clips, bags in predictions.groups:
        counts_BC[clips] = confident_counts(bags, tau).numpy()
    return counts_BC / predictions.counts_B[:, None]


def roc(truth_B: np.ndarray, scores_BC: np.ndarray) -> dict:
    """One-vs-rest ROC curves of all classes and their averages.

    Arguments
    ---------
    truth_B : np.ndarray
        (B,) index of the true class.
    scores_BC : np.ndarray
        (B, C) scores; a class is present where its score reaches a threshold.

    Returns
    -------
    dict
        ``micro``: the curve over all (clip, class) pairs at once; ``macro``: the mean curve of the classes that
        have clips and leave clips to the others. Each has ``fpr`` and ``tpr`` (lists, both rising from 0 to 1) and
        ``auc`` (0 to 1), or is None where no class can be measured. ``per_class``: the AUC of every class, None for
        one that cannot be measured.
    """
    target_BC = truth_B[:, None] == np.arange(scores_BC.shape[1])
    curves = [_curve(target_B, score_B) for target_B, score_B in zip(target_BC.T, scores_BC.T)]
    return {
        "micro": _measured(_curve(target_BC.ravel(), scores_BC.ravel())),
        "macro": _measured(mean_curve([curve for curve in curves if curve])),
        "per_class": [float(auc(*curve)) if curve else None for curve in curves],
    }


def threshold_auc(predictions: Predictions, truth_B: np.ndarray, labels: list[str], tau: float = 0.5) -> dict:
    """Areas under the ROC curves of TMI at one ``tau``, as plain data for the report.

    Arguments
    ---------
    predictions : Predictions
        The model's scores of the clips.
    truth_B : np.ndarray
        (B,) index of the true class.
    labels : list of str
        Classes, in the order of the logits.
    tau : float
        Confidence from which an instance counts, above 0 and below 1.

    Returns
    -------
    dict
        ``tau``; ``auc_micro``, ``auc_macro`` (0.5 is chance, 1 perfect) and ``per_class``, one value per label; None
        where nothing can be measured.
    """
    curves = roc(truth_B, threshold_scores(predictions, tau))
    averages = {f"auc_{name}": curves[name]["auc"] if curves[name] else None for name in ("micro", "macro")}
    return {"tau": float(tau), **averages, "per_class": dict(zip(labels, curves["per_class"]))}


def mean_curve(curves: list[Curve]) -> Curve | None:
    """Vertical mean of (fpr, tpr) curves as (fpr, tpr); None without curves.

    It is exact: where a curve rises vertically, its foot and its top are both kept.
    """
    if not curves:
        return None
    curves = [(np.asarray(fpr), np.asarray(tpr)) for fpr, tpr in curves]
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # of several points at one place np.interp takes the last, which is the foot when the curve is walked backwards
    foot = np.mean([np.interp(-grid, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves], axis=0)
    top = np.mean([np.interp(grid, fpr, tpr) for fpr, tpr in curves], axis=0)
    return np.repeat(grid, 2), np.stack([foot, top], axis=1).ravel()


def _curve(target: np.ndarray, score: np.ndarray) -> Curve | None:
    """The curve of one binary question; None without both answers in ``target``."""
    if target.all() or not target.any():
        return None
    fpr, tpr, _ = roc_curve(target, score)
    return fpr, tpr


def _measured(curve: Curve | None) -> dict | None:
    if curve is None:
        return None
    fpr, tpr = curve
    return {"fpr": fpr.tolist(), "tpr": tpr.tolist(), "auc": float(auc(fpr, tpr))}
