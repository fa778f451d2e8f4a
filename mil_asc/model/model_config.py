"""Everything that builds a network, as plain values and names of the registries: nothing in it is code.

``ModelConfig`` is the content of a model folder's ``config.json``. The ``model.yaml`` of a run is read into the same
values (``mil_asc.results.model_yaml``), so both are checked and built alike.
"""

from __future__ import annotations

import inspect
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass

from mil_asc.checks import check_choice, check_names, check_number
from mil_asc.errors import ArgumentError, UserError
from mil_asc.mil.pooling import POOLINGS, check_pooling_options
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.features import LogMel, LogMelDeltas, LogMelDurations, Waveform
from mil_asc.model.heads import CONFIDENCES, GENERATORS
from mil_asc.model.input_channels import MOST_FRAMES
from mil_asc.model.interface import MOST_CLASSES, RULE_NAMES
from mil_asc.model.normalization import BATCH_NORMS, INPUT_NORMS
from mil_asc.runtime.strict_json import parse_json

FORMAT = 1
"""Version of the keys of ``config.json``."""
FRONT_ENDS = {
    "logmel": LogMel,
    "logmel_deltas": LogMelDeltas,
    "logmel_durations": LogMelDurations,
    "waveform": Waveform,
}
"""Front ends by their names in ``config.json``."""
MOST_CONFIG_BYTES = 1_000_000
MOST_NUMBER = 1_000_000
"""Largest whole number that an extractor's arguments may hold; as a rate in Hz and a dimension too."""
MOST_ITEMS = 64
MOST_TEXT = 1000
MOST_NAME = 100
"""Most items of a list of arguments; longest label and text of ``trained_on``, longest name."""
CONTROLS = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that no text has: control characters, lone surrogates, line and paragraph separators."""
MOST_MELS, MOST_FFT, MOST_FILTERS = 8192, 2**18, 2**22
MOST_OVERLAP = 64
"""Most mel filters, samples of an analysis window, coefficients of all filters (16 MB), and windows over one sample."""


@dataclass(frozen=True)
class HeadConfig:
    """Settings of the head, as ``mil_asc.model.heads.Head`` has them, without the number of classes."""

    instances: str
    instance_dim: int
    detectors: int
    confidence: str
    pooling: str
    pooling_options: dict

    def __post_init__(self) -> None:
        check_choice("instances", self.instances, GENERATORS)
        check_choice("confidence", self.confidence, CONFIDENCES)
        check_choice("pooling", self.pooling, POOLINGS)
        _check_range("instance_dim", self.instance_dim, MOST_NUMBER)
        _check_range("detectors", self.detectors, MOST_NUMBER)
        if not isinstance(self.pooling_options, dict):
            raise ArgumentError(f"pooling_options must be a mapping such as {{k: 3}}, got {self.pooling_options!r:.80}")
        for name, value in self.pooling_options.items():
            check_number(f"pooling_options.{name}", value)
        check_pooling_options(self.pooling, self.pooling_options)


@dataclass(frozen=True)
class ModelConfig:
    """A network's values.

    Arguments
    ---------
    labels : list of str
        Classes, in the order of the outputs: different from each other, 1 to 10,000.
    rule : str
        The rule that decides by default: a name of ``mil_asc.model.interface.RULE_NAMES``.
    front_end : dict
        ``kind``, a name of ``FRONT_ENDS``, and every argument of that class by name.
    input_norm : str
        A key of ``mil_asc.model.normalization.INPUT_NORMS``.
    extractor : dict
        ``name``, a name of ``registered_extractors()``, and ``arguments``: every argument of that class by name, plain
        values.
    head : HeadConfig
    batch_norm : str or float
        A key of ``mil_asc.model.normalization.BATCH_NORMS``, or the least eps (from 0 up).
    trained_on : dict
        What the network was trained on, text by name; only for reading.
    format : int
        ``FORMAT``.

    Raises
    ------
    ArgumentError
        A value of another type or out of its range: one line with its key and the legal values.
    """

    labels: list[str]
    rule: str
    front_end: dict
    input_norm: str
    extractor: dict
    head: HeadConfig
    batch_norm: str | float
    trained_on: dict = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if type(self.format) is not int or self.format != FORMAT:
            raise ArgumentError(f"format must be {FORMAT} for this version of mil_asc, got {self.format!r:.80}")
        _check_labels(self.labels)
        check_choice("rule", self.rule, RULE_NAMES)
        _check_front_end(self.front_end)
        check_choice("input_norm", self.input_norm, INPUT_NORMS)
        _check_extractor(self.extractor)
        if not isinstance(self.head, HeadConfig):
            raise ArgumentError(f"head must be a mapping of {', '.join(_names(HeadConfig))}, got {self.head!r:.80}")
        if isinstance(self.batch_norm, str):
            check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
        else:
            check_number("batch_norm", self.batch_norm, least=0)
        _check_provenance(self.trained_on)

    @classmethod
    def from_json(cls, content: bytes | str, where: object = "config.json") -> ModelConfig:
        """The config of a JSON text: every key must be there, and no other.

        Raises
        ------
        UserError
            One line with ``where``, the key and the legal values.
        """
        if len(content) > MOST_CONFIG_BYTES:
            raise UserError(f"{where} has {len(content)} bytes: at most {MOST_CONFIG_BYTES} are legal")
        values = parse_json(content, where)
        try:
            values = _exact_keys("the file", values, _names(cls))
            values["extractor"] = _with_later_arguments(values["extractor"])
            values["head"] = _prefixed("head", HeadConfig, **_exact_keys("head", values["head"], _names(HeadConfig)))
            return cls(**values)
        except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
            raise UserError(f"{where}: {' '.join(str(error).split())[:300]}") from error

    def to_json(self) -> str:
        """The text of ``config.json``; ``from_json`` gives the same config back."""
        return json.dumps({"format": self.format} | asdict(self), indent=1, allow_nan=False) + "\n"


def all_arguments(cls: Callable, given: Mapping[str, object]) -> dict:
    """Every argument of a class by name, as plain values: those ``given``, and the defaults of the others.

    Raises
    ------
    ArgumentError
        ``given`` has an unknown name, or lacks an argument without a default.

    Example
    -------
    >>> all_arguments(Waveform, {})
    {'sample_rate': 16000}
    """
    parameters = inspect.signature(cls).parameters
    _refuse_unknown(cls.__name__, given, parameters)
    missing = [name for name, one in parameters.items() if one.default is one.empty and name not in given]
    if missing:
        raise ArgumentError(f"{cls.__name__}: {missing[0]} is missing")
    made = {one.name: one.default_factory() for one in _made_fields(cls)}
    values = {name: one.default for name, one in parameters.items()} | made | dict(given)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _check_labels(labels: object) -> None:
    if isinstance(labels, list | tuple) and len(labels) > MOST_CLASSES:
        raise ArgumentError(f"labels must be at most {MOST_CLASSES} names, got {len(labels)}")
    check_names("labels", labels)
    for label in labels:  # type: ignore[attr-defined]  # check_names refuses anything but a list
        _check_line("labels", label, MOST_TEXT)


def _check_front_end(values: object) -> None:
    if not isinstance(values, dict) or "kind" not in values:
        raise ArgumentError(f"front_end must be a mapping with kind, got {values!r:.80}")
    check_choice("front_end.kind", values["kind"], FRONT_ENDS)
    arguments = list(inspect.signature(FRONT_ENDS[values["kind"]]).parameters)
    _exact_keys("front_end", values, ["kind", *arguments])
    rate = values["sample_rate"]
    _check_range("front_end.sample_rate", rate, MOST_NUMBER)
    if FRONT_ENDS[values["kind"]].output != "logmel":
        return
    _check_range("front_end.n_mels", values["n_mels"], MOST_MELS)
    for name in ("short_median", "long_median"):
        _check_range(f"front_end.{name}", values.get(name, 1), MOST_FRAMES)
    check_number("front_end.log_floor", values["log_floor"], above=0)
    for name in ("window_ms", "hop_ms"):
        check_number(f"front_end.{name}", values[name], above=0)
        if rate * values[name] / 1000 > MOST_FFT:
            raise ArgumentError(f"front_end.{name} must be at most {MOST_FFT} samples, got {values[name]:g} ms")
    if values["window_ms"] > MOST_OVERLAP * values["hop_ms"]:
        least, got = values["window_ms"] / MOST_OVERLAP, values["hop_ms"]
        raise ArgumentError(f"front_end.hop_ms must be at least {least:g} (window_ms / {MOST_OVERLAP}), got {got:g}")
    filters = (round(rate * values["window_ms"] / 1000) // 2 + 1) * values["n_mels"]
    if filters > MOST_FILTERS:
        raise ArgumentError(f"front_end: the mel filters have {filters} coefficients, at most {MOST_FILTERS} are legal")


def _check_extractor(values: object) -> None:
    values = _exact_keys("extractor", values, ["name", "arguments"])
    extractors = registered_extractors()
    check_choice("extractor.name", values["name"], extractors)
    extractor = extractors[values["name"]]
    legal = list(inspect.signature(extractor).parameters)
    arguments = _exact_keys("extractor.arguments", values["arguments"], legal)
    for name, value in arguments.items():
        _check_plain(f"extractor.arguments.{name}", value)


def _with_later_arguments(values: object) -> object:
    """The extractor of a file, with the arguments that its class got after the file was written."""
    arguments = values.get("arguments") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(arguments, dict):
        return values  # which the checks refuse
    name = values.get("name")
    extractor = registered_extractors().get(name) if isinstance(name, str) else None
    if extractor is None:
        return values
    added = {key: value for key, value in extractor.later.items() if key not in arguments}
    return values | {"arguments": arguments | added}


def _check_plain(name: str, value: object, depth: int = 0) -> None:
    """Accept only what an extractor's arguments are made of: true, false, numbers, short text, and lists of these."""
    if isinstance(value, list | tuple) and depth < 2:
        if len(value) > MOST_ITEMS:
            raise ArgumentError(f"{name} must have at most {MOST_ITEMS} items, got {len(value)}")
        for item in value:
            _check_plain(name, item, depth + 1)
    elif isinstance(value, str):
        _check_line(name, value, MOST_NAME)
    elif isinstance(value, float):
        check_number(name, value)
    elif isinstance(value, int):
        if abs(value) > MOST_NUMBER:
            raise ArgumentError(f"{name} must be from {-MOST_NUMBER} to {MOST_NUMBER}, got {value!r:.40}")
    elif value is not None:
        raise ArgumentError(f"{name} must be a number, text, true, false or a list of these, got {value!r:.80}")


def _check_provenance(values: object) -> None:
    if not isinstance(values, dict) or len(values) > MOST_ITEMS:
        raise ArgumentError(f"trained_on must be a mapping of at most {MOST_ITEMS} texts, got {values!r:.80}")
    for name, text in values.items():
        _check_line("a name in trained_on", name, MOST_NAME)
        _check_line(f"trained_on.{name}", text, MOST_TEXT)


def _check_line(name: str, value: object, longest: int) -> None:
    legal = isinstance(value, str) and 0 < len(value) <= longest
    if not legal or any(unicodedata.category(letter) in CONTROLS for letter in value):  # type: ignore[attr-defined]
        raise ArgumentError(f"{name} must be 1 to {longest} characters of one line, got {value!r:.80}")


def _check_range(name: str, value: object, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise ArgumentError(f"{name} must be a whole number from 1 to {most}, got {value!r:.40}")


def _exact_keys(name: str, values: object, legal: list[str]) -> dict:
    if not isinstance(values, dict):
        raise ArgumentError(f"{name} must be a mapping of {', '.join(legal)}, got {values!r:.80}")
    _refuse_unknown(name, values, legal)
    missing = [key for key in legal if key not in values]
    if missing:
        raise ArgumentError(f"{name}: {missing[0]} is missing")
    return dict(values)


def _refuse_unknown(name: str, values: Iterable, legal: Iterable[str]) -> None:
    unknown = [key for key in values if key not in legal]
    if unknown:
        raise ArgumentError(f"{name}: unknown {unknown[0]!r:.80}; legal: {', '.join(legal) or 'none'}")


def _prefixed(prefix: str, make: Callable, **values: object) -> object:
    """What ``make`` builds; a value that it refuses is called by its dotted key."""
    try:
        return make(**values)
    except ArgumentError as error:
        raise ArgumentError(f"{prefix}.{error}") from error


def _made_fields(cls: Callable) -> list:
    """Fields of a data class whose default is made by a function, such as an empty mapping."""
    return [one for one in fields(cls) if one.default_factory is not MISSING] if is_dataclass(cls) else []  # type: ignore


def _names(cls: type) -> list[str]:
    return [one.name for one in fields(cls)]  # type: ignore[arg-type]
