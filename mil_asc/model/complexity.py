"""Complexity of a model: parameters, multiply-accumulates, memory for weights and for activations.

The counts are for one clip in evaluation mode, from the log-mel spectrogram on. The front end is not counted, as usual
in the DCASE challenge and in papers.
"""

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}
"""Bytes of one parameter by number type."""
DCASE_WEIGHT_BYTES = 128_000
"""Limit of DCASE task 1 on the memory of all parameters: in 2022 as int8, in 2023 and 2024 in any type."""
DCASE_MACS = 30_000_000
"""Limit of DCASE task 1, 2022 to 2024, on the multiply-accumulates of a clip of one second."""


def parameter_count(network):
    """Number of parameters of a network; batch-norm statistics are not parameters and do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


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
        ``parameters``; ``macs`` and ``activation_bytes``, both by length; ``weight_bytes`` by number type; ``dcase``:
        the challenge's limits, and whether the weights of each type and the operations for one second meet them.
    """
    parameters = parameter_count(network)
    weights = weight_bytes(parameters)
    macs = {str(seconds): multiply_accumulates(network, seconds) for seconds in lengths}
    return {
        "parameters": parameters,
        "macs": macs,
        "activation_bytes": {str(seconds): activation_peak(network, seconds) for seconds in lengths},
        "weight_bytes": weights,
        "dcase": {
            "weight_bytes_limit": DCASE_WEIGHT_BYTES,
            "weights_within": {name: size <= DCASE_WEIGHT_BYTES for name, size in weights.items()},
            "macs_limit": DCASE_MACS,
            "macs_within": (macs["1"] if "1" in macs else multiply_accumulates(network, 1)) <= DCASE_MACS,
        },
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
    wav_1N = torch.zeros(1, round(seconds * network.front_end.sample_rate), device=device)
    with torch.no_grad():
        network.eval()(wav_1N)
