"""What is written of an evaluation: every clip with its own times, events and spectrogram."""

import numpy as np
import pytest
import torch

from mil_asc.corpora.manifest import Clip, Corpus, Event
from mil_asc.results.evaluation import evaluate_events
from mil_asc.results.predictions import Predictions
from mil_asc.training import outcome as outcome_module
from mil_asc.training.outcome import Outcome
from mil_asc.training.run_data import RunData

LABELS = ["bus", "metro", "park", "tram"]
SECONDS = [2.0, 0.9, 1.6]


class Store:
    """Clips of different lengths and levels."""

    lengths = np.array([round(16000 * seconds) for seconds in SECONDS])

    def row(self, path):
        return int(path.removesuffix(".wav"))

    def read_one(self, row):
        rng = np.random.default_rng(row)
        return (10.0**-row * rng.normal(size=self.lengths[row])).astype(np.float32)


@pytest.fixture
def outcome(small_model, tmp_path):
    clips = [Clip(f"{k}.wav", LABELS[k], "oslo", f"oslo-{k}", "a") for k in range(3)]
    events = {f"{k}.wav": [Event(0.1 * k, 0.2 + 0.3 * k, f"bell {k}", "distinct")] for k in range(3)}
    corpus = Corpus(tmp_path, LABELS, [], clips, events=events)
    rng = np.random.default_rng(0)
    logits = [
        rng.normal(size=(len(small_model.instance_times(n)), 4)).astype(np.float32) for n in Store.lengths.tolist()
    ]
    predictions = Predictions.of_clips(logits, [z_IC.max(0) for z_IC in logits])
    return Outcome(clips, predictions, RunData(corpus, Store(), None), small_model)


def test_event_detection_takes_the_times_of_each_clip(outcome):
    times = [outcome.network.instance_times(length) for length in Store.lengths.tolist()]
    events = outcome.data.corpus.events
    expected = evaluate_events(outcome.predictions, outcome.clips, LABELS, times, events, 512 / 16000)
    found = outcome.results()["events"]
    assert found == expected
    frames = [np.arange(0, t_I2[-1, 1], 512 / 16000) for t_I2 in times]
    inside = [(f >= 0.1 * k) & (f < 0.2 + 0.3 * k) for k, f in enumerate(frames)]
    assert found["chance"] == pytest.approx(np.concatenate(inside).mean())


def test_examples_show_their_own_clips(outcome, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(outcome_module, "write_report", lambda folder, results, examples: shown.extend(examples))
    monkeypatch.setattr(outcome_module, "print_results", lambda *arguments: None)
    outcome.write(tmp_path, {}, torch.device("cpu"))
    assert (tmp_path / "predictions.npz").is_file()
    assert len(shown) > 1 and len({example.path for example in shown}) == len(shown)
    for example in shown:
        row = Store().row(example.path)
        wav_1N = torch.from_numpy(Store().read_one(row)).unsqueeze(0)
        np.testing.assert_allclose(example.logmel_FT, outcome.network.front_end(wav_1N)[0].numpy(), rtol=1e-5)
        np.testing.assert_array_equal(example.times_I2, outcome.network.instance_times(len(wav_1N[0])))
        assert example.events == outcome.data.corpus.events[example.path]
        assert (example.hop_seconds, example.top_hz) == (512 / 16000, 8000.0)
