"""Feature-map extractors: (B, 1, F, T) log-mel spectrogram in, (B, channels, F', T') feature map out.

Every extractor has ``out_channels`` and ``out_height(n_mels)`` for the instance vector generator that
stands behind it, ``out_frames(num_frames)``, the columns that so many frames make (int or integer tensor),
``time_reduction``, the number of spectrogram frames that make one column, and ``context_frames``, how far beyond
its own frames a column hears on either side. Column i's own frames are i time_reduction to (i + 1) time_reduction - 1.
"""

from mil_asc.model.extractors.bc_resnet import BCResNet
from mil_asc.model.extractors.cp_mobile import CPMobile
from mil_asc.model.extractors.cp_resnet import CPResNet
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.extractors.resnet import ResNet
from mil_asc.model.extractors.two_path_resnet import TwoPathResNet
from mil_asc.model.extractors.vgg_like import VGGLike

EXTRACTORS = {
    "fuse": FUSE,
    "vgg_like": VGGLike,
    "resnet": ResNet,
    "bc_resnet": BCResNet,
    "cp_mobile": CPMobile,
    "cp_resnet": CPResNet,
    "two_path_resnet": TwoPathResNet,
}
"""Every extractor by the name of its file."""
