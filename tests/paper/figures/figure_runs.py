"""Runs for figures, written by hand."""

import importlib.util
import json

import numpy as np
import tiny

SPEC = importlib.util.spec_from_file_location("figures_tool", tiny.ROOT / "tools/figures.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)

TRUTH = [0, 1, 2, 0, 1, 2, 0, 1]
GAP = {"clips": 8, "decision": "bag", "smi": {"accuracy": 0.25}, "bag": {"accuracy": 0.75}}
"""Results of a model whose pooling is not the maximum."""
LABELS = ["airport", "park", "tram"]
SETTINGS = """\
seed: {seed}
__set_seed: !apply:speechbrain.utils.seed_everything [{seed}]
data_folder: nowhere
output_folder: results/{experiment}/seed-{seed}
data:
  data_folder: nowhere
  train_clips: {train_clips}
model:
  head:
    confidence: {confidence}
  features:
    n_mels: {n_mels}
    hop_ms: 64.0
  network: !new:mil_asc.model.classifier.MILClassifier
    extractor: !new:mil_asc.model.extractors.{extractor}
      channels: {channels}
    input_norm: {input_norm}
training:
  number_of_epochs: {epochs}
objective:
  loss: !new:mil_asc.mil.losses.MILLoss
    bag: !new:mil_asc.mil.losses.BagBCE
"""
INSTANCE_TERM = """\
    instance: !new:mil_asc.mil.losses.{name}
      assigner: !name:mil_asc.mil.assigners.positive_negative_labels
"""
FRAME_TERM = "    frame: !new:mil_asc.mil.losses.FrameLoss\n"
MODEL = {"extractor": "fuse.FUSE", "n_mels": 128, "channels": [4, 8], "input_norm": "none"}
VGG_LIKE = {"extractor": "vgg_like.VGGLike"}


def logits_of(p):
    p = np.array(p, dtype=np.float64)
    return np.log(p / (1 - p)).astype(np.float32)


def write_run(
    folder, experiment, logits, truth, seed=1, softmax=False, paths=None, labels=LABELS, settings=None, **changes
):
    """A run's folder as figures read it, with an empty model; the experiment's name says what terms its loss has."""
    folder = folder / experiment / f"seed-{seed}"
    folder.mkdir(parents=True)
    accuracy = np.mean([z.max(0).argmax() == c for z, c in zip(logits, truth)])
    report = {
        "experiment": experiment,
        "dataset": "Tiny",
        "labels": labels,
        "evaluation": {"clips": len(truth), "decision": "smi", "smi": {"accuracy": float(accuracy)}},
        "notes": [],
        "warnings": [],
        "run": {"seed": seed, "epochs": 1, "debug": False, "data_folder": "/nowhere", "clip_seconds": 0.0},
    }
    (folder / "report.json").write_text(json.dumps(report | changes))
    chosen = MODEL | {"confidence": "softmax" if softmax else "sigmoid", "train_clips": 20, "epochs": 1}
    text = SETTINGS.format(experiment=experiment, seed=seed, **chosen | (settings or {}))
    if "frame_loss" in experiment:
        text += FRAME_TERM
    elif not experiment.endswith(("no_il", "gap")):
        text += INSTANCE_TERM.format(name="InstanceCE" if softmax else "InstanceBCE")
    (folder / "hyperparams.yaml").write_text(text)
    (folder / "model.ckpt").touch()
    np.savez(
        folder / "predictions.npz",
        paths=np.array(paths or [f"audio/{k}.wav" for k in range(len(truth))]),
        labels=np.array(labels),
        truth=np.array(truth),
        counts=np.array([len(z) for z in logits]),
        logits=np.concatenate(logits).astype(np.float32),
        bag_logits=np.stack([z.max(0) for z in logits]).astype(np.float32),
    )
    return folder


def random_logits(seed, truth, gain=1.0):
    """Clips of three to seven instances."""
    rng = np.random.default_rng(seed)
    logits = [rng.normal(-1, 1, size=(3 + k % 5, len(LABELS))).astype(np.float32) for k in range(len(truth))]
    for z_IC, c in zip(logits, truth):
        z_IC[:, c] += gain
    return logits


def write_by_hand(folder):
    """Two clips of airport, one of park, none of tram."""
    logits = [
        logits_of([[0.8, 0.1, 0.2], [0.4, 0.6, 0.2]]),
        logits_of([[0.9, 0.3, 0.1], [0.7, 0.2, 0.1], [0.2, 0.1, 0.5]]),
        logits_of([[0.3, 0.5, 0.1]]),
    ]
    return write_run(folder, "fuse_pnl", logits, [0, 0, 1])


def write_three_experiments(folder):
    """Two seeds of a run without instance loss, two with, one with cross entropy."""
    folders = []
    for experiment, gain in (("fuse_pnl_ce", 2), ("fuse_pnl", 2), ("fuse_no_il", 1)):
        for seed in (1, 2) if experiment != "fuse_pnl_ce" else (1,):
            logits = random_logits(seed, TRUTH, gain)
            folders.append(write_run(folder, experiment, logits, TRUTH, seed, experiment.endswith("_ce")))
    return folders
