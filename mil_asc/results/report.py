"""The report of a run: ``report.json`` for programs, ``report.html`` for people."""

import json
import math
from datetime import datetime, timezone
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mil_asc.results import plots
from mil_asc.results.examples import Example
from mil_asc.results.intervals import wilson_interval
from mil_asc.results.run import PAGE, REPORT
from mil_asc.runtime.files import write_atomically

SMALL = 500
"""Below this number of clips in the evaluation set the page gives the intervals of its accuracies."""

ORIGINS = {"per_city": "city", "per_device": "device", "per_group": "group"}
"""Parts of an evaluation that say where clips come from, and what the page calls them."""


def write_report(folder: str | Path, results: dict, examples: list[Example]) -> Path:
    """Write ``report.json`` and ``report.html`` into ``folder``; returns the page's path.

    ``results`` is the content of ``report.json``, plain data without NaN; ``examples`` are ``Example``.
    """
    folder = Path(folder)
    page = render_page(results, examples)  # first, so that the two files always belong together
    write_atomically(folder / REPORT, json.dumps(results, indent=1, allow_nan=False))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def render_page(results: dict, examples: list[Example]) -> str:
    """The report as one HTML page that refers to nothing outside itself."""
    return fill_page("report.html", results, examples)


def fill_page(name: str, results: dict, examples: list[Example], **more: object) -> str:
    """The template ``name`` filled with ``results``, the ``examples`` and ``more`` values by name."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration, "moment": moment, "points": points}
    environment.filters["picture"] = plots.data_uri
    rules = dict.fromkeys(["smi", "cmi", results["evaluation"]["decision"]])
    own_rule = results["evaluation"][results["evaluation"]["decision"]]
    history, monitored = results["history"], results["monitored_list"]
    curves = [plots.svg(paint, history, monitored) for paint in (plots.paint_losses, plots.paint_accuracy) if history]
    return environment.get_template(name).render(
        results,
        small=results["evaluation"]["clips"] < SMALL,
        intervals={name: accuracy_interval(results["evaluation"], name) for name in rules},
        last_epoch=history[-1]["epoch"] if history else results["run"]["epochs"],
        confusions=frequent_confusions(own_rule["confusion"], results["labels"]),
        own_rule=own_rule,
        origins={part: word for part, word in ORIGINS.items() if part in own_rule},
        rule="SMI" if results["evaluation"]["decision"] == "smi" else "the model's pooling",
        uniform_loss=math.log(len(results["labels"])),
        curves=curves,
        examples=[describe_example(example, results["labels"]) for example in alternate(examples)],
        colours={name: getattr(plots, name.upper()) for name in ("true", "decided", "other", "distinct", "ambiguous")},
        **more,
    )


def alternate(examples: list[Example]) -> list[Example]:
    """Correct and wrong ``examples`` in turn, so that they are side by side."""
    correct = [example for example in examples if example.label == example.decision]
    wrong = [example for example in examples if example.label != example.decision]
    return [example for pair in zip_longest(correct, wrong) for example in pair if example is not None]


def describe_example(example: Example, labels: list[str]) -> dict:
    """What the template shows of an ``Example``: its picture, its curves' names and colours, its votes."""
    curves = plots.confidence_curves(example, labels)
    correct = example.label == example.decision
    roles = ["strongest other class"] * (len(curves) - (1 if correct else 2))
    roles += ["true and decided class"] if correct else ["true class", "decided class"]
    decided = labels.index(example.decision)
    return {
        "path": example.path,
        "label": example.label,
        "decision": example.decision,
        "correct": correct,
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


def accuracy_interval(evaluation: dict, rule: str) -> tuple[float, float] | None:
    """Wilson's 95 % interval of an evaluation's accuracy; None without clips."""
    total, share = evaluation["clips"], evaluation[rule]["accuracy"]
    return wilson_interval(round(share * total), total) if total else None


def frequent_confusions(confusion: list[list[int]], labels: list[str], count: int = 6) -> list[dict]:
    """The ``count`` most frequent confusions: dictionaries of true and decided class, clips, clips of the class."""
    pairs = [
        {"true": labels[t], "decided": labels[d], "clips": n, "of": sum(row)}
        for t, row in enumerate(confusion)
        for d, n in enumerate(row)
        if n and t != d
    ]
    return sorted(pairs, key=itemgetter("clips"), reverse=True)[:count]


# -- filters of the template


def percent(share: float | None) -> str:
    """0.7134 as ``71.3 %``; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f}\u202f%"


def points(share: float) -> str:
    """A difference of shares, 0.0271 as ``+2.7`` percentage points."""
    return f"{100 * share:+.1f}".replace("-", "\u2212")


def duration(seconds: float) -> str:
    """Seconds as ``45 s``, ``12 min 5 s`` or ``3 h 20 min``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def moment(iso: str) -> str:
    """An ISO 8601 time as ``2026-11-22 15:48 UTC``."""
    return datetime.fromisoformat(iso).astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
