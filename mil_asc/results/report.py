"""The report of a run: ``report.json`` for programs, ``report.html`` for people."""

import json
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from mil_asc.results import plots
from mil_asc.results.intervals import wilson_interval
from mil_asc.results.run import PAGE, REPORT
from mil_asc.runtime.files import write_atomically

TEMPLATE = Path(__file__).with_name("report.html")
SMALL = 500
"""Below this number of evaluated clips the page says how rough an accuracy is."""


@dataclass
class Example:
    """One evaluated clip for the report.

    ``confidence_IC``: (I, C) instance confidences; ``logmel_FT``: (F, T) natural-log mel power; ``times_I2``:
    (I, 2) start and end of the instances (in seconds), each beginning where the one before ends; ``events``:
    the clip's events, if any are known; ``hop_seconds``: step between frames; ``top_hz``: upper edge of the
    mel filters (both default to the paper's front end).
    """

    path: str
    label: str
    decision: str
    confidence_IC: np.ndarray
    logmel_FT: np.ndarray
    times_I2: np.ndarray
    events: list
    hop_seconds: float = 0.032
    top_hz: float = 8000.0


def choose_examples(clips, predictions, labels, picture, count=3):
    """Up to ``count`` right and ``count`` wrong clips by the model's own rule, each the most confident of its class.

    ``picture(clip)`` gives the log-mel, the instance times and the events of a clip, and where they
    differ from the paper's, the step between frames (in seconds) and the upper edge of the mel filters (in Hz).
    """
    scores_BC = predictions.scores()
    confidences = predictions.by_clip(predictions.confidence_IC)
    groups = {True: [], False: []}
    for i in np.argsort(-scores_BC.max(1), kind="stable"):
        chosen = groups[labels[scores_BC[i].argmax()] == clips[i].label]
        if len(chosen) < count and clips[i].label not in {clips[j].label for j in chosen}:
            chosen.append(i)
    return [
        Example(
            clips[i].path,
            clips[i].label,
            labels[scores_BC[i].argmax()],
            confidences[i],
            *picture(clips[i]),
        )
        for i in groups[True] + groups[False]
    ]


def write_report(folder, results, examples):
    """Write ``report.json`` and ``report.html`` into ``folder``; returns the page's path.

    ``results`` is the content of ``report.json``, plain data without NaN; ``examples`` are ``Example``.
    """
    folder = Path(folder)
    page = render_page(results, examples)  # first, so that the two files always belong together
    write_atomically(folder / REPORT, json.dumps(results, indent=1, allow_nan=False))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def render_page(results, examples):
    """The report as one HTML page that refers to nothing outside itself."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "duration": duration, "moment": moment, "picture": plots.data_uri}
    rules = dict.fromkeys(["smi", "cmi", results["evaluation"]["decision"]])
    own_rule = results["evaluation"][results["evaluation"]["decision"]]
    history, monitored = results["history"], results["monitored_list"]
    curves = [plots.svg(paint, history, monitored) for paint in (plots.paint_losses, plots.paint_accuracy) if history]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        results,
        small=results["evaluation"]["clips"] < SMALL,
        intervals={name: accuracy_interval(results["evaluation"], name) for name in rules},
        last_epoch=history[-1]["epoch"] if history else results["run"]["epochs"],
        confusions=frequent_confusions(own_rule["confusion"], results["labels"]),
        own_rule=own_rule,
        rule="SMI" if results["evaluation"]["decision"] == "smi" else "the model's pooling",
        uniform_loss=math.log(len(results["labels"])),
        curves=curves,
        examples=[describe_example(example, results["labels"]) for example in alternate(examples)],
        colours={name: getattr(plots, name.upper()) for name in ("true", "decided", "other", "distinct", "ambiguous")},
    )


def alternate(examples):
    """Right and wrong ``examples`` by turns, so that they stand side by side."""
    right = [example for example in examples if example.label == example.decision]
    wrong = [example for example in examples if example.label != example.decision]
    return [example for pair in zip_longest(right, wrong) for example in pair if example is not None]


def describe_example(example, labels):
    """What the template says of an ``Example``: its picture, its curves' names and colours, its votes."""
    curves = plots.confidence_curves(example, labels)
    right = example.label == example.decision
    roles = ["strongest other class"] * (len(curves) - (1 if right else 2))
    roles += ["true and decided class"] if right else ["true class", "decided class"]
    decided = labels.index(example.decision)
    return {
        "path": example.path,
        "label": example.label,
        "decision": example.decision,
        "right": right,
        "svg": plots.svg(plots.paint_example, example, labels),
        "curves": [
            {"role": role, "label": labels[c], "colour": colour, "dashed": style != "-"}
            for role, (c, colour, style) in reversed(list(zip(roles, curves)))
        ],
        "instances": len(example.confidence_IC),
        "votes": int((example.confidence_IC.argmax(1) == decided).sum()),
        "score": float(example.confidence_IC[:, decided].max()),
        "roles": sorted({event.role for event in example.events}, reverse=True),
    }


def accuracy_interval(evaluation, assumption):
    """Wilson's 95 % interval of an evaluation's accuracy; None without clips."""
    total, share = evaluation["clips"], evaluation[assumption]["accuracy"]
    return wilson_interval(round(share * total), total) if total else None


def frequent_confusions(confusion, labels, count=6):
    """The ``count`` most frequent confusions: dictionaries of true and decided class, clips, clips of the class."""
    pairs = [
        {"true": labels[t], "decided": labels[d], "clips": n, "of": sum(row)}
        for t, row in enumerate(confusion)
        for d, n in enumerate(row)
        if n and t != d
    ]
    return sorted(pairs, key=lambda pair: -pair["clips"])[:count]


# -- filters of the template


def percent(share):
    """0.7134 as ``71.3 %``; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}\u202f%"


def duration(seconds):
    """Seconds as ``45 s``, ``12 min 5 s`` or ``3 h 20 min``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def moment(iso):
    """An ISO 8601 time as ``2026-11-22 15:48 UTC``."""
    return datetime.fromisoformat(iso).astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
