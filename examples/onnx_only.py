"""Classify recordings without PyTorch: python examples/onnx_only.py synthscenes-fuse-pnl street.wav ...

Needs numpy, soundfile, soxr and onnxruntime alone (requirements-runtime.txt).
"""

import sys

from mil_asc.errors import UserError
from mil_asc.inference.onnx import OnnxSceneClassifier


def main(model, *paths):
    """Print the scene of each recording, with its three strongest moments."""
    classifier = OnnxSceneClassifier.from_hparams(source=model)
    for path in paths:
        print(f"{path}: {classifier.explain_file(path)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
