"""Small networks whose batch norms have seen data, and what their ONNX files give."""

import copy

import numpy as np
import onnxruntime
import tiny
import torch

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors import registered_extractors
from mil_asc.model.heads import Head

LABELS = ["bus", "metro", "park"]


def small_network(extractor="fuse", *, input_norm="none", front_end=None, settings=None, **head):
    """A network of an extractor at its tiny size, with random running statistics and logits of a few units.

    ``settings`` of the extractor replace those of the tiny size, where they are given.
    """
    torch.manual_seed(0)
    kind = registered_extractors()[extractor]
    extractor = kind(**kind.tiny | (settings or {}))
    front_end = front_end or tiny.front_end_of(extractor, n_mels=32, hop_ms=16.0)
    settings = Head(num_classes=3, **{"instance_dim": 8} | head)
    network = MILClassifier(front_end, extractor, settings, input_norm=input_norm)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.3)
    with torch.no_grad():
        network.detector.weight.mul_(5)
    return network.eval()


def in_float64(network, wav_BN):
    """Bags of a float64 copy of a network, front end included."""
    double = copy.deepcopy(network).double()
    front_end = double.front_end
    if front_end.output == "waveform":
        front_end.forward = lambda wav: wav.unsqueeze(1)
    else:
        front_end.forward = lambda wav: front_end.mel(wav).clamp(min=front_end.log_floor).log()
    with torch.no_grad():
        return double(wav_BN.double())


def run(data, **feeds):
    """Outputs of an ONNX file by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    arrays = {name: np.asarray(value) for name, value in feeds.items()}
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, arrays)))
