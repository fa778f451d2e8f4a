"""The factored DFT against the STFT of the front end, in double precision."""

import copy

import pytest
import torch

from mil_asc.model.features import LogMel
from mil_asc.packaging.log_mel_graph import LogMelGraph, split


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_mels": 128, "hop_ms": 64.0},
        {"n_mels": 40, "window_ms": 40.0, "hop_ms": 20.0},
        {"n_mels": 20, "sample_rate": 44100, "window_ms": 20.03, "hop_ms": 7.0},
        {"n_mels": 16, "window_ms": 20.0, "hop_ms": 7.0, "log_floor": 1e-3},
    ],
)
def test_log_mel_is_that_of_the_front_end(settings):
    front_end = LogMel(**settings)
    graph, exact = LogMelGraph(front_end), copy.deepcopy(front_end).double()
    for samples in (front_end.min_samples, 20000, 48017):
        wav_BN = 0.05 * torch.randn(2, samples)
        expected = exact.mel(wav_BN.double()).clamp(min=front_end.log_floor).log()
        torch.testing.assert_close(graph(wav_BN).double(), expected, rtol=0, atol=2e-4)


def test_filters_are_those_of_the_front_end():
    front_end = LogMel(n_mels=32)
    graph = LogMelGraph(front_end)
    torch.testing.assert_close(graph.filters().sum(1), front_end.mel.mel_scale.fb.sum(0), rtol=1e-5, atol=1e-5)
    assert ((graph.filters() > 0).sum(1) == (front_end.mel.mel_scale.fb > 0).sum(0)).all()


@pytest.mark.parametrize("n_fft, hop", [(2048, 512), (2048, 1024), (640, 320), (883, 309), (1024, 160), (400, 160)])
def test_factors_divide_window_and_hop(n_fft, hop):
    first, second = split(n_fft, hop)
    assert first * second == n_fft and hop % second == 0
