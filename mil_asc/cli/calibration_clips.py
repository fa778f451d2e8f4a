"""A calibration of a run's model from folders of recordings that it was never trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from mil_asc.corpora.evaluation_set import read_evaluation_set
from mil_asc.corpora.remote_folder import place_of_clip
from mil_asc.errors import UserError
from mil_asc.packaging.calibrate import calibrate
from mil_asc.training.evaluated_model import EvaluatedModel, open_run
from mil_asc.training.run_data import decode_clips, place_clips


def calibrate_run(run: Path, folders: Sequence[Path], cache: Path, progress: bool) -> str:
    """The text of ``calibration.json`` for a run's model.

    Arguments
    ---------
    run : Path
        Output folder of the run.
    folders : list of Path
        Data in a layout that ``mil_asc.corpora.evaluation_set`` recognises; all clips of class folders, the evaluation
        set of data that have lists.
    cache : Path
        Where waveform stores are.
    progress : bool
        Whether to show progress bars.

    Raises
    ------
    UserError
        Recordings cannot be used, the model was trained on some, or there are too few.
    """
    model = open_run(run)
    parts = [_clips(model, folder, cache, progress) for folder in folders]
    truth_B = [truth for _, truths, _ in parts for truth in truths]
    groups = [f"{place} {group}" for place, (_, _, found) in enumerate(parts) for group in found]
    waveforms = (wav_N for part, _, _ in parts for wav_N in part)
    return calibrate(model.network, waveforms, truth_B, groups).to_json()


def _clips(
    model: EvaluatedModel, folder: Path, cache: Path, progress: bool
) -> tuple[Iterator[np.ndarray], list[int], list[str]]:
    """Waveforms, class indices and locations of a folder's clips."""
    corpus = read_evaluation_set(folder, model.labels, {})
    trained = model.manifests
    if trained is None:
        raise UserError(f"{model.folder} does not say what it was trained on (no manifests): it cannot be calibrated")
    files = {place_of_clip(trained.folder, clip.path) for clip in trained.evaluate}
    both = sum(place_of_clip(corpus.folder, clip.path) in files for clip in corpus.evaluate)
    if both:
        raise UserError(f"{folder}: the model was trained on {both} of these recordings: name others for --calibrate")
    corpus, store, bad = decode_clips(corpus, cache, "stop", model.network, progress)
    data = place_clips(corpus, store, bad, model.network, torch.device("cpu"))
    clips = data.corpus.evaluate
    waveforms = (np.array(data.store.read_one(data.store.row(clip.path))) for clip in clips)
    return waveforms, [model.labels.index(clip.label) for clip in clips], [clip.location for clip in clips]
