"""Folders of the folds of a cross-validation, as finished runs leave them, with scores that are made up."""

import json

import numpy as np

from mil_asc.corpora.group_folds import choose_fold
from mil_asc.corpora.json_manifests import write_manifests
from mil_asc.corpora.manifest import Clip, Corpus
from mil_asc.results.evaluation import evaluate_predictions
from mil_asc.results.predictions import Predictions, write_predictions
from mil_asc.results.run import place_of_run

LABELS = ["bus", "park", "tram"]
FOLDS = 3
SETTINGS = "seed: 1\ndata: {{folds: 3, fold: {fold}, split_seed: 1}}\ntraining: {{number_of_epochs: 8}}\n"


def corpus_of(folder):
    """Six groups of three to five recordings of three classes; two recordings are cut into three pieces."""
    clips = [
        Clip(f"{LABELS[(group + n) % 3]}/{group}-{n}.wav", LABELS[(group + n) % 3], "all", f"place-{group}", "all")
        for group in range(6)
        for n in range(3 + group % 3)
    ]
    return Corpus(folder, LABELS, clips[:-3], clips[-3:])


def pieces_of(clip):
    return (
        [f"{clip.path}@{start}" for start in (0, 10, 20)]
        if clip.path in ("bus/0-0.wav", "park/1-0.wav")
        else [clip.path]
    )


def scores(clips, decision, seed):
    rng = np.random.default_rng(seed)
    logits = [rng.normal(-1, 1, (rng.integers(1, 6), 3)).astype(np.float32) for _ in clips]
    for clip, logits_IC in zip(clips, logits):
        logits_IC[:, LABELS.index(clip.label)] += 1.5
    return Predictions.of_clips(logits, [z_IC.mean(0) for z_IC in logits], decision)


def write_fold(folder, fold, decision="smi", best=False, debug=False, **more):
    """One fold's run; returns its folder."""
    corpus = choose_fold(corpus_of(folder / "data"), FOLDS, fold)
    run = place_of_run(folder, fold)
    run.mkdir(parents=True)
    write_manifests(corpus, run / "manifests", {clip.path: 1.0 for clip in corpus.clips})
    cut = corpus.cut({clip.path: pieces_of(clip) for clip in corpus.clips})
    predictions = scores(cut.evaluate, decision, seed=fold)
    write_predictions(run / "predictions.npz", predictions, cut.evaluate, LABELS)
    evaluation = evaluate_predictions(predictions, cut.evaluate, LABELS)
    other = evaluate_predictions(scores(cut.evaluate, decision, seed=10 + fold), cut.evaluate, LABELS)
    report = {
        "experiment": "fuse_pnl",
        "dataset": "Tiny",
        "labels": LABELS,
        "evaluation": evaluation,
        "evaluation_of_best_on_validation": {"epoch": fold + 1, **other} if best else None,
        "events": None,
        "notes": [*corpus.notes, "a note of every fold"],
        "warnings": ["a warning of every fold", *(["<b> of two folds"] if fold > 1 else [])],
        "bad_audio": {},
        "run": {
            **{"seed": 1, "epochs": 8, "debug": debug, "data_folder": "/audio", "clip_seconds": 10.0},
            **{"folds": FOLDS, "fold": fold, "train_clips": len(cut.train), "parameters": 139082},
            **{"train_seconds": 60.5, "finished": f"2026-11-2{fold}T12:00:00+00:00", "precision": "fp32"},
            **{"device": "a processor", "versions": {"mil_asc": "0.4.0", "torch": f"2.{10 + fold // 3}"}},
        },
    }
    (run / "report.json").write_text(json.dumps(report | more))
    (run / "hyperparams.yaml").write_text(SETTINGS.format(fold=fold))
    (run / "model.ckpt").write_bytes(b"weights")
    return run


def write_folds(folder, **more):
    """All folds; returns ``folder``."""
    for fold in range(1, FOLDS + 1):
        write_fold(folder, fold, **more)
    return folder
