"""What an ONNX file says of the network in it: its kind, its size as DCASE task 1 counts it, what it was trained on.

A text of JSON in the file's metadata, for reports and submissions; a file without it computes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, get_type_hints

from mil_asc.errors import UserError
from mil_asc.runtime.strict_json import parse_json

if TYPE_CHECKING:
    from mil_asc.model.classifier import MILClassifier

KEY = "facts"
TRAINED_ON = "trained_on"
DEBUG = "debug"
"""In what a network was trained on: that it is of a debug run."""


class NetworkFacts(NamedTuple):
    """A network: names of its extractor and of what it takes (``logmel`` or ``waveform``); its size by the counting of
    ``mil_asc.model.complexity.submitted_size``, with the bytes of its weights in ``weight_precision``."""

    extractor: str
    features: str
    total_parameters: int
    non_zero_parameters: int
    macs: int
    weight_precision: str
    weight_bytes: int


def facts_of(network: MILClassifier) -> NetworkFacts:
    """Of a network with float32 weights, which is left in evaluation mode."""
    from mil_asc.model.complexity import submitted_size  # the rest needs no PyTorch

    size = submitted_size(network)
    return NetworkFacts(
        extractor=type(network.extractor).__name__,
        features=network.front_end.output,
        total_parameters=size.parameters,
        non_zero_parameters=size.non_zero,
        macs=size.macs,
        weight_precision="float32",
        weight_bytes=size.weight_bytes["float32"],
    )


def read_facts(metadata: Mapping[str, str]) -> tuple[NetworkFacts, dict[str, str]] | None:
    """The facts that a file's metadata state, and what its network was trained on; None where they state none.

    Raises
    ------
    UserError
        They are damaged.
    """
    if KEY not in metadata:
        return None
    where = f"{KEY} in the metadata of the ONNX file"
    values = parse_json(metadata[KEY], where)
    if not isinstance(values, dict):
        raise UserError(f"{where} are no mapping: the file is damaged")
    trained_on = values.get(TRAINED_ON)
    if not isinstance(trained_on, dict) or not all(isinstance(text, str) for text in trained_on.values()):
        raise UserError(f"{where} have no {TRAINED_ON}: the file is damaged")
    for name, kind in get_type_hints(NetworkFacts).items():
        if type(values.get(name)) is not kind:
            raise UserError(f"{where} have no {name}: the file is damaged")
    return NetworkFacts(**{name: values[name] for name in NetworkFacts._fields}), trained_on
