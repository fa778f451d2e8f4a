"""Finished runs of tiny models on one evaluation set, with scores that are made up: what an ensemble averages."""

import json

import finished_run
import numpy as np
from finished_run import LABELS

from mil_asc.corpora.json_manifests import write_manifests
from mil_asc.corpora.manifest import Clip, Corpus
from mil_asc.results.evaluation import decisions, evaluate_predictions
from mil_asc.results.predictions import Predictions, write_predictions
from mil_asc.runtime.checksums import checksum

FLOORS = {1: 0.2, 2: 0.25, 3: 0.1}
"""Accuracy of the floor by seed."""


def clips_of(count=12):
    return [Clip(f"{LABELS[i % 3]}/{i}.wav", LABELS[i % 3], "all", f"place-{i % 6}", "all") for i in range(count)]


def made_up(clips, seed, decision="smi", instances=None, lean=1.5):
    """Scores of one to five instances per clip; how many is the same for every seed."""
    counts = instances or [1 + i % 5 for i in range(len(clips))]
    rng = np.random.default_rng(seed)
    logits = [rng.normal(-1, 1, (count, 3)).astype(np.float32) for count in counts]
    for clip, logits_IC in zip(clips, logits):
        logits_IC[:, LABELS.index(clip.label)] += lean
    pooled = [z_IC.max(0) if decision == "smi" else z_IC.mean(0) for z_IC in logits]
    return Predictions.of_clips(logits, pooled, decision)


def write_member(folder, seed, decision="smi", clips=None, predictions=None, more=None, **changes):
    """The run of a seed; ``changes`` are parts of its report. Returns its folder."""
    clips = clips_of() if clips is None else clips
    pooling = {} if decision == "smi" else {"pooling": "mean"}
    finished_run.write_run(folder, {"seed": seed} | pooling | (more or {}))
    train = [Clip("park/train.wav", "park", "all", "elsewhere", "all")]
    seconds = {clip.path: 1.0 for clip in [*train, *clips]}
    write_manifests(Corpus(folder / "data", LABELS, train, clips), folder / "manifests", seconds)
    predictions = predictions or made_up(clips, seed, decision)
    write_predictions(folder / "predictions.npz", predictions, clips, LABELS)
    report = json.loads((folder / "report.json").read_text())
    floor = {"accuracy": FLOORS[seed], "macro_accuracy": FLOORS[seed], "log_loss": 1.0 + seed}
    report |= {
        "evaluation": evaluate_predictions(predictions, clips, LABELS, train),
        "decisions": decisions(predictions, clips, LABELS),
        "warnings": [f"warning of seed {seed}", "warning of every run"],
        "bad_audio": {},
        "floor": floor,
    } | changes
    report["run"] |= {"seed": seed, "parameters": 1000, "weights_sha256": checksum(folder / "model.ckpt")}
    (folder / "report.json").write_text(json.dumps(report))
    return folder
