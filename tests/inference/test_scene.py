"""What a scene says: which instances are positive, and which moments are the strongest."""

import pytest
import torch

from mil_asc.inference.scene import Instance, Scene
from mil_asc.inference.scene_classifier import SceneClassifier
from mil_asc.mil.bags import make_bags

LABELS = ["bus", "metro", "park", "tram"]


@pytest.fixture
def classifier(small_model):
    return SceneClassifier(modules={"model": small_model}, hparams={"labels": LABELS}, run_opts={"device": "cpu"})


def scene_of(classifier, rows):
    """The scene decided by SMI of a clip with these instance logits."""
    samples = classifier.mods.model.front_end.hop_length * 8 * len(rows)
    return classifier._scene(make_bags(torch.tensor([rows])), samples, "smi")


def test_instance_is_positive_if_the_class_decided_is_its_most_confident(classifier):
    """Whether its confidence is below one half, or another instance is surer of another class, does not matter."""
    scene = scene_of(
        classifier, [[0.0, 2.0, -1.0, -1.0], [-2.0, -1.0, -3.0, -3.0], [1.0, -5.0, 0.0, 0.0], [1.5, 1.4, 0.0, 0.0]]
    )
    assert scene.label == "metro"
    assert [instance.label for instance in scene.instances] == ["metro", "metro", "bus", "bus"]
    assert [instance.positive for instance in scene.instances] == [True, True, False, False]
    assert scene.instances[1].confidence < 0.5 < scene.instances[2].confidence


def test_text_names_the_strongest_positive_instances_first():
    confidences = [0.55, 0.95, 0.65, 0.85, 0.75]
    instances = [Instance(float(k), k + 1.0, "bus", p, p != 0.85, {"bus": p}) for k, p in enumerate(confidences)]
    text = str(Scene("bus", "smi", {"smi": {"bus": 0.95}}, instances))
    start, _, strongest = text.partition("; strongest: ")
    assert start == "bus (SMI 0.95); 4 of 5 instances positive"
    assert strongest == "1.00-2.00 s (0.95), 4.00-5.00 s (0.75), 2.00-3.00 s (0.65)"
