"""Complexity of a model: parameters, multiply-accumulates, memory for weights and for activations.

The counts are for one clip in evaluation mode, from the log-mel spectrogram on (or the waveform, if the network takes
it). The front end is not counted, as usual in the DCASE challenge and in papers. A clip that is too short for an
instance counts as the shortest that has one.
"""

from typing import NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mil_asc.model.dcase_limits import DCASE_MACS, DCASE_WEIGHT_BYTES
from mil_asc.model.folded import folded

WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}
"""Bytes of one parameter by number type."""
BIAS_BYTES = {"float32": 4, "float16": 2, "int8": 4}
"""Bytes of one bias by number type of the weights: ONNX Runtime and TFLite add biases to 8-bit products in 32 bits."""


class SubmittedSize(NamedTuple):
    """The size of a network as the DCASE challenge counts it, in ``parameters``, ``non_zero`` ones, ``weight_bytes``
    by number type, and ``macs``, multiply-accumulates of one inference of one second."""

    parameters: int
    non_zero: int
    weight_bytes: dict[str, int]
    macs: int

    @property
    def within(self) -> dict[str, bool]:
        """Whether the network meets both limits on its size and operations, by number type of the weights."""
        return {
            name: size <= DCASE_WEIGHT_BYTES and self.macs <= DCASE_MACS for name, size in self.weight_bytes.items()
        }


def parameter_count(network):
    """Number of parameters of a network; batch-norm statistics are not parameters and do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


def nonzero_count(network):
    """Parameters of a network that are not zero, which a pruned network is counted by (DCASE task 1A of 2021)."""
    return sum(int(parameter.count_nonzero()) for parameter in network.parameters())


def weight_bytes(parameters):
    """Bytes of this number of parameters, by number type."""
    return {name: size * parameters for name, size in WEIGHT_BYTES.items()}


def multiply_accumulates(network, seconds):
    """Multiply-accumulates of convolutions and matrix products for one clip, by PyTorch's own counter.

    Biases, batch norm, activations and pooling do not count: the first two can be merged into the convolutions.

    Arguments
    ---------
    network : MILClassifier
        The network; it is left in evaluation mode.
    seconds : float
        Length of the clip.
    """
    with FlopCounterMode(display=False) as counter:
        _run(network, seconds)
    front_end = counter.get_flop_counts().get(f"{type(network).__name__}.front_end", {})
    return (counter.get_total_flops() - sum(front_end.values())) // 2  # one is a product and a sum


def submitted_size(network):
    """The size of a network by the counting of DCASE task 1, 2022 to 2025.

    Batch norms are folded into the convolutions before them (``folded``). All parameters that are left count, zeros
    too; ``non_zero`` are what the challenge of 2021 counted. The bytes are those of every weight in the number type,
    and of every parameter with one axis (biases; scales and offsets of norms that do not fold) in ``BIAS_BYTES``: in 32
    bits beside int8. Scales and zero points of a quantization are no parameters. This is stricter than the challenge
    of 2022, in which a parameter is one byte.

    Arguments
    ---------
    network : MILClassifier
        It is left in evaluation mode.

    Returns
    -------
    SubmittedSize

    Example
    -------
    >>> from mil_asc.model.classifier import MILClassifier
    >>> from mil_asc.model.extractors.fuse import FUSE
    >>> from mil_asc.model.features import LogMel
    >>> from mil_asc.model.heads import Head
    >>> size = submitted_size(MILClassifier(LogMel(), FUSE(), Head(instance_dim=168)))
    >>> size.parameters, size.weight_bytes["int8"], size.macs
    (108354, 119736, 21903936)
    """
    network.eval()
    small = folded(network)
    parameters = list(small.parameters())
    biases = sum(one.numel() for one in parameters if one.ndim < 2)
    weights = sum(one.numel() for one in parameters) - biases
    return SubmittedSize(
        parameters=weights + biases,
        non_zero=sum(int(one.count_nonzero()) for one in parameters),
        weight_bytes={name: size * weights + BIAS_BYTES[name] * biases for name, size in WEIGHT_BYTES.items()},
        macs=multiply_accumulates(small, 1),
    )


def activation_peak(network, seconds):
    """Peak memory (in bytes) of float32 activations for one clip in PyTorch, including the log-mel spectrogram.

    Every tensor counts from the operation that creates it until nothing refers to it. Weights do not count, nor does
    memory inside an operation. A compiler that fuses or reorders operations needs less.

    Arguments
    ---------
    network : MILClassifier
        The network; it is left in evaluation mode.
    seconds : float
        Length of the clip.
    """
    live = LiveBytes([*network.parameters(), *network.buffers()])
    hook = network.front_end.register_forward_hook(lambda module, inputs, logmel: live.restart(logmel))
    try:
        with live:
            _run(network, seconds)
    finally:
        hook.remove()
    return live.peak


def complexity(network, lengths=(1, 10)):
    """All counts of a network as plain data.

    Arguments
    ---------
    network : MILClassifier
        The network; it is left in evaluation mode.
    lengths : sequence of int
        Clip lengths (in seconds).

    Returns
    -------
    dict
        ``parameters``; ``non_zero`` ones and their ``non_zero_bytes`` by number type; ``macs`` and
        ``activation_bytes``, both by length; ``weight_bytes`` by number type; ``dcase``: the challenge's limits, and
        whether the weights of each type and the operations for one second meet them; ``submitted``: ``SubmittedSize``
        as a dictionary, and ``within``.
    """
    submitted = submitted_size(network)
    parameters = parameter_count(network)
    weights = weight_bytes(parameters)
    macs = {str(seconds): multiply_accumulates(network, seconds) for seconds in lengths}
    return {
        "parameters": parameters,
        "non_zero": nonzero_count(network),
        "non_zero_bytes": weight_bytes(nonzero_count(network)),
        "macs": macs,
        "activation_bytes": {str(seconds): activation_peak(network, seconds) for seconds in lengths},
        "weight_bytes": weights,
        "dcase": {
            "weight_bytes_limit": DCASE_WEIGHT_BYTES,
            "weights_within": {name: size <= DCASE_WEIGHT_BYTES for name, size in weights.items()},
            "macs_limit": DCASE_MACS,
            "macs_within": (macs["1"] if "1" in macs else multiply_accumulates(network, 1)) <= DCASE_MACS,
        },
        "submitted": {**submitted._asdict(), "within": submitted.within},
    }


class LiveBytes(TorchDispatchMode):
    """Records the tensors that operations create while the mode is on; ``peak`` is the peak of bytes alive.

    Arguments
    ---------
    ignored : sequence of torch.Tensor
        Tensors whose memory does not count, nor that of their views.
    """

    def __init__(self, ignored=()):
        super().__init__()
        self.ignored = {tensor.untyped_storage()._cdata for tensor in ignored}
        self.restart()

    def restart(self, *tensors):
        """Forget all but ``tensors``."""
        self.peak, self.alive = 0, {}
        self._record(tensors)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Run an operation and record its results."""
        result = operation(*args, **(kwargs or {}))
        self._record(tree_leaves(result))
        return result

    def _record(self, results):
        for tensor in results:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.ignored:
                    self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {key: (ref, size) for key, (ref, size) in self.alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))


def _run(network, seconds):
    device = next(network.parameters()).device
    samples = max(round(seconds * network.front_end.sample_rate), network.min_samples)
    wav_1N = torch.zeros(1, samples, device=device)
    with torch.no_grad():
        network.eval()(wav_1N)
