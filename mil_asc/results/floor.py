"""The floor of a report: what a linear classifier on simple features reaches on the same split.

Features, classes and groups in, plain data out. Logistic regression (L2, all classes at once) on standardised features;
its regularisation is chosen by cross-validation over the training groups, then it is fitted to all training clips.
Nothing here is random.

Shape letters: B clip, D feature, C class.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mil_asc.results import metrics
from mil_asc.results.intervals import clustered_interval

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""Values of C times the number of training clips that are tried. scikit-learn adds up the losses of all clips, so the
same C regularises a large set less; the product means the same for sets of every size."""
DEFAULT_STRENGTH = 100.0
"""The value where groups cannot be held out."""
MOST_FOLDS = 5
MOST_ITERATIONS = 10_000


class Features(NamedTuple):
    """One list of clips: (B, D) features, (B,) class indices, and the name of each clip's group."""

    feature_BD: np.ndarray
    class_B: np.ndarray
    groups: list[str]


@dataclass(frozen=True, eq=False)
class Floor:
    """A fitted classifier, and how its regularisation was chosen.

    Attributes
    ----------
    classifier : Pipeline or DummyClassifier
        The latter if there is one class to train on.
    c_values : list of float
        Values of scikit-learn's C that were tried, ascending.
    accuracies : list of float or None
        Accuracy in the cross-validation under each of them; None if there was none.
    c : float or None
        The value with the greatest accuracy, of equal ones the smallest; None if nothing was fitted.
    folds : int
        Folds of the cross-validation; 0 if there was none.
    """

    classifier: Pipeline | DummyClassifier
    c_values: list[float]
    accuracies: list[float] | None
    c: float | None
    folds: int

    def probabilities(self, feature_BD: np.ndarray, num_classes: int) -> np.ndarray:
        """(B, C) probabilities; 0 for classes without training clips."""
        probability_BC = np.zeros((len(feature_BD), num_classes))
        probability_BC[:, self.classifier.classes_] = self.classifier.predict_proba(feature_BD)
        return probability_BC


def fit_floor(train: Features) -> Floor:
    """Choose the regularisation by cross-validation over the groups, and fit to all training clips."""
    feature_BD, class_B = train.feature_BD.astype(np.float64), train.class_B
    if len(np.unique(class_B)) == 1:
        return Floor(DummyClassifier().fit(feature_BD, class_B), [], None, None, 0)
    values = [strength / len(class_B) for strength in STRENGTHS]
    folds = group_folds(class_B, train.groups)
    with warnings.catch_warnings():  # there may be few clips of each of many classes, as in debug runs
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        accuracies = _cross_validate(feature_BD, class_B, folds, values) if folds else None
        c = DEFAULT_STRENGTH / len(class_B) if accuracies is None else values[int(np.argmax(accuracies))]
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=MOST_ITERATIONS))
        classifier.fit(feature_BD, class_B)
    return Floor(classifier, values, accuracies, c, len(folds))


def group_folds(class_B: np.ndarray, groups: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(positions to fit to, positions held out) of each fold; no group is split. Empty if no groups can be held out.

    There are ``MOST_FOLDS`` folds, or as many as the class with the fewest groups has groups, classes with a single
    one aside; two classes at least must have two groups. Clips whose class a fold does not fit to are not held out.

    Example
    -------
    >>> folds = group_folds(np.array([0, 0, 1, 0, 1, 2]), ["a", "a", "b", "c", "d", "e"])
    >>> len(folds), sorted(b for _, held in folds for b in held.tolist())
    (2, [0, 1, 2, 3, 4])
    """
    counts = [len({groups[b] for b in np.flatnonzero(class_B == c)}) for c in np.unique(class_B)]
    several = [count for count in counts if count > 1]
    if len(several) < 2:
        return []
    splitter = StratifiedGroupKFold(min(MOST_FOLDS, *several))
    with warnings.catch_warnings():  # the clips of a class with a single group may be fewer than the folds
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = [
            (kept, held[np.isin(class_B[held], class_B[kept])])
            for kept, held in splitter.split(class_B, class_B, groups)
        ]
    return [(kept, held) for kept, held in folds if len(held) and len(np.unique(class_B[kept])) > 1]


def _cross_validate(
    feature_BD: np.ndarray, class_B: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], values: list[float]
) -> list[float]:
    """Accuracy over the held-out clips of all folds under each value of C; each fit starts from the one before."""
    correct_V = np.zeros(len(values))
    for kept, held in folds:
        scaler = StandardScaler().fit(feature_BD[kept])
        kept_BD, held_BD = scaler.transform(feature_BD[kept]), scaler.transform(feature_BD[held])
        model = LogisticRegression(max_iter=MOST_ITERATIONS, warm_start=True)
        for v, value in enumerate(values):
            model.set_params(C=value).fit(kept_BD, class_B[kept])
            correct_V[v] += (model.predict(held_BD) == class_B[held]).sum()
    return (correct_V / sum(len(held) for _, held in folds)).tolist()


def floor_results(
    train: Features, evaluate: Features, labels: list[str], decided_B: np.ndarray, rule: str
) -> dict[str, object]:
    """The floor on an evaluation set, and how much better the model is: ``floor`` in ``report.json``.

    Arguments
    ---------
    train : Features
        The clips that the model was trained on.
    evaluate : Features
        The evaluation set.
    labels : list of str
        Classes, in the order of the class indices.
    decided_B : np.ndarray
        (B,) class that the model decides for each clip of the evaluation set.
    rule : str
        The rule that it decides by.

    Returns
    -------
    dict
        ``accuracy``, ``macro_accuracy`` (class-wise) and ``log_loss`` of the floor; ``chance``: the most frequent
        ``class`` of the training set and the ``accuracy`` of always deciding for it; ``features``, ``train_clips`` and
        ``train_groups``: numbers of them; ``C``, ``C_values`` and ``cross_validated_accuracies`` (by value of C, None
        without cross-validation), ``cross_validated_accuracy`` of the chosen C, ``folds``; ``default_C``: whether C is
        the default because groups cannot be held out; ``difference``: ``accuracy`` of the model under ``rule`` minus
        that of the floor, its 95 % interval ``low`` to ``high`` (paired over clips, see ``clustered_interval``; None
        for few groups) and the number of ``groups``.
    """
    floor, truth_B = fit_floor(train), evaluate.class_B
    probability_BC = floor.probabilities(evaluate.feature_BD, len(labels))
    own_B, frequent = probability_BC.argmax(1), int(np.bincount(train.class_B).argmax())
    gains_B = (decided_B == truth_B).astype(int) - (own_B == truth_B).astype(int)
    gain = clustered_interval(gains_B.tolist(), evaluate.groups)
    return {
        "accuracy": metrics.accuracy(truth_B, own_B),
        "macro_accuracy": metrics.macro_accuracy(truth_B, own_B, len(labels)),
        "log_loss": metrics.log_loss(truth_B, probability_BC),
        "chance": {"class": labels[frequent], "accuracy": float(np.mean(truth_B == frequent))},
        "features": train.feature_BD.shape[1],
        "train_clips": len(train.class_B),
        "train_groups": len(set(train.groups)),
        "C": floor.c,
        "C_values": floor.c_values,
        "cross_validated_accuracies": floor.accuracies,
        "cross_validated_accuracy": None if floor.accuracies is None else max(floor.accuracies),
        "folds": floor.folds,
        "default_C": floor.c is not None and floor.accuracies is None,
        "difference": {
            "rule": rule,
            "accuracy": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "groups": len(set(evaluate.groups)),
        },
    }


def floor_warning(floor: dict) -> str | None:
    """A sentence if the model is not better than the ``floor`` of its report; else None.

    Better means that the interval of the difference lies above 0, or the difference itself where there is no interval.
    """
    found = floor["difference"]
    if (found["accuracy"] if found["low"] is None else found["low"]) > 0:
        return None
    verdict = "not better" if found["accuracy"] <= 0 else "not clearly better"
    interval = "too few groups for an interval"
    if found["low"] is not None:
        interval = (
            f"95 % interval {_points(found['low'])} to {_points(found['high'])}, "
            f"paired over the clips of {found['groups']} groups"
        )
    rule = "SMI" if found["rule"] == "smi" else "its own pooling"
    return (
        f"the model ({100 * (floor['accuracy'] + found['accuracy']):.1f} % under {rule}) is {verdict} than the floor "
        f"({100 * floor['accuracy']:.1f} %), a linear classifier on the mean and deviation of each mel bin: "
        f"a difference of {_points(found['accuracy'])} points ({interval})"
    )


def _points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}"
