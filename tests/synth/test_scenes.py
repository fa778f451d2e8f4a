"""Plans of synthetic scenes, and the loudness of their events."""

import numpy as np
import pytest

from mil_asc.synth.scenes import CITIES, SCENES, band_powers, event_gain, plan_clips
from mil_asc.synth.sounds import tone


@pytest.mark.parametrize(("train_clips", "evaluate_clips"), [(300, 150), (10, 10), (47, 31)])
def test_plan_is_balanced_and_keeps_locations_apart(train_clips, evaluate_clips):
    train, evaluate = plan_clips(train_clips, evaluate_clips)
    assert (len(train), len(evaluate)) == (train_clips, evaluate_clips)
    for listed in (train, evaluate):
        shares = [sum(clip.scene == scene for clip in listed) for scene in SCENES]
        assert max(shares) - min(shares) <= 1
    assert not {clip.location for clip in train} & {clip.location for clip in evaluate}
    places = {(clip.scene, clip.city, clip.location) for clip in train + evaluate}
    assert len(places) == len({location for _, _, location in places})
    assert {clip.city for clip in evaluate} - {clip.city for clip in train} == {CITIES[-1]}
    assert len({clip.filename for clip in train + evaluate}) == train_clips + evaluate_clips
    assert [clip.index for clip in train + evaluate] == list(range(train_clips + evaluate_clips))


def test_default_plan_has_fifteen_and_eight_locations_per_class():
    for listed, count in zip(plan_clips(300, 150), (15, 8), strict=True):
        for scene in SCENES:
            assert len({clip.location for clip in listed if clip.scene == scene}) == count


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_event_gain_of_a_one_band_event_is_the_ratio_in_that_band(snr_db):
    rng = np.random.default_rng(0)
    background = rng.standard_normal(160000)
    event = tone(np.full(16000, 900.0), 16000)
    powers = band_powers(background, 16000) / len(background)
    scaled = event * event_gain(event, powers, snr_db, 16000)
    measured = band_powers(scaled, 16000) / len(scaled)
    band = np.argmax(measured)
    assert 10.0 * np.log10(measured[band] / powers[band]) == pytest.approx(snr_db, abs=0.5)
