"""A network for inference alone: batch norms are part of the convolutions before them."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mil_asc.model.extractors.layers import DampedConv2d


def folded(network):
    """A copy of a network in evaluation mode whose batch norms are folded into the convolutions before them.

    A batch norm without a convolution right before it, such as that of a spectrogram, of a band (sub-spectral norm) or
    before an activation, stays. A damped kernel becomes a plain one. The copy gives the same scores, more exactly
    in float32: the gain of a channel is applied to the weights instead of the activations.

    Arguments
    ---------
    network : MILClassifier
        Stays as it is.

    Returns
    -------
    MILClassifier
        In evaluation mode, without gradients.

    Example
    -------
    >>> from mil_asc.model.classifier import MILClassifier
    >>> from mil_asc.model.extractors.fuse import FUSE
    >>> from mil_asc.model.features import LogMel
    >>> sum(p.numel() for p in folded(MILClassifier(LogMel(), FUSE())).parameters())
    131850
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DampedConv2d):
                setattr(module, name, child.plain())
        if isinstance(module, nn.Sequential):
            _fold_pairs(module)
    return network


def _fold_pairs(layers):
    names = list(layers._modules)
    for first, second in zip(names[:-1], names[1:]):
        conv, norm = layers._modules[first], layers._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers._modules[first] = fuse_conv_bn_eval(conv, norm)
            layers._modules[second] = nn.Identity()
