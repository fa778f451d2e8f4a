"""The extractors written again in plain functions of torch, layer after layer, on the weights of ``state_dict``.

Sources: spec of the method (FUSE, VGG-like, ResNet), and the publications named in each extractor's file. Only the
order of the weights is taken from the package.
"""

import torch
import torch.nn.functional as F


class Weights:
    """The tensors of a state dict in their order, taken by layers one after the other."""

    def __init__(self, extractor):
        self.rest = [value for key, value in extractor.state_dict().items() if "num_batches" not in key]

    def take(self):
        return self.rest.pop(0)

    def conv(self, x, stride=1, bias=False, pad=None, depthwise=False, groups=1):
        """A convolution that pads half its kernel, unless ``pad`` is given."""
        weight = self.take()
        pad = tuple(size // 2 for size in weight.shape[2:]) if pad is None else pad
        groups = x.shape[1] if depthwise else groups
        return F.conv2d(x, weight, self.take() if bias else None, stride, pad, groups=groups)

    def norm(self, x, affine=True, eps=1e-5):
        scale, offset = (self.take(), self.take()) if affine else (1, 0)
        mean, variance = self.take(), self.take()
        across = (1, -1, 1, 1)
        normal = (x - mean.view(across)) / (variance.view(across) + eps).sqrt()
        return normal * scale.view(across) + offset.view(across) if affine else normal

    def banded_norm(self, x, bands):
        batch, channels, height, frames = x.shape
        return self.norm(x.reshape(batch, channels * bands, height // bands, frames)).reshape(x.shape)


def fuse(w, x, channels=4, blocks=3):
    for module in range(channels):
        x = w.norm(w.conv(x, bias=True))
        total = x
        for _ in range(blocks):
            x = w.norm(w.conv(x, bias=True, depthwise=True)).relu()  # along frequency
            x = w.norm(w.conv(x, bias=True, depthwise=True)).relu()  # along time
            total = total + x
        x = F.max_pool2d(total, 2) if module < channels - 1 else total
    return x


def vgg_like(w, x, stages=3):
    x = w.norm(x)
    for _ in range(stages):
        for _ in range(2):
            x = w.norm(w.conv(x, bias=True)).relu()
        x = F.max_pool2d(x, 2)
    return x


def basic_block(w, x, same):
    y = w.norm(w.conv(x)).relu()
    y = w.norm(w.conv(y))
    return (y + (x if same else w.norm(w.conv(x)))).relu()


def resnet(w, x, widths=(4, 4, 6, 8), blocks=(2, 2, 1, 1)):
    x, width = w.norm(w.conv(x)).relu(), widths[0]
    for stage, (outs, count) in enumerate(zip(widths, blocks)):
        x = F.max_pool2d(x, 2) if stage else x
        for _ in range(count):
            x, width = basic_block(w, x, same=width == outs), outs
    return x


def cp_resnet(w, x, base=4, blocks=(4, 4, 4)):
    x, width = w.norm(w.conv(x, stride=2, pad=1)).relu(), base
    stages = [stage for stage in range(3) for _ in range(blocks[stage])]
    for block, stage in enumerate(stages):
        outs = base * 2**stage
        x, width = basic_block(w, x, same=width == outs), outs
        x = F.max_pool2d(x, 2) if block in (0, 1, 3) else x
    return x


def damped_cp_resnet(w, x, damping=0.25, blocks=(4, 0, 2)):
    """Rows of the kernels of 3 and 5 rows times 1 in the middle, ``damping`` at the ends, their mean between."""
    factors = {3: [damping, 1, damping], 5: [damping, (1 + damping) / 2, 1, (1 + damping) / 2, damping]}
    for place, kernel in enumerate(w.rest):
        if kernel.dim() == 4 and kernel.shape[2] > 1:
            w.rest[place] = kernel * torch.tensor(factors[kernel.shape[2]])[:, None]
    return cp_resnet(w, x, blocks=blocks)


def cp_mobile(w, x):
    x = w.norm(w.conv(x, stride=2)).relu()
    x = w.norm(w.conv(x, stride=2)).relu()
    for stride in ((1, 1), (1, 1), (1, 2), (2, 1), (1, 1), (1, 1)):
        y = w.norm(w.conv(x)).relu()
        y = w.norm(w.conv(y, stride=stride, depthwise=True)).relu()
        y = w.norm(w.conv(y))
        if y.shape[1] == x.shape[1]:
            y = y + (x if stride == (1, 1) else F.avg_pool2d(x, 3, stride, padding=1))
        x = y.relu()
    return x


def res_norm(x):
    mean, variance = x.mean((1, 3), keepdim=True), x.var((1, 3), correction=0, keepdim=True)
    return 0.1 * x + (x - mean) / (variance + 1e-5).sqrt()


def bc_resnet(w, x, bands=2, norm=lambda x: x):
    x = w.norm(w.conv(norm(x), stride=2)).relu()
    for stage, count in enumerate((2, 2, 2, 3)):
        for block in range(count):
            x = w.norm(w.conv(x)).relu() if block == 0 else x
            wide = w.banded_norm(w.conv(x, depthwise=True), bands)
            narrow = w.norm(w.conv(wide.mean(2, keepdim=True), depthwise=True))
            narrow = w.conv(narrow * narrow.sigmoid())
            x = ((0 if block == 0 else x) + wide + narrow).relu()
        x = norm(x)
        x = F.max_pool2d(x, 2) if stage < 2 else x
    return x


def streams(w, bands, blocks, dilation=1):
    """The stacks of ``two_path_resnet`` and ``trident_resnet`` for every band, joined, after the last BN - ReLU."""

    def norm_relu(y):
        return w.norm(y, affine=False, eps=1e-3).relu()

    def strided(y):
        """Zeros as in Keras: odd lengths one at each end, even lengths one at the far end."""
        return w.conv(F.pad(y, (y.shape[3] % 2, 1, 1, 1)), stride=(1, 2), pad=0)

    def high_conv(y, rows):
        """Taps ``rows`` rows apart: rows of zeros between those of the kernel."""
        kernel = w.take()
        spread = torch.zeros(*kernel.shape[:2], 2 * rows + 1, 3)
        spread[:, :, ::rows] = kernel
        return F.conv2d(y, spread, padding=(rows, 1))

    def mean_of_nine(y):
        near = y.shape[3] % 2
        padded, count = (F.pad(part, (near, 1, 1, 1)) for part in (y, torch.ones_like(y)))
        return F.avg_pool2d(padded, 3, (1, 2)) / F.avg_pool2d(count, 3, (1, 2))

    def path(y):
        y = strided(w.norm(y, eps=1e-3))
        for stack in range(4):
            for block in range(blocks):
                widen = stack > 0 and block == 0
                z = norm_relu(y)
                z = strided(z) if widen else high_conv(z, dilation if block else 1)
                z = w.conv(norm_relu(z))
                short = mean_of_nine(y) if widen else y
                y = z + (torch.cat([short, torch.zeros_like(short)], 1) if widen else short)
        return y

    return norm_relu(torch.cat([path(band) for band in bands], dim=2))


def two_path_resnet(w, x):
    return w.conv(streams(w, x.chunk(2, dim=2), blocks=2))


def trident_resnet(w, x):
    return streams(w, x.split([16, 16, 32], dim=2), blocks=2, dilation=2)


def alexnet_like(w, x):
    for pooled in (True, True, True, False, True):
        x = w.norm(w.conv(x, groups=3)).relu()
        x = F.max_pool2d(x, 2) if pooled else x
    return x


def fcnn(w, x):
    x = w.norm(w.conv(w.norm(x), stride=2)).relu()
    for convolutions in (1, 2, 4):
        for _ in range(convolutions):
            x = w.norm(w.conv(x)).relu()
        x = F.max_pool2d(x, 2)
    return x


def fcnn_with_class_maps(w, x):
    x = w.norm(w.conv(fcnn(w, x)), affine=False).relu()
    x = w.norm(x, affine=False)
    weights = [w.take() for _ in range(4)]

    def shared(z):
        return F.conv2d(F.conv2d(z, *weights[:2]).relu(), *weights[2:])

    greatest = F.max_pool2d(x, x.shape[2:])
    return x * (shared(F.avg_pool2d(x, x.shape[2:])) + shared(greatest)).sigmoid()


def dcase_baseline(w, x, time_pool=2):
    x = w.norm(w.conv(x, bias=True)).relu()
    x = w.norm(w.conv(x, bias=True)).relu()
    x = F.max_pool2d(x, (5, 5))
    x = w.norm(w.conv(x, bias=True)).relu()
    return F.max_pool2d(x, (4, time_pool))


def resnet50(w, x, width=4, blocks=(1, 2, 2, 2)):
    x = w.norm(w.conv(x, stride=2)).relu()
    x = F.max_pool2d(x, 3, 2, padding=1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = w.norm(w.conv(x)).relu()
            y = w.norm(w.conv(y, stride=stride)).relu()
            y = w.norm(w.conv(y))
            x = (y + (x if block else w.norm(w.conv(x, stride=stride)))).relu()
    return x


def raw_cnn(w, x, stride=4, widths=(4, 6), pool=2):
    def leaky(y):
        return torch.where(y > 0, y, 0.3 * y)

    x = leaky(w.norm(w.conv(x, stride=(1, stride), bias=True, pad=0)))
    for width in widths:
        y = leaky(w.norm(w.conv(x, bias=True)))
        y = w.norm(w.conv(y, bias=True))
        x = leaky(y + (x if x.shape[1] == width else w.conv(x, bias=True)))
        x = F.max_pool2d(x, (1, pool))
    return leaky(w.norm(w.conv(x, bias=True)))


def aclnet(w, x, widths=(4, 6), pool=2):
    x = w.norm(w.conv(x, stride=(1, 2), bias=True)).relu()
    x = w.norm(w.conv(x, stride=(1, 4), bias=True)).relu()
    x = F.max_pool2d(x, (1, pool)).permute(0, 2, 1, 3)
    for stage in range(len(widths)):
        for _ in range(2 if stage else 1):
            x = w.norm(w.conv(x, bias=True)).relu()
        x = F.max_pool2d(x, 2)
    return x


def dcasenet(w, x, blocks=2):
    for pool in (2, 2, 2, (2, 5)):
        x = w.norm(w.conv(x)).relu()
        x = F.avg_pool2d(w.norm(w.conv(x)).relu(), pool)
    for block in range(blocks):
        y = w.norm(w.conv(x, stride=1 if block else 2)).relu()
        y = w.norm(w.conv(y))
        gate = w.conv(w.conv(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        x = (y * gate + (x if block else w.norm(w.conv(x, stride=2)))).relu()
    return x


REFERENCES = {
    "fuse": fuse,
    "vgg_like": vgg_like,
    "resnet": resnet,
    "cp_resnet": cp_resnet,
    "cp_resnet+damping": damped_cp_resnet,
    "cp_mobile": cp_mobile,
    "bc_resnet": bc_resnet,
    "bc_resnet+resnorm": lambda w, x: bc_resnet(w, x, norm=res_norm),
    "two_path_resnet": two_path_resnet,
    "trident_resnet": trident_resnet,
    "alexnet_like": alexnet_like,
    "fcnn": fcnn,
    "fcnn+class_maps": fcnn_with_class_maps,
    "dcase_baseline": dcase_baseline,
    "resnet50": resnet50,
    "raw_cnn": raw_cnn,
    "aclnet": aclnet,
    "dcasenet": dcasenet,
}
