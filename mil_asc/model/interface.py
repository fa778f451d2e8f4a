"""What a caller of a network must know: plain numbers and names, without PyTorch.

The same values stand in the metadata of an ONNX file, so that a program without PyTorch windows recordings, times
instances and decides as ``SceneClassifier`` does.
"""

import json
import math
from dataclasses import dataclass, field, fields

import numpy as np

from mil_asc.checks import check_choice, check_count, check_names, check_text
from mil_asc.errors import ArgumentError

RULE_NAMES = ("smi", "cmi", "bag")
"""Decision rules (``mil_asc.mil.verdicts``)."""
MOST_CLASSES = 10_000
MOST_SAMPLES = 2**31 - 1


@dataclass(frozen=True)
class NetworkInterface:
    """Input, output and decision of a network.

    Arguments
    ---------
    labels : list of str
        Classes C, in the order of the outputs; different from each other.
    sample_rate : int
        Rate of the waveforms (in Hz).
    min_samples : int
        Shortest waveform with one instance (in samples).
    step_samples, hop_samples : int
        Samples from one instance to the next, and from one frame to the next.
    context_instances : int or None
        Instances on either side that the scores of an instance depend on; None: on the whole recording.
    rule : str
        The rule that decides by default: a name of ``RULE_NAMES``.
    pooling : str
        Pooling from instances to bag, by the name of ``mil_asc.mil.pooling``.
    pooling_options : dict
        Its options, text -> number.
    sharpness : list of float or None
        Learned sharpness of each class (C,), of the pooling ``auto``.
    has_attention : bool
        Whether an attention score follows the C logits of each instance.

    Raises
    ------
    ArgumentError
        A value of another type or out of its range.
    """

    labels: list[str]
    sample_rate: int
    min_samples: int
    step_samples: int
    hop_samples: int
    context_instances: int | None
    rule: str = "smi"
    pooling: str = "max"
    pooling_options: dict = field(default_factory=dict)
    sharpness: list[float] | None = None
    has_attention: bool = False

    def __post_init__(self):
        check_names("labels", self.labels)
        for label in self.labels:
            check_text("labels", label)
        if len(self.labels) > MOST_CLASSES:
            raise ArgumentError(f"labels must be at most {MOST_CLASSES} names, got {len(self.labels)}")
        for name in ("sample_rate", "min_samples", "step_samples", "hop_samples"):
            check_count(name, getattr(self, name))
            if getattr(self, name) > MOST_SAMPLES:
                raise ArgumentError(f"{name} must be at most {MOST_SAMPLES}, got {getattr(self, name)}")
        if self.context_instances is not None:
            check_count("context_instances", self.context_instances, least=0)
        check_choice("rule", self.rule, RULE_NAMES)
        check_text("pooling", self.pooling)
        self._check_pooling()

    def _check_pooling(self):
        numbers = list(self.sharpness or [])
        if isinstance(self.pooling_options, dict):
            numbers += self.pooling_options.values()
        plain = isinstance(self.pooling_options, dict) and isinstance(self.has_attention, bool)
        if not plain or not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ArgumentError("pooling_options and sharpness must hold finite numbers, has_attention true or false")
        if self.sharpness is not None and len(self.sharpness) != len(self.labels):
            raise ArgumentError(f"sharpness must be {len(self.labels)} numbers, got {len(self.sharpness)}")

    @property
    def min_seconds(self):
        """Shortest recording that has an instance (in seconds)."""
        return self.min_samples / self.sample_rate

    def instance_times(self, num_instances, num_samples, first=0):
        """(I, 2) start and end of ``num_instances`` instances from ``first`` on: float64 array, in seconds.

        The recording has ``num_samples`` samples.

        Example
        -------
        >>> one = NetworkInterface(["bus", "tram"], 16000, 3584, 4096, 512, 12)
        >>> one.instance_times(3, 12800).tolist()
        [[0.0, 0.24], [0.24, 0.496], [0.496, 0.752]]
        """
        edges = np.arange(first, first + num_instances + 1) * self.step_samples - self.hop_samples / 2
        return np.stack([edges[:-1], edges[1:]], axis=1).clip(0, num_samples) / self.sample_rate

    def to_metadata(self):
        """Text by name, as the metadata of an ONNX file holds it; every value is JSON."""
        return {one.name: json.dumps(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_metadata(cls, metadata):
        """The interface that a file's metadata (text by name) describe; further names are ignored.

        Raises
        ------
        ArgumentError
            A name is missing, or a value is not legal.
        """
        values = {}
        for one in fields(cls):
            if one.name not in metadata:
                raise ArgumentError(f"the metadata have no {one.name}: the file was not exported by mil_asc")
            try:
                values[one.name] = json.loads(metadata[one.name])
            except (ValueError, RecursionError) as error:
                raise ArgumentError(f"{one.name} of the metadata is not JSON: {metadata[one.name]!r:.80}") from error
        return cls(**values)


def interface_of(network, labels):
    """The ``NetworkInterface`` of a ``MILClassifier`` with these class names."""
    pooling = network.pooling
    sharpness = network.sharpness_C
    return NetworkInterface(
        labels=list(labels),
        sample_rate=network.front_end.sample_rate,
        min_samples=network.min_samples,
        step_samples=network.instance_samples,
        hop_samples=network.front_end.hop_length,
        context_instances=network.context_instances,
        rule=network.decision,
        pooling=network.pooling_name,
        pooling_options=dict(pooling.keywords),
        sharpness=None if sharpness is None else sharpness.detach().tolist(),
        has_attention=network.attention is not None,
    )
