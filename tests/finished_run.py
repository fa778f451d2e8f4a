"""A tiny finished run, written without training, and the model folder packed from it."""

import json

import tiny
import torch
from small_calibration import of_dimension

from mil_asc.packaging.pack import pack_run
from mil_asc.results.trained_model import save_model
from mil_asc.runtime.checksums import checksum
from mil_asc.training.config import load_hparams

LABELS = ["bus", "park", "tram"]
SIZES = {"num_classes": 3, "channels": [4, 4, 6, 8], "n_mels": 16, "instance_dim": 8}
RECIPE = tiny.ROOT / "recipes/TAU2019/hparams/fuse_pnl.yaml"


def write_run(folder, more=None):
    """A finished run of FUSE in tiny, of three classes, with ``more`` options; returns its folder."""
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    options = {"data_folder": "/home/anna/data/TAU2019", "output_folder": str(folder)}
    hparams, settings = load_hparams(RECIPE, options | SIZES | (more or {}))
    save_model(folder, hparams["model"]["network"], settings, LABELS)
    (folder / "hyperparams.yaml").write_text(settings)
    report = report_of(hparams["training"]["number_of_epochs"], checksum(folder / "model.ckpt"))
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def report_of(epochs, digest):
    per_class = {label: {"accuracy": 0.8, "clips": 10} for label in LABELS}
    rule = {"accuracy": 0.8, "macro_accuracy": 0.8, "per_class": per_class, "confusion": [[8, 1, 1]] * 3}
    return {
        "experiment": "fuse_pnl",
        "dataset": "TAU2019",
        "labels": LABELS,
        "evaluation": {"clips": 30, "decision": "smi", "smi": rule, "cmi": rule | {"accuracy": 0.7}},
        "floor": {
            "accuracy": 0.5,
            "chance": {"class": "bus", "accuracy": 0.3333},
            "difference": {"rule": "smi", "accuracy": 0.3, "low": 0.1, "high": 0.5, "groups": 9},
        },
        "notes": ["a note | with <b>marks</b>"],
        "warnings": [],
        "run": {
            "seed": 7,
            "epochs": epochs,
            "debug": False,
            "data_folder": "/home/anna/data/TAU2019",
            "clip_seconds": 0.0,
            "train_clips": 90,
            "device": "a processor",
            "precision": "fp32",
            "versions": {"mil_asc": "0.5.0", "torch": "2.14.1"},
            "weights_sha256": digest,
            "finished": "2026-11-27T11:03:17+00:00",
        },
    }


def write_packed(folder, run, **more):
    """The model folder of a run, with a small calibration and without an ONNX file."""
    return pack_run(run, folder, calibration=of_dimension(8), graph=None, **more)
