"""The sidecar of a submission to DCASE task 1: what a model says of itself, and what its author must add.

``a.output.csv`` (or ``a.csv``) has ``a.meta.yaml`` beside it. The fields follow the task's template, whose years
differ in a few names. Every text is a JSON string, which YAML reads as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mil_asc.cli.model_choice import ModelChoice, is_run
from mil_asc.cli.model_facts import RULES, provenance, stated_facts
from mil_asc.corpora.dcase import SCENES
from mil_asc.errors import name_some, printable
from mil_asc.model.dcase_limits import DCASE_MACS, DCASE_WEIGHT_BYTES
from mil_asc.packaging.file_facts import DEBUG, NetworkFacts
from mil_asc.runtime.files import write_atomically

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer

ENDINGS = re.compile(r"(\.output)?\.[^.]*$")
HEAD = """\
# Meta information of a submission to DCASE task 1, written by mil-asc classify --format dcase.
# EMPTY FIELDS, which the author must fill in:
{empty}
# Compare with the template of the challenge's year: names of fields differ between years.
# Complexity: batch norms folded into convolutions, the front end left out; multiply-accumulates of one inference of
# 1 s; beside int8 weights, biases and the weights that are not quantized have 32 bits.{doubts}
# Accuracies in percent, log loss with the natural logarithm.
"""
LINE = "#   {}"
NOT_TEXT = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
"""Words that YAML reads as something else."""


def write_meta(to: str, model: ModelChoice, classifier: Explainer, assumption: str | None, force: bool) -> str:
    """Write the sidecar of a submission, atomically; one that is there is kept, with what its author wrote in it.

    Arguments
    ---------
    to : str
        The submission.
    model : ModelChoice
        The model that made it.
    classifier : Explainer
        The same model, loaded.
    assumption : str or None
        The rule that decided; None: the model's own.
    force : bool
        Replace a sidecar.

    Returns
    -------
    str
        A line for the author, with the fields to fill in.
    """
    place = meta_place(to)
    if place.exists() and not force:
        return f"{printable(str(place))} is there already and was kept: --force replaces it"
    facts = meta_of(place.name.removesuffix(".meta.yaml"), model, classifier, assumption)
    empty = list(empty_fields(facts))
    doubts = [*over_limits(facts["system"]["complexity"]), *_other_classes(classifier.interface.labels)]
    doubts += [f"the model is of {text}" for name, text in _known(model, classifier).items() if name == DEBUG]
    head = HEAD.format(empty="\n".join(map(LINE.format, empty)), doubts="".join(f"\n# {line}." for line in doubts))
    write_atomically(place, head + "\n".join(_lines(facts, "")) + "\n")
    return "\n".join([f"{printable(str(place))}: fill in {', '.join(empty)}", *(f"warning: {line}" for line in doubts)])


def _other_classes(labels: Sequence[str]) -> list[str]:
    """A line on classes that are not the task's."""
    if set(labels) == set(SCENES):
        return []
    return [f"the classes are not the ten scenes of DCASE task 1, 2018 to 2025: {name_some(sorted(labels), 5)}"]


def _known(model: ModelChoice, classifier: Explainer) -> dict[str, str]:
    return provenance(model.place, classifier.metadata)


def over_limits(complexity: Mapping[str, Any]) -> list[str]:
    """Lines on what exceeds the limits of DCASE task 1, 2022 to 2025; unknown counts exceed nothing."""
    limits = {"weight_bytes": (DCASE_WEIGHT_BYTES, "bytes of weights"), "macs": (DCASE_MACS, "multiply-accumulates")}
    lines = []
    for name, (most, words) in limits.items():
        count = complexity[name]
        if count is not None and count > most:
            is_float = name == "weight_bytes" and complexity["weight_precision"] == "float32"
            advice = "; mil-asc export --int8 makes it smaller" if is_float else ""
            lines.append(f"{count:,} {words}: DCASE task 1 allowed {most:,} from 2022 to 2025{advice}")
    return lines


def meta_place(to: str) -> Path:
    """The sidecar of a submission.

    Example
    -------
    >>> meta_place("a/Doe_task1_1.output.csv").name, meta_place("sub.csv").name, meta_place("sub").name
    ('Doe_task1_1.meta.yaml', 'sub.meta.yaml', 'sub.meta.yaml')
    """
    path = Path(to)
    return path.with_name(ENDINGS.sub("", path.name) + ".meta.yaml")


def meta_of(label: str, model: ModelChoice, classifier: Explainer, assumption: str | None = None) -> dict[str, Any]:
    """The fields of a sidecar: nested dictionaries, with None where the author must fill in."""
    own = classifier.interface
    network = stated_facts(model.place, classifier.metadata)
    known = _known(model, classifier)
    description: dict[str, Any] = {
        "input_sampling_rate": f"{own.sample_rate / 1000:g} kHz",
        "acoustic_features": None,
        "data_augmentation": known.get("augmentation"),
        "machine_learning_method": None,
        "decision_making": RULES[assumption or own.rule],
        "device_information": "not used: one model for all devices",
        "training_data": _training_data(known),
    }
    if network is not None:
        description["acoustic_features"] = "log-mel spectrogram" if network.features == "logmel" else "waveform"
        method = f"{network.extractor}, multiple-instance learning ({own.pooling} pooling)"
        teachers = f", knowledge distillation ({known['teachers']})" if "teachers" in known else ""
        description["machine_learning_method"] = method + teachers
    return {
        "submission": {
            "label": printable(label),
            "name": None,
            "abbreviation": None,
            "authors": [
                {
                    "lastname": None,
                    "firstname": None,
                    "email": None,
                    "affiliation": {"institute": None, "location": None},
                }
            ],
        },
        "system": {
            "description": description,
            "complexity": _complexity(network),
            "external_datasets": None,
            "source_code": None,
        },
        "results": {"development_dataset": _results(model.place, own.labels)},
    }


def empty_fields(facts: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of the fields that are None, in their order; items of a list by their number from 0."""
    items = facts.items() if isinstance(facts, dict) else enumerate(facts) if isinstance(facts, list) else ()
    for key, value in items:
        name = f"{prefix}{key}"
        if value is None:
            yield name
        yield from empty_fields(value, f"{name}.")


def _training_data(known: Mapping[str, str]) -> str | None:
    return ", ".join(f"{key} {known[key]}" for key in ("dataset", "experiment", "seed", DEBUG) if key in known) or None


def _complexity(network: NetworkFacts | None) -> dict[str, Any]:
    names = ("total_parameters", "non_zero_parameters", "macs", "weight_precision", "weight_bytes")
    return {name: None if network is None else getattr(network, name) for name in names}


def _results(place: Path, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy and log loss on the evaluation set of a run's report: of all clips, by class and by device.

    What the report lacks is None: models without a report, classes without clips, runs of versions without log losses.
    So is everything of debug runs, and of runs with other classes, whose evaluation set is not the task's.
    """
    if not is_run(place) or not set(labels) <= set(SCENES):
        return {"overall": _scores(None, None)}
    from mil_asc.results.run import REPORT, Run  # needs more than ONNX Runtime does

    if not (place / REPORT).is_file():
        return {"overall": _scores(None, None)}
    run = Run(place)
    if run.debug:
        return {"overall": _scores(None, None)}
    evaluation = run.report["evaluation"]
    rule, losses = _part(evaluation, run.decision), _part(evaluation, "log_losses")
    found: dict[str, Any] = {"overall": _scores(run.accuracy(), evaluation.get("log_loss"))}
    for name, part in (("class_wise", "per_class"), ("device_wise", "per_device")):
        shares, loss = _part(rule, part), _part(losses, part)
        if shares:
            found[name] = {one: _scores(_part(shares, one).get("accuracy"), loss.get(one)) for one in shares}
    return found


def _scores(accuracy: Any, loss: Any) -> dict[str, float | None]:
    """An accuracy (0 to 1) in percent, and a log loss; None for what is no number."""
    share, number = (one if isinstance(one, int | float) else None for one in (accuracy, loss))
    return {"accuracy": None if share is None else round(100 * share, 2), "logloss": number}


def _part(parts: dict[str, Any], name: str) -> dict[str, Any]:
    found = parts.get(name)
    return found if isinstance(found, dict) else {}


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The lines of a mapping as YAML, each beginning with ``indent``."""
    for key, inner in value.items():
        name = f"{indent}{_key(key)}:"
        if isinstance(inner, dict) and inner:
            yield name
            yield from _lines(inner, indent + "  ")
        elif isinstance(inner, list) and inner:
            yield name
            for item in inner:
                first, *rest = _lines(item, indent + "    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{name} {'' if inner is None else json.dumps(inner)}".rstrip()


def _key(name: str) -> str:
    """A key, in quotes unless it is a plain word that YAML reads as text."""
    return name if re.fullmatch("[a-z][a-z0-9_]*", name) and name not in NOT_TEXT else json.dumps(name)
