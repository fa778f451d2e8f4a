"""What a model says of itself, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mil_asc.cli.model_choice import ModelChoice, is_run
from mil_asc.packaging.file_facts import DEBUG, NetworkFacts, facts_of, read_facts
from mil_asc.packaging.layout import CONFIG, MOST_BYTES, WEIGHTS
from mil_asc.runtime.bounded_files import read_bounded
from mil_asc.runtime.files import size_text
from mil_asc.runtime.strict_json import parse_json

if TYPE_CHECKING:
    from mil_asc.model.classifier import MILClassifier
    from mil_asc.packaging.familiarity import Calibration

RULES = {"smi": "SMI: the most confident moment", "cmi": "CMI: most moments", "bag": "the model's pooling"}


def describe(model: ModelChoice) -> dict[str, Any]:
    """Facts by name, in the order in which they are told."""
    classifier = model.load()
    stated = stated_facts(model.place, classifier.metadata)
    own, context = classifier.interface, classifier.interface.context_instances
    step = own.step_samples / own.sample_rate
    return {
        "model": str(model.place),
        "labels": list(own.labels),
        "sample_rate": f"{own.sample_rate} Hz",
        "shortest_input": f"{own.min_seconds:.3f} s",
        "instance_step": f"{step:.3f} s",
        "context": "the whole recording" if context is None else f"{context * step:.3f} s on either side",
        "decides_by": RULES[own.rule],
        "pooling": own.pooling,
        **_parameters(model.place, stated),
        "calibration": _calibration(classifier.calibration),
        "trained_on": provenance(model.place, classifier.metadata) or "not known: the ONNX file does not say",
        "files": _files(model.place),
    }


def _parameters(place: Path, stated: NetworkFacts | None) -> dict[str, Any]:
    """``parameters``: the weights that training adapts; of an ONNX file what it states; nothing without PyTorch."""
    if place.is_file():
        names = ("total_parameters", "macs", "weight_precision", "weight_bytes")
        return {} if stated is None else {name: getattr(stated, name) for name in names}
    network = load_network(place)
    return {} if network is None else {"parameters": sum(one.numel() for one in network.parameters())}


def stated_facts(place: Path, metadata: Mapping[str, str]) -> NetworkFacts | None:
    """Kind and size of the network: what the ``metadata`` of an ONNX file state, else counted; None without PyTorch."""
    if place.is_file():
        found = read_facts(metadata)
        return None if found is None else found[0]
    network = load_network(place)
    return None if network is None else facts_of(network)


def load_network(place: Path) -> MILClassifier | None:
    """The network of a model folder or run, on the CPU; None of an ONNX file alone, and without PyTorch."""
    if find_spec("torch") is None:
        return None
    if (place / WEIGHTS).is_file():
        from mil_asc.packaging.folder import load_model_folder

        return load_model_folder(place).network
    if is_run(place):
        from mil_asc.results.trained_model import load_model

        return load_model(place).network
    return None


def _calibration(found: Calibration | None) -> dict[str, Any] | str:
    if found is None:
        return "none: scores are no probabilities, and foreign sound is not marked"
    facts: dict[str, Any] = {"clips": found.clips, "clip_lengths": f"{found.shortest:g} to {found.longest:g} s"}
    for rule, one in found.rules.items():
        facts[f"calibration_error_{rule}"] = f"{one.error_before:.3f} before, {one.error_after:.3f} after"
    return facts


def provenance(place: Path, metadata: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a model was trained on and how, by name: data set, experiment, ...; empty where an ONNX file's ``metadata``
    do not say."""
    if place.is_file():
        stated = read_facts(metadata or {})
        return {} if stated is None else stated[1]
    if (place / CONFIG).is_file():
        config = parse_json(read_bounded(place / CONFIG, MOST_BYTES[CONFIG]), place / CONFIG)
        found = config.get("trained_on") if isinstance(config, dict) else None
        return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}
    if is_run(place):
        return run_provenance(place)
    return {}


def run_provenance(folder: Path) -> dict[str, str]:
    """What a run was trained on and how, by name; empty without a report."""
    from mil_asc.results.how_trained import augmentation_of, teachers_of
    from mil_asc.results.run import REPORT, Run

    if not (folder / REPORT).is_file():
        return {}
    run = Run(folder)
    known = {"dataset": run.dataset, "experiment": run.experiment, "seed": str(run.seed)}
    how = {"augmentation": augmentation_of(run), "teachers": teachers_of(run)}
    how[DEBUG] = "a debug run, whose results mean nothing" if run.debug else None
    return known | {name: text for name, text in how.items() if text is not None}


def _files(place: Path) -> dict[str, str]:
    """Sizes of the model's files."""
    if place.is_file():
        return {place.name: size_text(place.stat().st_size)}
    names = list(MOST_BYTES)
    if is_run(place):
        from mil_asc.results.run import MODEL_SETTINGS, MODEL_WEIGHTS

        names = [MODEL_SETTINGS, MODEL_WEIGHTS]
    return {name: size_text((place / name).stat().st_size) for name in names if (place / name).is_file()}
