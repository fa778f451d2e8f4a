"""The network without its front end, for a window of fixed length: for phones and microcontrollers.

Their frameworks want static shapes and real numbers, and compute spectrograms with code of their own. SMI, CMI and the
decision are left to the caller.
"""

from __future__ import annotations

import copy
import json
from typing import NamedTuple

import numpy as np
import onnx
import torch

import mil_asc
from mil_asc.checks import check_number
from mil_asc.errors import ArgumentError, UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.interface import interface_of
from mil_asc.packaging.export import finish, trace
from mil_asc.packaging.waveform_graph import SpectrogramGraph

INPUT = "logmel"
FRONT_END = ("n_mels", "n_fft", "hop_length", "log_floor")


class NetworkOnly(NamedTuple):
    """An ONNX file; the bytes of its weights (flash); and of its activations (working memory).

    ``memory_bytes`` is the greatest sum of the tensors alive at one time, when operators run in the order of the file
    and a tensor is dropped after its last use: what a runtime needs at least that computes nothing in place.
    """

    data: bytes
    flash_bytes: int
    memory_bytes: int


def export_network_only(
    network: MILClassifier, labels: list[str], seconds: float, weights_sha256: str | None = None
) -> NetworkOnly:
    """An ONNX file from a log-mel spectrogram of fixed length to instance logits.

    Input ``logmel`` (1, F, T), natural log of mel power as ``mil_asc.model.features.LogMel`` computes it. Outputs:
    ``logits`` (1, instances, C), and ``attention`` (1, instances) where the network has it. The metadata have, beside
    those of ``NetworkInterface``, ``n_mels``, ``n_fft``, ``hop_length`` (in samples), ``log_floor`` and ``frames``.

    Arguments
    ---------
    network : MILClassifier
        Stays as it is.
    labels : list of str
        Classes, in the order of the outputs.
    seconds : float
        Length of the window, at least one instance.
    weights_sha256 : str, optional
        Checksum of the weights' file, for the metadata.

    Raises
    ------
    ArgumentError
        The window is too short.
    UserError
        The network takes the waveform, or cannot be exported.
    """
    if network.front_end.output != "logmel":
        raise UserError("--network-only is for networks that take a log-mel spectrogram: this one takes the waveform")
    check_number("seconds", seconds, above=0, below=3600)
    samples = round(seconds * network.front_end.sample_rate)
    if samples < network.min_samples:
        least = network.min_samples / network.front_end.sample_rate
        raise ArgumentError(f"seconds must be at least {least:.3f}, one instance; got {seconds:g}")
    frames = network.front_end.num_frames(samples)
    graph = SpectrogramGraph(copy.deepcopy(network).cpu().float()).eval()
    model = trace(graph, torch.randn(1, network.front_end.n_mels, frames), INPUT, graph.names, {})
    kept = [output for output in model.graph.output if output.name in ("logits", "attention")]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    _drop_unused(model.graph)
    metadata = interface_of(network, labels).to_metadata() | {"mil_asc_version": mil_asc.__version__}
    metadata |= {name: json.dumps(getattr(network.front_end, name)) for name in FRONT_END}
    if weights_sha256 is not None:
        metadata["weights_sha256"] = weights_sha256
    data = finish(model, metadata | {"frames": json.dumps(int(frames))})
    return NetworkOnly(data, *footprint(data))


def footprint(data: bytes) -> tuple[int, int]:
    """(bytes of the weights, greatest bytes of the activations alive at one time) of a file with static shapes."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    weights = {each.name: _bytes_of(each.data_type, each.dims) for each in graph.initializer}
    sizes = {value.name: _size(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    last = {name: position for position, node in enumerate(graph.node) for name in node.input}
    last |= {output.name: len(graph.node) for output in graph.output}
    alive = {value.name for value in graph.input}
    most = 0
    for position, node in enumerate(graph.node):
        alive |= set(node.output) & last.keys()
        most = max(most, sum(sizes[name] for name in alive))
        alive -= {name for name in alive if last[name] <= position}
    return sum(weights.values()), most


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove operators and weights that no output needs."""
    needed = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    weights = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)


def _size(value: onnx.ValueInfoProto) -> int:
    kind = value.type.tensor_type
    return _bytes_of(kind.elem_type, [each.dim_value for each in kind.shape.dim])


def _bytes_of(data_type: int, dims: list[int]) -> int:
    return int(np.prod(dims, dtype=np.int64)) * onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize
