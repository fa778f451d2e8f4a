"""A network from waveform to scores, in the form in which it is exported."""

import torch
from torch import nn
from torch.nn import functional as F

from mil_asc.mil.pooling import POOLINGS
from mil_asc.mil.pooling.means import mean
from mil_asc.model.extractors.streams import StridedConv, StridedMean
from mil_asc.model.folded import folded
from mil_asc.model.normalization import ResNorm
from mil_asc.packaging.log_mel_graph import LogMelGraph

OUTPUTS = ("logits", "attention", "confidences", "smi", "cmi", "bag", "vectors", "logmel")
"""Names of the outputs; ``attention`` only where the network has it, ``logmel`` only where it computes one."""


class SpectrogramGraph(nn.Module):
    """Everything behind the front end: (B, F, T) log-mel (or (B, 1, N) waveform) -> outputs by name.

    Arguments
    ---------
    network : MILClassifier
        Stays as it is; its batch norms are folded in a copy.
    """

    def __init__(self, network):
        super().__init__()
        network = folded(network)
        for module in list(network.modules()):
            _exportable(module)
        self.input_norm, self.input_channels = network.input_norm, network.front_end.input_channels
        self.extractor = network.extractor
        self.instances, self.detector, self.attention = network.instances, network.detector, network.attention
        self.pooling_name, self.pooling_options = network.pooling_name, dict(network.pooling.keywords)
        self.sharpness_C = network.sharpness_C

    def forward(self, logmel_BFT):
        """Tensors in the order of ``names``."""
        feature_BCFI = self.extractor(self.input_channels(self.input_norm(logmel_BFT.unsqueeze(1))))
        vectors_BID = self.instances(feature_BCFI)
        logits_BIC = self.detector(vectors_BID)
        attention_BI = None if self.attention is None else self.attention(vectors_BID).squeeze(2)
        index_C = torch.arange(logits_BIC.shape[2])
        votes_BIC = (logits_BIC.argmax(2, keepdim=True) == index_C).to(logits_BIC.dtype)
        found = {
            "logits": logits_BIC,
            "attention": attention_BI,
            "confidences": logits_BIC.sigmoid(),
            "smi": logits_BIC.amax(1).sigmoid(),
            "cmi": votes_BIC.mean(1),
            "bag": self.pool(logits_BIC, attention_BI).sigmoid(),
            "vectors": vectors_BID,
        }
        return tuple(value for value in found.values() if value is not None)

    @property
    def names(self):
        """Names of the outputs, in their order."""
        return [name for name in OUTPUTS[:-1] if name != "attention" or self.attention is not None]

    def pool(self, logits_BIC, attention_BI):
        """(B, C) bag logits by the network's own pooling."""
        if self.pooling_name == "top_k_mean":  # its topk takes a length that an export fixes; a sorted slice does not
            k = self.pooling_options.get("k", 5)
            top_BKC = logits_BIC.sort(dim=1, descending=True).values[:, :k]
            return mean(top_BKC, torch.ones_like(top_BKC[..., 0], dtype=torch.bool))
        learned = [value for value in (attention_BI, self.sharpness_C) if value is not None]
        mask_BI = torch.ones_like(logits_BIC[..., 0], dtype=torch.bool)
        return POOLINGS[self.pooling_name](logits_BIC, mask_BI, *learned, **self.pooling_options)


class WaveformGraph(nn.Module):
    """The complete network: (B, N) waveforms -> outputs by name.

    Arguments
    ---------
    network : MILClassifier
        Stays as it is.
    """

    def __init__(self, network):
        super().__init__()
        self.has_logmel = network.front_end.output == "logmel"
        self.front_end = LogMelGraph(network.front_end) if self.has_logmel else None
        self.rest = SpectrogramGraph(network)

    def forward(self, waveform):
        """Tensors in the order of ``names``."""
        if not self.has_logmel:
            return self.rest(waveform.unsqueeze(1))
        logmel_BFT = self.front_end(waveform)
        return (*self.rest(logmel_BFT), logmel_BFT)

    @property
    def names(self):
        """Names of the outputs, in their order."""
        return [*self.rest.names, "logmel"] if self.has_logmel else self.rest.names


# -- layers whose code depends on the length, or on the kind of computation, written for any length


def _exportable(module):
    """Replace the forward pass of a layer that an export would fix to one length."""
    if isinstance(module, ResNorm):
        module.forward = lambda x_BCFT: _res_norm(module, x_BCFT)
    elif isinstance(module, StridedConv):
        module.forward = lambda x_BCFT: module.conv(_every_other(x_BCFT))
    elif isinstance(module, StridedMean):
        module.forward = _strided_mean


def _res_norm(module, x_BCFT):
    mean_BF = x_BCFT.mean(dim=(1, 3), keepdim=True)
    centred_BCFT = x_BCFT - mean_BF
    variance = centred_BCFT.square().mean(dim=(1, 3), keepdim=True)
    return module.lambda_ * x_BCFT + centred_BCFT / torch.sqrt(variance + module.eps)


def _every_other(x_BCFT):
    """Zeros around a map, as ``EveryOtherFrame`` has them: before the first frame only if their number is odd."""
    padded_BCFT = F.pad(x_BCFT, (1, 1, 1, 1))
    return padded_BCFT[..., 1 - x_BCFT.shape[3] % 2 :]


def _strided_mean(x_BCFT):
    ones_BCFT = torch.ones_like(x_BCFT[:, :1])
    return F.avg_pool2d(_every_other(x_BCFT), 3, (1, 2)) / F.avg_pool2d(_every_other(ones_BCFT), 3, (1, 2))
