"""From feature map to instances, and from instances to confidences (paper, section 2.1, Table 1)."""

from torch import nn


class InstanceVectorGenerator(nn.Module):
    """One instance vector for every time column of a feature map.

    Full-height depthwise conv over frequency, pointwise conv, BN, ReLU, squeeze, transpose:
    (B, channels, height, I) -> (B, I, dim).

    Arguments
    ---------
    channels : int
        Channels of the feature map.
    height : int
        Frequency rows of the feature map, all of which one instance sees.
    dim : int
        Instance dimension D; the paper's 256.

    Example
    -------
    >>> import torch
    >>> InstanceVectorGenerator(256, 32)(torch.randn(2, 256, 32, 39)).shape
    torch.Size([2, 39, 256])
    """

    def __init__(self, channels, height, dim=256):
        super().__init__()
        if height < 1:
            raise ValueError(f"the feature map has no frequency rows left (height {height}): use more mel bins")
        self.full_height = nn.Conv2d(channels, channels, (height, 1), groups=channels)
        self.pointwise = nn.Sequential(nn.Conv2d(channels, dim, 1), nn.BatchNorm2d(dim), nn.ReLU(inplace=True))
        self.dim = dim

    def forward(self, feature_BCFI):
        """(B, channels, height, I) feature map -> (B, I, D) instance vectors."""
        instance_BD1I = self.pointwise(self.full_height(feature_BCFI))
        return instance_BD1I.squeeze(2).transpose(1, 2)


class InstanceDetector(nn.Linear):
    """Instance logits z_ic: (B, I, D) -> (B, I, C). Their sigmoid is the instance confidence p_ic."""

    def __init__(self, dim=256, num_classes=10):
        super().__init__(dim, num_classes)
