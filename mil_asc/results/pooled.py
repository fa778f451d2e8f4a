"""The folds of a cross-validation as one evaluation: every clip with the scores of the model not trained on it.

All is read from the folders of the folds: their predictions, lists and reports.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.results.evaluation import class_indices, decisions, evaluate_predictions
from mil_asc.results.intervals import group_interval, mean_and_spread
from mil_asc.results.predictions import Predictions
from mil_asc.results.run import Run, place_of_run
from mil_asc.results.run_clips import evaluated_clips, recordings_of
from mil_asc.results.settings import changed_settings
from mil_asc.store.segments import split_name

RESAMPLES, BOOTSTRAP_SEED = 10_000, 0
"""How the intervals over groups are drawn."""
AGAIN = "remove the folder of that fold and give the same command again"


def pool_folds(folder: Path, folds: int) -> dict:
    """Results over the folds of a cross-validation: the content of its ``report.json``.

    Arguments
    ---------
    folder : Path
        The folder of the cross-validation.
    folds : int
        Number of its folds, all of which must be finished.

    Returns
    -------
    dict
        ``evaluation``, ``decisions``, ``labels``, ``notes``, ``warnings``, ``bad_audio`` and ``run`` as in the report
        of a run, over the clips of all folds; ``floor``, with the ``accuracy`` of the folds' floors over all clips
        (None if a fold has no floor). ``cross_validation`` has ``folds``; ``split_seed``; ``groups``, the
        number of groups that were evaluated; ``per_fold``, with numbers by the dotted key of a fold's report;
        ``spread``, their mean and sample standard deviation over the folds; ``intervals``, 95 % intervals of the
        accuracy over groups, by rule; ``bootstrap``, how these were drawn; ``best_on_validation``, the epochs that were
        selected on validation sets and the accuracy with them, by rule, or None.

    Raises
    ------
    UserError
        A fold is not finished or damaged; the folds differ in their settings, classes or recordings; a clip is in the
        evaluation sets of two folds, or has no scores.
    """
    runs = [Run(place_of_run(folder, fold)) for fold in range(1, folds + 1)]
    _check_same(runs)
    clips = [evaluated_clips(run, AGAIN) for run in runs]
    _check_apart(runs, clips)
    if not runs[0].debug:  # of which a part of the clips is evaluated
        _check_complete(runs, clips)
    labels, every = runs[0].labels, [clip for own in clips for clip in own]
    predictions = _joined([run.predictions for run in runs])
    return {
        "experiment": runs[0].experiment,
        "dataset": runs[0].dataset,
        "labels": labels,
        "evaluation": evaluate_predictions(predictions, every, labels),
        "floor": _floor(runs, clips),
        "cross_validation": {
            "folds": folds,
            "split_seed": runs[0].settings.get("data.split_seed"),
            "groups": len({clip.location for clip in every}),
            **_over_folds(runs, clips, predictions.rules),
            "intervals": _intervals(predictions, every, labels),
            "bootstrap": {"resamples": RESAMPLES, "seed": BOOTSTRAP_SEED},
            "best_on_validation": _best(runs, predictions.rules),
        },
        "notes": _common([run.report["notes"] for run in runs]),
        "warnings": _with_folds([run.report["warnings"] for run in runs]),
        "bad_audio": {path: reason for run in runs for path, reason in run.bad_audio.items()},
        "run": _provenance(runs),
        "decisions": decisions(predictions, every, labels),
    }


# -- do the folds fit each other?


def _check_same(runs: list[Run]) -> None:
    """The folds must be finished, and must differ in their number alone."""
    first = runs[0]
    for run in runs:
        if not first.debug:
            run.check_finished()
        for key, (old, new) in changed_settings(first.settings_text, run.settings_text).items():
            if key != "data.fold":
                raise UserError(f"{run.folder} and {first.folder} differ in {key} ({new} and {old}): {AGAIN}")
        if run.debug != first.debug or run.labels != first.labels or run.decision != first.decision:
            raise UserError(f"{run.folder} and {first.folder} do not belong together: {AGAIN}")


def _check_apart(runs: list[Run], clips: list[list[Clip]]) -> None:
    """No clip, and no group, may be in the evaluation sets of two folds."""
    for what in ("path", "location"):
        seen: dict[str, Run] = {}
        for run, own in zip(runs, clips):
            for name in {getattr(clip, what) for clip in own}:
                if name in seen:
                    raise UserError(
                        f"{name} is in the evaluation sets of {seen[name].folder} and {run.folder}: {AGAIN}"
                    )
                seen[name] = run


def _check_complete(runs: list[Run], clips: list[list[Clip]]) -> None:
    """The folds must be about the same recordings, and every clip of an evaluation set must have scores."""
    first: set[str] = set()
    for run, own in zip(runs, clips):
        trained, evaluated = (recordings_of(run, names) for names in (["train", "validation"], ["evaluate"]))
        lost = evaluated.keys() - {clip.path for clip in own} - {split_name(clip.path)[0] for clip in own}
        if lost:
            raise UserError(f"{run.folder}: {len(lost)} clip(s) have no scores, such as {min(lost)}: {AGAIN}")
        every = {*trained, *evaluated}
        first = first or every
        if every != first:
            other = min(every ^ first)
            raise UserError(f"{run.folder} and {runs[0].folder} differ in their recordings, such as {other}: {AGAIN}")


# -- numbers


def _joined(parts: list[Predictions]) -> Predictions:
    """The predictions of all folds, one after the other."""
    return Predictions(
        np.concatenate([part.logits_IC for part in parts]),
        np.concatenate([part.counts_B for part in parts]),
        np.concatenate([part.bag_logits_BC for part in parts]),
        parts[0].decision,
    )


def _intervals(predictions: Predictions, clips: list[Clip], labels: list[str]) -> dict[str, list[float]]:
    """Rule -> 95 % interval [low, high] of the accuracy over groups."""
    truth_B, groups = class_indices(clips, labels), [clip.location for clip in clips]
    correct = {rule: predictions.decided(rule) == truth_B for rule in predictions.rules}
    return {rule: list(group_interval(own_B, groups, RESAMPLES, BOOTSTRAP_SEED)) for rule, own_B in correct.items()}


def _measures(runs: list[Run], rules: Sequence[str]) -> list[str]:
    """Dotted keys of the numbers of a report whose spread over the folds is given."""
    keys = [f"evaluation.{rule}.{name}" for name in ("accuracy", "macro_accuracy") for rule in rules]
    keys += [f"evaluation.{name}" for name in ("log_loss", "tmi.auc_macro")]
    keys += [f"evaluation.underestimation.{name}" for name in ("positive_share", "mean_confidence")]
    extra = {"events": "events.average_precision", "floor": "floor.accuracy"}
    return keys + [key for part, key in extra.items() if all(run.report.get(part) for run in runs)]


def _floor(runs: list[Run], clips: list[list[Clip]]) -> dict[str, float] | None:
    """Accuracy of the folds' floors over the clips of all folds; None if a fold has none."""
    if not all(run.report.get("floor") for run in runs):
        return None
    correct = [(run.number("floor.accuracy") or 0.0) * len(own) for run, own in zip(runs, clips)]
    return {"accuracy": sum(correct) / sum(map(len, clips))}


def _over_folds(runs: list[Run], clips: list[list[Clip]], rules: Sequence[str]) -> dict:
    """``per_fold`` and ``spread``; a number that a fold lacks, such as the ROC area of one class alone, is None."""
    measures = {key: [run.number(key) for run in runs] for key in _measures(runs, rules)}
    per_fold = [
        {
            "fold": run.folds[1],
            "folder": run.folder.name,
            "clips": len(own),
            "groups": len({clip.location for clip in own}),
            "train_clips": run.number("run.train_clips"),
            **{key: numbers[place] for key, numbers in measures.items()},
        }
        for place, (run, own) in enumerate(zip(runs, clips))
    ]
    spread = {}
    for key, numbers in measures.items():
        mean, deviation = mean_and_spread([number for number in numbers if number is not None]) or (None, None)
        spread[key] = {"mean": mean, "sd": deviation}
    return {"per_fold": per_fold, "spread": spread}


def _best(runs: list[Run], rules: Sequence[str]) -> dict | None:
    """The epochs that the folds selected on their validation sets, and the accuracy over all clips with them."""
    key = "evaluation_of_best_on_validation"
    if not all(run.report.get(key) for run in runs):
        return None
    counts = [run.number(f"{key}.clips") or 0 for run in runs]
    found: dict = {"epochs": [run.number(f"{key}.epoch") for run in runs]}
    for rule in rules:
        correct = [(run.number(f"{key}.{rule}.accuracy") or 0) * count for run, count in zip(runs, counts)]
        found[rule] = {"accuracy": sum(correct) / sum(counts)}
    return found


# -- text


def _common(lines: list[list[str]]) -> list[str]:
    """The lines that all folds have."""
    return [line for line in lines[0] if all(line in own for own in lines)]


def _with_folds(lines: list[list[str]]) -> list[str]:
    """All lines, each once; one that not all folds have begins with the numbers of those that do."""
    told = []
    for line in dict.fromkeys(line for own in lines for line in own):
        numbers = [str(fold) for fold, own in enumerate(lines, 1) if line in own]
        word = "fold" if len(numbers) == 1 else "folds"
        told.append(line if len(numbers) == len(lines) else f"{word} {', '.join(numbers)}: {line}")
    return told


def _provenance(runs: list[Run]) -> dict:
    """How the results came about: what the folds share, and sums over them."""
    first = runs[0].provenance
    clips, seconds = ([run.number(f"run.{key}") or 0 for run in runs] for key in ("train_clips", "train_seconds"))
    names = {name for run in runs for name in run.provenance["versions"]}
    versions = {name: [run.provenance["versions"].get(name) for run in runs] for name in sorted(names)}
    return {
        **{
            key: first[key] for key in ("seed", "epochs", "debug", "data_folder", "clip_seconds", "parameters", "folds")
        },
        "fold": 0,
        "batch_norm": _largest_gain(runs),
        "finished": max(run.provenance["finished"] for run in runs),
        "train_clips": [min(clips), max(clips)],
        "train_seconds": sum(seconds),
        **{key: _listed([run.provenance[key] for run in runs]) for key in ("device", "precision")},
        "versions": {name: _listed(own) for name, own in versions.items()},
    }


def _largest_gain(runs: list[Run]) -> dict | None:
    """The batch norms of the fold whose model has the largest gain; None if a fold has none."""
    found = [gains for run in runs if (gains := run.provenance.get("batch_norm"))]
    return max(found, key=lambda gains: gains["largest"]) if len(found) == len(runs) else None


def _listed(values: list[str | None]) -> str:
    """Different values in one text, in the order of the folds."""
    return " and ".join(dict.fromkeys(map(str, values)))
