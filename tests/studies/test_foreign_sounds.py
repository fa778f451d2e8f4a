"""``mil_asc.studies.foreign_sounds``: noise, tones and chords made from a seed."""

import numpy as np
import pytest

from mil_asc.errors import ArgumentError
from mil_asc.studies.foreign_sounds import LEVELS, MAKERS, make_sounds


@pytest.mark.parametrize("kind", MAKERS)
def test_sounds_are_finite_repeatable_different_and_within_the_levels(kind):
    first, again = (list(make_sounds(kind, 3, seed=5, seconds=1.5)) for _ in range(2))
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one, other)
        assert one.shape == (24000,) and one.dtype == np.float32
        assert 0.99 * LEVELS[0] <= np.sqrt(np.mean(one.astype(np.float64) ** 2)) <= 1.01 * LEVELS[1]
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("kind, slope", [("white noise", 0.0), ("pink noise", -1.0), ("brown noise", -2.0)])
def test_noise_falls_with_frequency_by_its_slope(kind, slope):
    power_F = np.mean([np.abs(np.fft.rfft(wav_N / wav_N.std())) ** 2 for wav_N in make_sounds(kind, 20, 1)], axis=0)
    hertz_F = np.fft.rfftfreq(160000, 1 / 16000)
    inside = (hertz_F > 50) & (hertz_F < 7000)
    assert np.polyfit(np.log(hertz_F[inside]), np.log(power_F[inside]), 1)[0] == pytest.approx(slope, abs=0.05)


def test_tone_is_one_frequency():
    power_F = np.abs(np.fft.rfft(next(make_sounds("tones", 1, 2)) * np.hanning(160000))) ** 2
    peak = int(power_F.argmax())
    assert power_F[peak - 5 : peak + 6].sum() > 0.999 * power_F.sum()


def test_unknown_kind_is_refused():
    with pytest.raises(ArgumentError, match="unknown kind of sound 'blue noise'; legal: white noise, pink noise"):
        next(make_sounds("blue noise", 1, 1))
