"""ONNX files with weights in half precision: half the size, the same computation in float32."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mil_asc.errors import UserError
from mil_asc.packaging.export import load_proto

LEAST_VALUES = 256
"""Smaller weights stay in float32."""
NETWORK = ("extractor.", "instances.", "detector", "attention")
"""Parts of the names of a network's weights; the front end keeps its precision."""


def to_fp16(data: bytes) -> bytes:
    """The file with the network's larger weights stored in float16, each behind a cast to float32.

    Computation stays in float32, so a runtime without half precision runs it too, as fast as before.

    Arguments
    ---------
    data : bytes
        An ONNX file of ``export_onnx``.

    Raises
    ------
    UserError
        A weight is too large for float16.
    """
    model = load_proto(data)
    casts = []
    for weight in model.graph.initializer:
        size = int(np.prod(weight.dims))
        if weight.data_type != TensorProto.FLOAT or size < LEAST_VALUES or not is_network_weight(weight.name):
            continue
        with np.errstate(over="ignore"):
            half = numpy_helper.to_array(weight).astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError(f"{weight.name} has weights beyond 65504, too large for float16: export without --fp16")
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"cast.{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString(deterministic=True)


def is_network_weight(name: str) -> bool:
    """Whether a weight of this name belongs to the network behind the front end."""
    return any(part in name for part in NETWORK) or name.startswith("val_")
