"""Precise batch norm in the training loop: on batches that are mixed like training batches, though lists are sorted."""

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from test_brain import LABELS, Waveforms, brain_for

from mil_asc.corpora.manifest import Clip
from mil_asc.store.batches import ClipDataset
from mil_asc.training import brain as brain_module

PER_CLASS = 8


def sorted_dataset():
    """Clips of four classes, class after class, each of another level: their first feature differs far more between
    classes than within one."""
    clips = [Clip(f"{i}.wav", LABELS[i // PER_CLASS], "oslo", f"oslo-{i}", "a") for i in range(4 * PER_CLASS)]
    store = Waveforms(len(clips), lengths=(8000,))
    store.scales *= 10.0 ** torch.arange(4).repeat_interleave(PER_CLASS).numpy()
    return ClipDataset(store, range(len(clips)), clips, LABELS)


@torch.no_grad()
def variances(model, waveforms):
    """Mean over batches of the variance of each channel before the first batch norm, in training mode."""
    found = []
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    hook = norm.register_forward_hook(lambda module, inputs, output: found.append(inputs[0].var((0, 2, 3))))
    for wav_BN in waveforms:
        model(wav_BN)
    hook.remove()
    return norm, torch.stack(found).mean(0)


def test_statistics_of_a_list_sorted_by_class_are_those_of_mixed_batches(small_model):
    data = sorted_dataset()
    brain = brain_for(small_model, epochs=1, batch_size=4, learning_rate=1e-9)
    brain.hparams.precise_bn_clips = 32
    brain.fit(EpochCounter(1), data)
    wav_BN = data.__getitems__(list(range(len(data)))).waveforms()
    norm, expected = variances(small_model.eval(), [wav_BN[first::8] for first in range(8)])
    torch.testing.assert_close(norm.running_var, expected, rtol=0.05, atol=0.0)
    _, of_sorted = variances(small_model, wav_BN.split(4))
    assert (of_sorted < 0.5 * expected).all()


@pytest.mark.parametrize("count", [16, 30, 32, 100])
def test_batches_of_the_estimate_are_mixed_and_cover_the_list(small_model, monkeypatch, count):
    data, seen = sorted_dataset(), []
    monkeypatch.setattr(brain_module, "estimate_batch_norm", lambda model, wavs: seen.extend(wavs))
    brain = brain_for(small_model, epochs=1, batch_size=4)
    brain.hparams.precise_bn_clips = count
    brain.fit(EpochCounter(1), data)
    levels = [wav_BN.abs().amax(1).log10().round().tolist() for wav_BN in seen]
    assert sum(map(len, levels)) == min(count, 32)
    assert all(len(set(batch)) >= 3 for batch in levels)
