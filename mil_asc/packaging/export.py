"""Networks as ONNX files: one graph from waveform to scores, with what a caller must know in its metadata."""

import copy
import io
import json
import logging
import math
import warnings

import onnx
import onnxscript.optimizer
import torch

import mil_asc
from mil_asc.errors import UserError
from mil_asc.model.interface import interface_of
from mil_asc.packaging.file_facts import KEY, TRAINED_ON, facts_of
from mil_asc.packaging.graph_file import check_plain, with_checksum
from mil_asc.packaging.waveform_graph import WaveformGraph

OPSET = 20
MOST_FOLDED = 4096
"""Largest constant that is computed at export (in bytes); a runtime computes larger ones from small ones."""
INPUT = "waveform"
SAVED = {onnx.TensorProto.INT8: 3, onnx.TensorProto.FLOAT16: 2}
"""Bytes that a weight of this type has less than one of 32 bits."""


def export_onnx(network, labels, *, weights_sha256="", calibration=None):
    """An ONNX file from waveform to scores.

    Input ``waveform`` (batch, samples), float32. Outputs: ``logits`` (batch, instances, C); ``attention`` (batch,
    instances) where the network has it; ``confidences``, their sigmoid; ``smi``, ``cmi`` and ``bag`` (batch, C), the
    scores under SMI, CMI and the network's own pooling; ``vectors`` (batch, instances, D); ``logmel`` (batch, F, T).
    Batch and length are free. A waveform that is too short, silent or not finite gives an answer nevertheless: the
    caller must refuse it (``min_samples`` of the metadata).

    Arguments
    ---------
    network : MILClassifier
        Stays as it is; batch norms are folded into the convolutions of a copy.
    labels : list of str
        Classes, in the order of the outputs.
    weights_sha256 : str
        Checksum of the weights that the file is made of, for its metadata.
    calibration : str, optional
        Text of ``calibration.json``, for its metadata.

    Returns
    -------
    bytes
        Nothing in it but operators, weights and the metadata of ``NetworkInterface``.

    Raises
    ------
    UserError
        The network cannot be exported; the message says why.
    """
    graph = WaveformGraph(copy.deepcopy(network).cpu().float()).eval()
    samples = network.min_samples + 4 * network.instance_samples
    model = trace(graph, torch.randn(2, samples), INPUT, graph.names, {0: "batch", 1: "samples"})
    metadata = interface_of(network, labels).to_metadata()
    metadata |= {"mil_asc_version": mil_asc.__version__, "weights_sha256": weights_sha256}
    return finish(model, metadata | ({} if calibration is None else {"calibration": calibration}))


def trace(graph, example, name, outputs, dynamic):
    """``onnx.ModelProto`` of a module, traced with an ``example`` whose axes ``dynamic`` (number -> name) are free."""
    axes = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    loggers = [logging.getLogger(one) for one in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=[name],
                output_names=outputs,
                opset_version=OPSET,
                dynamic_shapes=(axes,),
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    except (RuntimeError, ValueError) as error:  # what the exporter refuses a network with
        reason = " ".join(str(error).split())
        raise UserError(f"this network cannot be exported to ONNX: {reason:.300}") from error
    finally:
        for one, level in zip(loggers, levels):
            one.setLevel(level)
    return onnxscript.optimizer.optimize(
        program.model_proto, input_size_limit=MOST_FOLDED, output_size_limit=MOST_FOLDED
    )


def finish(model, metadata):
    """The file of a model: checked, without names of this machine, with ``metadata`` (text by name) alone."""
    clean(model)
    for key, text in metadata.items():
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    try:
        check_plain(data)  # what could not be read again is not written
    except ValueError as error:
        raise UserError(f"this network cannot be exported to ONNX: {error}") from error
    return data


def clean(model):
    """Remove what an exporter writes about itself, its source files and its machine."""
    model.producer_name, model.producer_version, model.doc_string = "mil_asc", mil_asc.__version__, ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = "mil_asc", ""
    del graph.value_info[:], graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def load_proto(data):
    """``onnx.ModelProto`` of the bytes of a file."""
    return onnx.load_model(io.BytesIO(data))


def state_facts(data, network, trained_on):
    """The file with the facts of its network and its checksum in its metadata, and these ``NetworkFacts``.

    Weights count in the type that they have in the file: those that a quantization leaves in float32 have 4 bytes.

    Arguments
    ---------
    data : bytes
        Of ``export_onnx`` or ``export_network_only``, or what ``to_int8`` or ``to_fp16`` made of it.
    network : MILClassifier
        What it was made of; left in evaluation mode.
    trained_on : dict
        Text by name, as in a ``ModelConfig``.
    """
    model, facts = load_proto(data), facts_of(network)
    for weight in model.graph.initializer:
        if weight.data_type in SAVED and len(weight.dims) > 1:  # scales and zero points have one axis
            precision = onnx.TensorProto.DataType.Name(weight.data_type).lower()
            saved = SAVED[weight.data_type] * math.prod(weight.dims)
            facts = facts._replace(weight_precision=precision, weight_bytes=facts.weight_bytes - saved)
    model.metadata_props.add(key=KEY, value=json.dumps({**facts._asdict(), TRAINED_ON: dict(trained_on)}))
    return with_checksum(model.SerializeToString(deterministic=True)), facts
