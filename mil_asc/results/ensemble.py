"""Finished runs averaged: the scores of several models for the same clips, as those of one.

The confidences are averaged as probabilities, with equal weights: p_ic = (1/M) sum_m p_ic^m for instances, and
P_c = (1/M) sum_m P_c^m for bags. This is the mixture that B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and
scalable predictive uncertainty estimation using deep ensembles" (NeurIPS 2017, arXiv 1612.01474), section 2.4, use. The
binary log loss of a mixture is never greater than the mean of its members' (Jensen's inequality), and each member moves
a confidence by at most 1/M. A mean of logits has neither: logits have no limit, so that one model which is far off for
a recording would outvote all others.

Shape letters: M model, B clip, I instance (of all clips, clip after clip), C class.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError, name_some
from mil_asc.mil.bag_logits import pool
from mil_asc.results.evaluation import class_indices, decisions, evaluate_predictions
from mil_asc.results.intervals import clustered_interval
from mil_asc.results.predictions import Predictions
from mil_asc.results.run import MODEL_WEIGHTS, REPORT, Run
from mil_asc.results.run_clips import evaluated_clips, recordings_of
from mil_asc.results.same_data import check_named_once, check_same_clips, other_recordings
from mil_asc.results.trained_model import load_model

AGAIN = "evaluate that run again"
OF_PREDICTIONS = (
    "the ensemble is computed from the runs' predictions, without audio: there are no pictures and no events; those of "
    "a single model are in the report of its run"
)


class Member(NamedTuple):
    """One of the runs: its folder's reader, the checksum of its weights, and its predictions in the common order."""

    run: Run
    weights_sha256: str
    grid: tuple[int, int, int]
    predictions: Predictions


class Ensemble(NamedTuple):
    """The averaged predictions, their clips in the same order, and the content of ``report.json``."""

    predictions: Predictions
    clips: list[Clip]
    results: dict


def average_predictions(parts: Sequence[Predictions]) -> Predictions:
    """The mean of the instance confidences and of the bag confidences of M models (see the top of this file).

    Arguments
    ---------
    parts : sequence of Predictions
        At least one, all of the same clips and instances in the same order.

    Returns
    -------
    Predictions
        Its logits (float32) are those of the averaged confidences, computed without rounding these to 0 or 1. Its rule
        is SMI if it is that of all parts: the class follows from the averaged instances. Otherwise it is ``bag``, of
        the averaged bag confidences, in which each model takes part with its own pooling.

    Raises
    ------
    ValueError
        There are none, or they differ in their numbers of clips, instances or classes.

    Example
    -------
    >>> def of(z):
    ...     return Predictions.of_clips([np.float32([[z]])], [np.float32([z])])
    >>> round(float(average_predictions([of(0.0), of(40.0)]).confidence_IC[0, 0]), 6)  # (0.5 + 1) / 2
    0.75
    """
    if not parts:
        raise ValueError("an average needs predictions of at least one model")
    first = parts[0]
    for part in parts:
        same = part.logits_IC.shape == first.logits_IC.shape and np.array_equal(part.counts_B, first.counts_B)
        if not same or part.bag_logits_BC.shape != first.bag_logits_BC.shape:
            raise ValueError("predictions that are averaged must have the same clips, instances and classes")
    rules = {part.decision for part in parts}
    return Predictions(
        _mean([part.logits_IC for part in parts]),
        first.counts_B,
        _mean([part.bag_logits_BC for part in parts]),
        "smi" if rules == {"smi"} else "bag",
    )


def _mean(logits: list[np.ndarray]) -> np.ndarray:
    """The logit of the mean confidence, of arrays of one shape."""
    logits_MX = np.stack(logits).reshape(len(logits), -1)
    return pool("mean", logits_MX).reshape(logits[0].shape).astype(np.float32)


def average_runs(folders: Sequence[str | Path]) -> Ensemble:
    """The ensemble of finished runs.

    Arguments
    ---------
    folders : sequence of str or Path
        Output folders of two runs or more, which were evaluated on the same clips.

    Returns
    -------
    Ensemble
        ``results`` has the keys of a run's report, with ``ensemble``: ``members`` (``folder``, ``experiment``,
        ``seed``, ``epochs``, ``weights_sha256``, ``decision``, ``accuracy`` by rule, ``log_loss``, and the accuracy of
        its ``floor`` or None), and ``difference``, the accuracy of the ensemble minus the mean accuracy of the members,
        each by its own rule, with its 95 % interval ``low`` to ``high`` (paired over clips, see ``clustered_interval``;
        None for few groups) and the number of ``groups``. ``floor`` is the best of the members' floors, None if one of
        them has none; the numbers of ``run`` are those of the first run, or of all where ``_provenance`` says so.

    Raises
    ------
    UserError
        Fewer than two runs; a run twice; a run that is not finished or damaged; other classes or another order of them,
        other clips or groups of them, other instances. The message names both folders and the difference. ``warnings``
        say where recordings of the same names have other samples.
    """
    runs = [Run(folder) for folder in folders]
    if len(runs) < 2:
        raise UserError(f"an ensemble needs two runs or more, got {len(runs)}: name their output folders")
    check_named_once([run.folder for run in runs], "")
    for run in runs:
        run.check_finished()
        _check_labels(run, runs[0])
    members: list[Member] = []
    for run in runs:
        members.append(_read(run, members[0] if members else None))
        _check_weights(members)
    clips, labels = evaluated_clips(runs[0], AGAIN), runs[0].labels
    doubts = [text for run in runs[1:] for text in _check_clips(run, runs[0], clips)]
    train = [clip for run in runs for clip in recordings_of(run, ["train"]).values()]
    predictions = average_predictions([member.predictions for member in members])
    evaluation = evaluate_predictions(predictions, clips, labels, train)
    floor = _floor(runs)
    results = {
        "experiment": f"{' + '.join(dict.fromkeys(run.experiment for run in runs))}, ensemble of {len(runs)}",
        "dataset": runs[0].dataset,
        "labels": labels,
        "ensemble": {
            "members": [_describe(member) for member in members],
            "difference": _difference(predictions, members, clips, labels),
        },
        "evaluation_of_best_on_validation": None,
        "history": [],
        "monitored_list": "evaluation",
        "floor": floor,
        "run": _provenance(runs),
        "evaluation": evaluation,
        "events": None,
        "notes": [*_common([run.report["notes"] for run in runs]), OF_PREDICTIONS],
        "warnings": [*_with_folders(runs), *doubts, *_floor_warnings(evaluation, floor)],
        "bad_audio": {path: reason for run in runs for path, reason in run.bad_audio.items()},
        "decisions": decisions(predictions, clips, labels),
    }
    return Ensemble(predictions, clips, results)


# -- do the runs fit each other?


def _check_labels(run: Run, first: Run) -> None:
    if run.labels == first.labels:
        return
    other = sorted(set(run.labels) ^ set(first.labels))
    reason = f"differ in their classes ({name_some(other, 5)})" if other else "have their classes in another order"
    raise UserError(f"{run.folder} and {first.folder} {reason}: average runs with the same classes")


def _check_clips(run: Run, first: Run, clips: list[Clip]) -> list[str]:
    """Refuse clips of which other things are known than of the first run's; returns warnings about their samples."""
    own, known = ({clip.path: clip for clip in each} for each in (evaluated_clips(run, AGAIN), clips))
    check_same_clips(own, known, (run.folder, first.folder), "average runs with the same evaluation set")
    return other_recordings(run, first)


def _check_weights(members: list[Member]) -> None:
    """A copy of a run would count twice."""
    *before, last = members
    for member in before:
        if member.weights_sha256 == last.weights_sha256:
            raise UserError(f"{last.run.folder} and {member.run.folder} have the same weights: name each run once")


def _read(run: Run, first: Member | None) -> Member:
    """A run with its predictions in the order of the first one's."""
    model = load_model(run.folder)
    if run.provenance.get("weights_sha256", model.checksum) != model.checksum:
        raise UserError(f"{run.folder}: {MODEL_WEIGHTS} is not the model of {REPORT}: {AGAIN}")
    front_end = model.network.front_end
    grid = (model.network.instance_samples, front_end.hop_length, front_end.sample_rate)
    if first is None:
        return Member(run, model.checksum, grid, run.predictions)
    if grid != first.grid:
        raise UserError(
            f"{run.folder} and {first.run.folder} differ in their instances ({_grid(grid)}, and {_grid(first.grid)}): "
            "average runs with the same instances"
        )
    predictions = _in_order(run, first.run)
    counts = zip(first.run.paths, predictions.counts_B.tolist(), first.predictions.counts_B.tolist())
    for path, own, other in counts:
        if own != other:
            raise UserError(
                f"{run.folder} and {first.run.folder} differ in their instances ({path} has {own}, and {other}): "
                "average runs with the same instances"
            )
    return Member(run, model.checksum, grid, predictions)


def _grid(grid: tuple[int, int, int]) -> str:
    step, hop, rate = grid
    return f"one every {step / rate:g} s, of frames of {1000 * hop / rate:g} ms at {rate} Hz"


def _in_order(run: Run, first: Run) -> Predictions:
    """The predictions of a run in the order of the first one's clips, which must be the same."""
    classes = [dict(zip(one.paths, (one.labels[c] for c in one.truth_B.tolist()))) for one in (run, first)]
    other = sorted(
        path for path in classes[0].keys() | classes[1].keys() if classes[0].get(path) != classes[1].get(path)
    )
    if other:
        raise UserError(
            f"{run.folder} and {first.folder} were evaluated on other clips, or with other classes of them "
            f"({name_some(other, 3)}): average runs with the same evaluation set"
        )
    place = {path: b for b, path in enumerate(run.paths)}
    order, found = [place[path] for path in first.paths], run.predictions
    if order == sorted(order):
        return found
    logits = found.by_clip(found.logits_IC)
    return Predictions.of_clips([logits[b] for b in order], list(found.bag_logits_BC[order]), found.decision)


# -- numbers


def _describe(member: Member) -> dict:
    run, rules = member.run, member.predictions.rules
    return {
        "folder": str(run.folder.resolve()),
        "experiment": run.experiment,
        "seed": run.seed,
        "epochs": run.provenance["epochs"],
        "weights_sha256": member.weights_sha256,
        "decision": run.decision,
        "accuracy": {rule: run.accuracy(rule) for rule in rules},
        "log_loss": run.number("evaluation.log_loss"),
        "floor": run.number("floor.accuracy") if run.report.get("floor") else None,
    }


def _difference(predictions: Predictions, members: list[Member], clips: list[Clip], labels: list[str]) -> dict:
    """How much better the ensemble is than its members are on average."""
    truth_B, groups = class_indices(clips, labels), [clip.location for clip in clips]
    own_MB = np.stack([member.predictions.decided() == truth_B for member in members])
    gain_B = (predictions.decided() == truth_B) - own_MB.mean(0)
    gain = clustered_interval(gain_B.tolist(), groups)
    return {"accuracy": gain.mean, "low": gain.low, "high": gain.high, "groups": len(set(groups))}


def _floor(runs: list[Run]) -> dict[str, float | None] | None:
    """The best of the runs' floors: they differ where training sets or spectrograms do. None if a run has none."""
    if not all(run.report.get("floor") for run in runs):
        return None
    best = max(runs, key=lambda run: run.number("floor.accuracy") or 0.0)
    return {name: best.number(f"floor.{name}") for name in ("accuracy", "macro_accuracy", "log_loss")}


def _floor_warnings(evaluation: dict, floor: dict | None) -> list[str]:
    own = evaluation[evaluation["decision"]]["accuracy"]
    if floor is None or own > floor["accuracy"]:
        return []
    return [f"the ensemble ({100 * own:.1f} %) is not better than the floor ({100 * floor['accuracy']:.1f} %)"]


# -- text


def _common(lines: list[list[str]]) -> list[str]:
    """The lines that all runs have."""
    return [line for line in lines[0] if all(line in own for own in lines)]


def _with_folders(runs: list[Run]) -> list[str]:
    """The warnings of the runs, each once; one that not all of them have begins with the folders of those that do."""
    told = []
    for line in dict.fromkeys(line for run in runs for line in run.report["warnings"]):
        own = [str(run.folder) for run in runs if line in run.report["warnings"]]
        told.append(line if len(own) == len(runs) else f"{', '.join(own)}: {line}")
    return told


def _provenance(runs: list[Run]) -> dict:
    """How the results came about: what the first run has, sums of parameters, all versions, the last end."""
    first = runs[0].provenance
    made = [run.provenance for run in runs]
    names = sorted({name for one in made for name in one["versions"]})
    clips = {one.get("train_clips") for one in made}
    return {
        **{key: first[key] for key in ("seed", "epochs", "debug", "data_folder", "clip_seconds")},
        "train_clips": clips.pop() if len(clips) == 1 else None,
        "parameters": sum(one["parameters"] for one in made),
        "finished": max(one["finished"] for one in made),
        "versions": {
            name: " and ".join(dict.fromkeys(str(one["versions"].get(name)) for one in made)) for name in names
        },
    }
