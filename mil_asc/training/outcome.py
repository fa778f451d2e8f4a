"""What comes out of an evaluation: results, predictions and examples, written and printed."""

import numpy as np
import torch

from mil_asc.results.evaluation import decisions, evaluate_events, evaluate_predictions
from mil_asc.results.examples import choose_examples
from mil_asc.results.predictions import write_predictions
from mil_asc.results.report import write_report
from mil_asc.results.run import PREDICTIONS
from mil_asc.training.console import print_results


class Outcome:
    """A model's predictions of an evaluation set.

    Arguments
    ---------
    clips : list of Clip
        The clips that were evaluated.
    predictions : Predictions
        The model's scores of them, in the same order.
    data : RunData
        Where their waveforms and events are.
    network : MILClassifier
        The model.
    train : sequence of Clip, optional
        The clips that it was trained on; by default the training set of ``data``.
    """

    def __init__(self, clips, predictions, data, network, train=None):
        self.clips = clips
        self.predictions = predictions
        self.data = data
        self.network = network
        self.train = data.corpus.train if train is None else train

    def results(self):
        """The parts of ``report.json`` that follow from the predictions and the data."""
        corpus, front_end = self.data.corpus, self.network.front_end
        times = [self.times(clip) for clip in self.clips]
        hop_seconds = front_end.hop_length / front_end.sample_rate
        return {
            "labels": corpus.labels,
            "evaluation": evaluate_predictions(self.predictions, self.clips, corpus.labels, self.train),
            "events": evaluate_events(self.predictions, self.clips, corpus.labels, times, corpus.events, hop_seconds),
            "notes": corpus.notes,
            "warnings": corpus.warnings,
            "bad_audio": self.data.bad_audio,
            "decisions": decisions(self.predictions, self.clips, corpus.labels),
        }

    def write(self, folder, results, device):
        """Write predictions, ``results`` (the content of ``report.json``) and the page to ``folder``; print them."""
        labels = self.data.corpus.labels
        write_predictions(folder / PREDICTIONS, self.predictions, self.clips, labels)
        spectrogram = self.network.spectrogram.to(device)
        examples = choose_examples(
            self.clips, self.predictions, labels, lambda clip: self._picture(clip, spectrogram, device)
        )
        print_results(results, write_report(folder, results, examples))

    def times(self, clip):
        """(I, 2) start and end of a clip's instances (in seconds)."""
        store = self.data.store
        return self.network.instance_times(int(store.lengths[store.row(clip.path)]))

    @torch.no_grad()
    def _picture(self, clip, spectrogram, device):
        """What ``Example`` needs of a clip: log-mel, instance times, events, frame step (s), highest frequency (Hz)."""
        store = self.data.store
        wav_1N = torch.from_numpy(np.array(store.read_one(store.row(clip.path)))).unsqueeze(0)
        return (
            spectrogram(wav_1N.to(device))[0].cpu().numpy(),
            self.times(clip),
            self.data.corpus.events.get(clip.path, []),
            spectrogram.hop_length / spectrogram.sample_rate,
            spectrogram.sample_rate / 2,
        )
