"""Fixed weights and input for every extractor, and numbers that describe the output.

Weights, batch-norm statistics and input are drawn by NumPy, whose numbers do not change with the version of torch.
For a new extractor, and after a change that is meant to change outputs, write the numbers, from the root of the
repository: python tests/model/extractors/golden_extractors.py. Numbers that still hold stay as they are.
"""

import json
from pathlib import Path

import numpy as np
import torch

from mil_asc.model.extractors import registered_extractors

FILE = Path(__file__).with_suffix(".json")
MORE_SETTINGS = {
    "fuse": {"num_blocks": 3},  # a chain and a sum of blocks differ only with several
    "resnet": {"blocks": [2, 2, 1, 1]},
}
VARIANTS = {
    **{name: (name, {**cls.tiny, **MORE_SETTINGS.get(name, {})}) for name, cls in registered_extractors().items()},
    "cp_resnet+damping": ("cp_resnet", {"base_channels": 4, "rho": 5, "blocks": [4, 0, 2], "damping": 0.25}),
    "fcnn+class_maps": ("fcnn", {"channels": [4, 6, 8], "class_maps": 6}),
    "bc_resnet+resnorm": ("bc_resnet", {"c": 4, "bands": 2, "resnorm": True}),
}
"""Name -> extractor and its settings."""
BINS, FRAMES = 64, 50
SAMPLES = 40
"""Elements of the output that are kept."""


def built(variant):
    """The extractor of a variant in evaluation mode, with fixed weights and batch-norm statistics."""
    name, settings = VARIANTS[variant]
    extractor = registered_extractors()[name](**settings).eval()
    rng = np.random.default_rng(7)
    for key, value in extractor.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        if value.dim() > 1:
            drawn = rng.normal(0, np.sqrt(2 / value[0].numel()), value.shape)
        elif key.endswith("running_var"):
            drawn = rng.uniform(0.5, 1.5, value.shape)
        else:  # scales near 1; offsets and means near 0
            drawn = rng.normal(0, 0.3, value.shape) + _is_scale(extractor, key)
        value.copy_(torch.from_numpy(drawn))
    return extractor


def _is_scale(extractor, key):
    owner, _, last = key.rpartition(".")
    return last == "weight" and isinstance(extractor.get_submodule(owner), torch.nn.modules.batchnorm._BatchNorm)


def spectrogram(extractor):
    """(2, channels, F, T) input, or (2, 1, 1, N) for an extractor of waveforms, with three columns or more; float32."""
    rows, frames = 1 if extractor.input == "waveform" else BINS, max(FRAMES, 3 * extractor.time_reduction)
    drawn = np.random.default_rng(11).normal(0, 1.5, (2, extractor.in_channels, rows, frames))
    return torch.from_numpy(drawn.astype(np.float32))


@torch.no_grad()
def described(variant):
    """The output of a variant: its shape, mean and standard deviation, and elements spread over it."""
    extractor = built(variant)
    out = extractor(spectrogram(extractor))
    flat = out.flatten()
    chosen = torch.linspace(0, len(flat) - 1, SAMPLES).long()
    return {
        "shape": list(out.shape),
        "mean": out.mean().item(),
        "deviation": out.std().item(),
        "elements": flat[chosen].tolist(),
    }


def agree(found, recorded):
    """Whether two descriptions are of one output; different machines round differently."""
    if found["shape"] != recorded["shape"]:
        return False
    pairs = [(found[name], recorded[name]) for name in ("mean", "deviation")]
    pairs += zip(found["elements"], recorded["elements"], strict=True)
    near = 1e-4 * recorded["deviation"]
    return all(abs(one - other) <= max(near, 1e-4 * abs(other)) for one, other in pairs)


def main():
    """Write the numbers of the variants that have none, or others."""
    torch.set_num_threads(1)
    recorded = json.loads(FILE.read_text())
    lines = []
    for variant in sorted(VARIANTS):
        found = _rounded(described(variant))
        same = variant in recorded and agree(found, recorded[variant])
        lines.append(f" {json.dumps(variant)}: {json.dumps(recorded[variant] if same else found)}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _rounded(numbers):
    return json.loads(json.dumps(numbers), parse_float=lambda text: float(f"{float(text):.7g}"))


if __name__ == "__main__":
    main()
