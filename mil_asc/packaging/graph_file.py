"""ONNX files, checked before a runtime sees them; without PyTorch and without the package onnx.

A file that somebody sent must not hang the program, open other files, or ask for memory that has nothing to do with its
size. So only plain graphs are accepted: operators that ``mil_asc.packaging.export`` writes and their like, no loops or
branches, no functions, no weights in other files, and few constants that a runtime computes when it loads the graph.
What the other operators may take is bounded in ``mil_asc.inference.onnx_session``. The check reads the file's structure
(Protocol Buffers, as https://onnx.ai/onnx/repo-docs/IR.html describes it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from mil_asc.errors import UserError
from mil_asc.packaging.layout import CALIBRATION, CONFIG, GRAPH, WEIGHTS, check_files, is_model_folder, read_file
from mil_asc.runtime.bounded_files import read_bounded
from mil_asc.runtime.strict_json import parse_json

MOST_BYTES = 256 << 20
"""Largest file that is read."""
MOST_NODES = 5_000
MOST_COMPUTED = 250
"""Most operators that depend on no samples; conversions of one weight each, as in half or 8-bit files, do not count."""
MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = 5, 6, 10, 11, 22
TENSOR_NAME, TENSOR_EXTERNAL, TENSOR_LOCATION = 8, 13, 14
"""Numbers of the fields of onnx.proto."""
DOMAINS = ("", "ai.onnx")
OPERATORS = frozenset(
    "Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv DequantizeLinear"
    " Div Elu Equal Erf Exp Expand Flatten Floor Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater"
    " GreaterOrEqual HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Less LessOrEqual Log"
    " LogSoftmax MatMul Max MaxPool Min Mod Mul Neg Not Or PRelu Pad Pow QuantizeLinear Reciprocal ReduceL2"
    " ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Selu Shape Sigmoid"
    " Sign Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh TopK Transpose Unsqueeze Where".split()
)
"""What is exported, and operators that are no more dangerous. Those that make a tensor of any size out of a few
numbers are not among them, except Expand and Pad, which are exported."""
CONVERSIONS = ("Cast", "DequantizeLinear")
CONTENT_KEY = b"content_sha256"
"""Of the metadata entry that ends a file: the SHA-256 of all before it."""


class GraphFile(NamedTuple):
    """An ONNX file: where it lies, its bytes, which were checked, and the checksums of the model folder around it."""

    path: Path
    data: bytes
    sums: dict[str, str]

    def check_belongs(self, metadata: Mapping[str, str], labels: Sequence[str]) -> None:
        """A ``UserError`` unless it states the weights, the calibration and the labels of its model folder."""
        if not self.sums:
            return
        calibration = metadata.get("calibration")
        stated = {
            WEIGHTS: metadata.get("weights_sha256"),
            CALIBRATION: None if calibration is None else sha256(calibration.encode()).hexdigest(),
        }
        others = [name for name, digest in stated.items() if self.sums.get(name) != digest]
        config = parse_json(read_file(self.path.parent, CONFIG, self.sums), self.path.parent / CONFIG)
        if not isinstance(config, dict) or config.get("labels") != list(labels):
            others.append(CONFIG)
        if others:
            raise UserError(f"{self.path} was not made of the {others[0]} beside it: pack the model again")


def read_graph(place: Path) -> GraphFile:
    """The checked ONNX file at ``place``, or of the model folder there.

    Arguments
    ---------
    place : Path
        A file that ``mil-asc export`` wrote, or a model folder, whose files must match their checksums.

    Raises
    ------
    UserError
        There is no such file, it is damaged, or it is no plain graph.
    """
    if place.is_dir():
        path = place / GRAPH
        if is_model_folder(place) and not path.exists():
            raise UserError(f"{place} has no {GRAPH}: pack it again, or use PyTorch")
        if not path.exists():
            raise UserError(f"{place} is no model folder: name one that mil-asc pack wrote, or use PyTorch")
        sums = check_files(place, without=(GRAPH, CONFIG))
        data = read_file(place, GRAPH, sums)
    else:
        path, sums = place, {}
        data = read_bounded(path, MOST_BYTES)
    try:
        check_content(data)
        check_plain(data)
    except ValueError as error:
        raise UserError(f"{path} is not an ONNX file that mil_asc exports: {error}") from error
    return GraphFile(path, data, sums)


def with_checksum(data: bytes) -> bytes:
    """The file with the checksum of its content as its last metadata entry, which any reader of ONNX reads as such."""
    return data + _checksum_entry(data)


def check_content(data: bytes) -> None:
    """Refuse a file that is not as it was exported (``ValueError``); earlier versions stated no checksum."""
    size = len(_checksum_entry(b""))
    content, entry = data[:-size], data[-size:]
    if entry != _checksum_entry(content) and CONTENT_KEY in data:
        raise ValueError("its content does not have the checksum that it states: it was changed or damaged")


def _checksum_entry(content: bytes) -> bytes:
    """The field metadata_props of a model (14), with a key (1) and a value (2): lengths below 128 have one byte."""
    value = sha256(content).hexdigest().encode()
    entry = bytes([0x0A, len(CONTENT_KEY)]) + CONTENT_KEY + bytes([0x12, len(value)]) + value
    return bytes([14 << 3 | 2, len(entry)]) + entry


def check_plain(data: bytes) -> None:
    """Refuse a model that is not one plain graph of standard operators (``ValueError`` of a few words)."""
    graphs = 0
    for number, value in _fields(memoryview(data)):
        if number in (MODEL_TRAINING, MODEL_FUNCTIONS):
            raise ValueError("it has functions or training steps")
        if number == MODEL_GRAPH:
            graphs += 1
            _check_graph(_message(value))
    if graphs != 1:
        raise ValueError(f"it has {graphs} graphs")


def _check_graph(graph: memoryview) -> None:
    nodes, weights = [], set()
    for number, value in _fields(graph):
        if number == GRAPH_SPARSE:
            raise ValueError("it has sparse weights")
        if number == GRAPH_INITIALIZER:
            weights.add(_check_tensor(_message(value)))
        if number == GRAPH_NODE:
            nodes.append(_check_node(_message(value)))
    if not 0 < len(nodes) <= MOST_NODES:
        raise ValueError(f"it has {len(nodes)} operators, 1 to {MOST_NODES} are allowed")
    _check_constants(nodes, weights)


class _Node(NamedTuple):
    operator: str
    inputs: list[bytes]
    outputs: list[bytes]


def _check_constants(nodes: list[_Node], weights: set[bytes]) -> None:
    """Few operators depend on shapes and weights alone: a runtime may compute them when it loads the graph."""
    known, left, computed = {b"", *weights}, set(weights), 0
    for node in nodes:  # in the order of computation, which ONNX demands
        if node.operator != "Shape" and not known.issuperset(node.inputs):
            continue
        known.update(node.outputs)
        if node.operator in CONVERSIONS and node.inputs and node.inputs[0] in left:
            left.remove(node.inputs[0])
        elif node.operator != "Constant":
            computed += 1
    if computed > MOST_COMPUTED:
        raise ValueError(f"it computes {computed} constants, at most {MOST_COMPUTED} are allowed")


def _check_node(node: memoryview) -> _Node:
    found = _Node("", [], [])
    for number, value in _fields(node):
        if number == NODE_INPUT:
            found.inputs.append(bytes(_message(value)))
        if number == NODE_OUTPUT:
            found.outputs.append(bytes(_message(value)))
        if number == NODE_OPERATOR:
            found = found._replace(operator=_text(value))
        if number == NODE_DOMAIN and _text(value) not in DOMAINS:
            raise ValueError(f"operators of {_text(value)!r:.60} are not allowed")
        if number == NODE_ATTRIBUTE:
            _check_attribute(_message(value))
    if found.operator not in OPERATORS:
        raise ValueError(f"the operator {found.operator!r:.60} is not allowed")
    return found


def _check_attribute(attribute: memoryview) -> None:
    for number, value in _fields(attribute):
        if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE):
            raise ValueError("it has loops, branches or sparse values")
        if number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
            _check_tensor(_message(value))


def _check_tensor(tensor: memoryview) -> bytes:
    """The tensor's name."""
    name = b""
    for number, value in _fields(tensor):
        if number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value):
            raise ValueError("it has weights in other files")
        if number == TENSOR_NAME:
            name = bytes(_message(value))
    return name


# -- Protocol Buffers


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a field has another type")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode(errors="replace")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of the fields of a message: a whole number, or the bytes of a text or message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, position = _varint(data, position)
        if size is None or position + size > len(data):
            raise ValueError("it is cut off, or not Protocol Buffers")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise ValueError("it is cut off, or not Protocol Buffers")
