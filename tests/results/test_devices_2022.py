"""Accuracy and log loss by the devices of TAU 2022 Mobile, and of devices that were not trained on."""

import math

import numpy as np
import pytest

from mil_asc.corpora.manifest import Clip
from mil_asc.results.evaluation import evaluate_predictions
from mil_asc.results.predictions import Predictions

DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6", "unknown")
LABELS = ["bus", "tram"]


def clip(device, number=0):
    return Clip(f"audio/bus-lyon-{number}-{number}-0-{device}.wav", "bus", "lyon", f"lyon-{number}", device)


def test_log_loss_by_device_is_that_of_its_clips_and_new_devices_stand_apart():
    """One instance per clip; the share of the true class in the confidences is (d + 1) / 13 of device d."""
    shares = {device: (d + 1) / 13 for d, device in enumerate(DEVICES)}
    # confidences q / 2 and (1 - q) / 2
    logits = [np.log([[q / (2 - q), (1 - q) / (1 + q)]]).astype(np.float32) for q in shares.values()]
    predictions = Predictions.of_clips(logits, [z_IC[0] for z_IC in logits])
    train = [clip(device) for device in DEVICES[:6]]
    results = evaluate_predictions(predictions, [clip(device, 9) for device in DEVICES], LABELS, train)
    assert results["log_losses"]["per_device"] == {
        device: pytest.approx(-math.log(share), rel=1e-5) for device, share in shares.items()
    }
    assert results["smi"]["per_device"].keys() == shares.keys()
    apart = results["seen_unseen"]["per_device"]
    assert apart["unseen"]["names"] == ["s4", "s5", "s6", "unknown"] and apart["unseen"]["clips"] == 4
    for side, own in (("seen", DEVICES[:6]), ("unseen", DEVICES[6:])):
        mean = np.mean([-math.log(shares[device]) for device in own])
        assert apart[side]["log_loss"] == pytest.approx(mean, rel=1e-5)
        assert apart[side]["accuracy"]["smi"] == np.mean([shares[device] > 0.5 for device in own])
