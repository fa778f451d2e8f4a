"""Weights as safetensors: the header is checked by itself, before any tensor is made."""

from __future__ import annotations

import math
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mil_asc.errors import UserError
from mil_asc.runtime.strict_json import parse_json

MOST_HEADER_BYTES = 4_000_000
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "BOOL": 1}
"""Kinds of values, and the bytes of each."""
MOST_DIMENSIONS = 8


def write_tensors(weights: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file, whose tensors stand in the order of their names."""
    return save({name: weights[name].detach().cpu().contiguous() for name in sorted(weights)})


def read_tensors(content: bytes, where: object) -> dict[str, Tensor]:
    """Tensors by name of a safetensors file's content.

    Raises
    ------
    UserError
        One line with ``where``: the header is larger than the file, holds a name twice, or does not describe its
        values completely and without overlap.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, MOST_HEADER_BYTES):
        raise UserError(f"{where} is no safetensors file: its header does not lie within it")
    header = parse_json(content[8 : 8 + length], f"the header of {where}")
    if not isinstance(header, dict):
        raise UserError(f"{where} is no safetensors file: its header is no mapping")
    header.pop("__metadata__", None)
    spans = sorted(_span(name, entry, where) for name, entry in header.items())
    ends = [0, *(end for _, end in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != len(content) - 8 - length:
        raise UserError(f"{where} is damaged: its tensors overlap, or are not all its values")
    try:
        return load(content)
    except (SafetensorError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise UserError(f"{where} is damaged: {' '.join(str(error).split())[:200]}") from error


def _span(name: str, entry: object, where: object) -> tuple[int, int]:
    """(first, last + 1) byte of a tensor's values, which its shape must need exactly."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise UserError(f"{where} is damaged: {name!r:.80} must have dtype, shape and data_offsets alone")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise UserError(f"{where} is damaged: {name!r:.80} has dtype {dtype!r:.40}; legal: {', '.join(SIZES)}")
    numbers = [*shape, *span] if isinstance(shape, list) and isinstance(span, list) else [-1]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(span) != 2:
        raise UserError(f"{where} is damaged: shape and data_offsets of {name!r:.80} must be whole numbers from 0 up")
    if len(shape) > MOST_DIMENSIONS or math.prod(shape) * SIZES[dtype] != span[1] - span[0]:
        raise UserError(f"{where} is damaged: {name!r:.80} of shape {shape!r:.60} has {span[1] - span[0]} bytes")
    return span[0], span[1]
