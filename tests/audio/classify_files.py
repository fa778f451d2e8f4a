"""A program that classifies the files of a folder with a small model, within limits of time and memory.

It writes two lines of JSON for each file: ["started", name], and [name, what became of it], which are scores or the
message of an error. (libsndfile prints to the standard output.) A file that takes too long ends the program; memory
beyond the limit is a ``MemoryError``.
"""

import json
import re
import resource
import signal
import sys
from pathlib import Path

import torch

from mil_asc.audio.decode import read_duration
from mil_asc.errors import AudioError
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head

SECONDS, BYTES = 10, 10**9


def main(folder, log):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8, 10)), Head(num_classes=4, instance_dim=12))
    classifier = SceneClassifier(modules={"model": model}, hparams={"labels": ["a", "b", "c", "d"]})
    classifier.explain_waveform(torch.randn(16000))
    used = 1024 * int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    for path in sorted(folder.iterdir()):
        print(json.dumps(["started", path.name]), file=log, flush=True)
        signal.alarm(SECONDS)
        found = classify(classifier, path)
        signal.alarm(0)
        print(json.dumps([path.name, found]), file=log, flush=True)


def classify(classifier, path):
    """``{"scores": ..., "seconds": ...}``, or ``{"error": ...}``."""
    try:
        scene = classifier.explain_file(path)
        return {"scores": [list(scores.values()) for scores in scene.scores.values()], "seconds": read_duration(path)}
    except AudioError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="utf-8") as log_file:
        main(Path(sys.argv[1]), log_file)
