"""The features of the floor: mean and deviation over time of each log-mel bin, of the model's own front end."""

import torch
from tqdm import tqdm

from mil_asc.results.evaluation import class_indices
from mil_asc.results.floor import Features, floor_results


def measure_floor(outcome, device, progress=True):
    """The floor under an ``Outcome``: ``floor`` in ``report.json``, as ``mil_asc.results.floor.floor_results`` has it.

    It is fitted to the training set of the outcome's data, without the validation set, as the model is. Random
    generators and the model stay as they are.
    """
    corpus, spectrogram = outcome.data.corpus, outcome.network.spectrogram.to(device)
    lists = []
    for clips in (corpus.train, outcome.clips):
        feature_BD = clip_statistics(outcome.data.dataset_of(clips), spectrogram, device, progress)
        lists.append(Features(feature_BD, class_indices(clips, corpus.labels), [clip.location for clip in clips]))
    predictions = outcome.predictions
    return floor_results(*lists, corpus.labels, predictions.decided(), predictions.decision)


@torch.no_grad()
def clip_statistics(dataset, spectrogram, device, progress=True):
    """Mean and standard deviation over time of each log-mel bin of each clip.

    Clips are computed one by one, so that a clip's features depend on no other clip.

    Arguments
    ---------
    dataset : ClipDataset
        The clips, of any lengths.
    spectrogram : LogMel
        The front end, on ``device``.
    device : torch.device
        Where to compute.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    numpy.ndarray
        float32 (B, 2 F): F means, then F deviations (biased, natural log of power).
    """
    feature_BD = None
    for position in tqdm(range(len(dataset)), desc="floor", unit="clip", leave=False, disable=not progress):
        logmel_FT = spectrogram(dataset[position].to(device).waveforms())[0]
        deviation_F, mean_F = torch.std_mean(logmel_FT, dim=1, correction=0)
        if feature_BD is None:  # one array, as a small tensor per clip would take kilobytes each
            feature_BD = mean_F.new_empty(len(dataset), 2 * len(mean_F))
        torch.cat([mean_F, deviation_F], out=feature_BD[position])
    return feature_BD.cpu().numpy()
