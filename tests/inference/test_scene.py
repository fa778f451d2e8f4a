"""What a scene says: which instances are positive, and which moments are the strongest."""

from dataclasses import replace

import numpy as np
import pytest

from mil_asc.inference.recording_scores import RecordingScores
from mil_asc.inference.scene import Instances
from mil_asc.model.interface import NetworkInterface

LABELS = ["bus", "metro", "park", "tram"]
INTERFACE = NetworkInterface(LABELS, 16000, 3584, 4096, 512, 12)


def recording_of(rows):
    """A recording with these instance logits."""
    logits_IC = np.array(rows, np.float32)
    return RecordingScores(INTERFACE, logits_IC, INTERFACE.instance_times(len(rows), 4096 * len(rows)))


def test_instance_is_positive_if_the_class_decided_is_its_most_confident():
    """Whether its confidence is below one half, or another instance is surer of another class, does not matter."""
    scene = recording_of(
        [[0.0, 2.0, -1.0, -1.0], [-2.0, -1.0, -3.0, -3.0], [1.0, -5.0, 0.0, 0.0], [1.5, 1.4, 0.0, 0.0]]
    ).scene("smi")
    assert scene.label == "metro"
    assert [instance.label for instance in scene.instances] == ["metro", "metro", "bus", "bus"]
    assert [instance.positive for instance in scene.instances] == [True, True, False, False]
    assert scene.instances[1].confidence < 0.5 < scene.instances[2].confidence


def test_text_names_the_strongest_positive_instances_first():
    logits = [[z, -9.0, 9.0 if z == 1.7 else -9.0, -9.0] for z in (0.2, 2.9, 0.6, 1.7, 1.1)]
    start, _, strongest = str(recording_of([*logits, [12.0, -9.0, -9.0, -9.0]]).scene()).partition("; strongest: ")
    assert start == "bus (SMI 1.00, CMI 0.83); 5 of 6 instances positive"
    assert strongest == "1.26-1.52 s (1.00), 0.24-0.50 s (0.95), 1.01-1.26 s (0.75)"


def test_recording_unlike_the_training_data_is_marked_in_the_text():
    scene = replace(recording_of([[2.9, 0.0, 0.0, 0.0]]).scene(), familiar=False)
    assert str(scene).startswith("bus (SMI 0.95, CMI 1.00), unlike the training data; ")
    assert "unlike" not in str(replace(scene, familiar=True))
    assert "unlike" not in str(replace(scene, familiar=None))


def test_instances_are_a_sequence():
    instances = recording_of([[0.0, 2.0, -1.0, -1.0], [-2.0, -1.0, -3.0, 3.0]]).scene().instances
    assert len(instances) == 2 and [one.label for one in instances[:]] == ["metro", "tram"]
    assert instances[-1] == instances[1] and list(instances) == instances and instances[:1] != instances
    with pytest.raises(IndexError):
        instances[2]
    assert isinstance(instances, Instances) and instances.positive_I.tolist() == [False, True]


@pytest.mark.parametrize("theta", [0, 1.5, "1", None, True])
def test_theta_of_the_threshold_assumption_is_a_whole_number(theta):
    scene = recording_of([[5.0, 0, 0, 0]] * 4).scene()
    assert scene.present(theta=np.int64(4), tau=np.float32(0.9)) == ["bus"]
    with pytest.raises(ValueError, match=f"^theta must be a whole number from 1 up, got {theta!r}$"):
        scene.present(theta=theta)


@pytest.mark.parametrize("tau", [0, 1, float("nan"), "0.5", None])
def test_tau_of_the_threshold_assumption_lies_between_0_and_1(tau):
    with pytest.raises(ValueError, match=f"^tau must be a number between 0 and 1, got {tau!r}$"):
        recording_of([[5.0, 0, 0, 0]] * 4).scene().present(tau=tau)


def test_timeline_decides_every_window_from_its_own_instances():
    rows = [[5.0, 0, 0, 0]] * 4 + [[0, 4.0, 0, 0]] * 4 + [[0, 0, 3.0, 0]]
    scene = recording_of(rows).scene()
    parts = scene.timeline(1.0)  # an instance lasts 0.256 s
    assert [part.label for part in parts] == ["bus", "metro", "park"]
    assert [len(part.instances) for part in parts] == [4, 4, 1]
    assert parts[0].start == 0 and all(a.end == b.start for a, b in zip(parts, parts[1:]))
    assert parts[-1].end == scene.end == (9 * 4096 - 256) / 16000 and scene.label == "bus"
    assert scene.timeline(1e9)[0] == scene
    for seconds in (1e-3, 1e-20, 1e-300):
        assert [len(part.instances) for part in scene.timeline(seconds)] == [1] * 9
    assert scene.timeline(np.float32(1)) == parts
    for seconds in (0, -1.0, float("nan"), "3", None, True, [1.0]):
        with pytest.raises(ValueError, match="seconds must be a number above 0"):
            scene.timeline(seconds)
    with pytest.raises(ValueError, match="only the scene of a whole recording"):
        parts[0].timeline()
