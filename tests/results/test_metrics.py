import numpy as np
import pytest

from mil_asc.corpora.manifest import Clip, Event
from mil_asc.results import metrics
from mil_asc.results.evaluation import evaluate_events, evaluate_predictions
from mil_asc.results.predictions import Predictions

LABELS = ["bus", "park", "tram"]


def logits_for(*winners):
    """One clip whose instances are won by the classes named."""
    return np.array([[3.0 if c == winner else -3.0 for c in range(3)] for winner in winners], dtype=np.float32)


def predictions_of(logits, decision="smi"):
    return Predictions.of_clips(logits, [z_IC.mean(0) for z_IC in logits], decision)


def clip(label, city="lisbon"):
    return Clip(f"audio/{label}.wav", label, city, f"{city}-1", "a")


def test_known_results():
    predictions = predictions_of([logits_for(0, 0), logits_for(1, 2, 2), logits_for(0)])
    found = evaluate_predictions(predictions, [clip("bus"), clip("tram", "prague"), clip("tram")], LABELS)
    assert found["classes_without_clips"] == ["park"]
    assert found["cmi"]["accuracy"] == pytest.approx(2 / 3)
    assert found["cmi"]["macro_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert found["cmi"]["per_class"]["park"] == {"accuracy": None, "clips": 0}
    assert found["cmi"]["per_city"]["prague"] == {"accuracy": 1.0, "clips": 1}
    assert found["cmi"]["confusion"] == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert found["underestimation"]["positive_share"] == pytest.approx(4 / 6)
    high, low = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3))
    assert found["underestimation"]["mean_confidence"] == pytest.approx((4 * high + 2 * low) / 6)


def test_results_by_city_and_by_device_are_those_of_their_own_clips():
    """Three devices and two cities that cut across each other, mixed outcomes; counted by hand."""
    rows = [  # true class, decided class, city, device
        ("bus", 0, "prague", "b"),
        ("park", 2, "lisbon", "a"),
        ("tram", 2, "prague", "s1"),
        ("bus", 1, "prague", "a"),
        ("tram", 0, "lisbon", "b"),
        ("park", 1, "lisbon", "a"),
        ("park", 1, "prague", "a"),
    ]
    clips = [Clip(f"{k}.wav", label, city, f"{city}-{k}", device) for k, (label, _, city, device) in enumerate(rows)]
    found = evaluate_predictions(predictions_of([logits_for(decided) for _, decided, *_ in rows]), clips, LABELS)
    for rule in ("smi", "cmi"):
        assert found[rule]["per_city"] == {
            "lisbon": {"accuracy": pytest.approx(1 / 3), "clips": 3},
            "prague": {"accuracy": pytest.approx(3 / 4), "clips": 4},
        }
        assert found[rule]["per_device"] == {
            "a": {"accuracy": pytest.approx(2 / 4), "clips": 4},
            "b": {"accuracy": pytest.approx(1 / 2), "clips": 2},
            "s1": {"accuracy": 1.0, "clips": 1},
        }
        assert found[rule]["per_class"] == {
            "bus": {"accuracy": pytest.approx(1 / 2), "clips": 2},
            "park": {"accuracy": pytest.approx(2 / 3), "clips": 3},
            "tram": {"accuracy": pytest.approx(1 / 2), "clips": 2},
        }


def in_group(label, group, path=None):
    return Clip(path or f"{label}/{group}.wav", label, "all", group, "all")


def test_groups_take_the_place_of_cities_and_devices_that_are_not_known():
    predictions = predictions_of([logits_for(0, 0), logits_for(1, 2, 2), logits_for(0), logits_for(0)])
    clips = [in_group("bus", "street"), in_group("tram", "home"), in_group("tram", "street"), in_group("bus", "home")]
    found = evaluate_predictions(predictions, clips, LABELS)
    for rule in ("smi", "cmi"):
        assert not {"per_city", "per_device"} & found[rule].keys()
        assert list(found[rule]["per_group"]) == ["home", "street"]
    assert found["cmi"]["per_group"] == {
        "home": {"accuracy": 1.0, "clips": 2},
        "street": {"accuracy": 0.5, "clips": 2},
    }


def test_clips_that_are_groups_of_their_own_have_no_results_by_group():
    clips = [in_group("bus", "bus/1.wav", "bus/1.wav"), in_group("tram", "tram/2.wav", "tram/2.wav")]
    found = evaluate_predictions(predictions_of([logits_for(0), logits_for(1)]), clips, LABELS)
    assert not {"per_city", "per_device", "per_group"} & found["smi"].keys()


def test_groups_of_which_most_have_one_clip_have_no_results():
    groups = ["a", "a", "b", "c"]
    clips = [in_group("bus", group, f"{i}.wav") for i, group in enumerate(groups)]
    found = evaluate_predictions(predictions_of([logits_for(0)] * 4), clips, LABELS)
    assert "per_group" not in found["smi"] and "per_group" not in found["log_losses"]


def test_pieces_of_a_long_recording_have_results_by_recording():
    clips = [in_group("bus", "bus/1.wav", f"bus/1.wav@{start}") for start in (0, 10)]
    found = evaluate_predictions(predictions_of([logits_for(0), logits_for(1)]), clips, LABELS)
    assert found["smi"]["per_group"] == {"bus/1.wav": {"accuracy": 0.5, "clips": 2}}


def test_a_model_with_another_pooling_is_decided_by_it_too():
    """One loud instance decides under SMI, the mean of the logits goes with the other two."""
    loud = np.array([[9.0, 0, 0], [-9.0, 3, 0], [-9.0, 3, 0]], dtype=np.float32)
    found = evaluate_predictions(predictions_of([loud], "bag"), [clip("park")], LABELS)
    assert (found["smi"]["accuracy"], found["bag"]["accuracy"], found["decision"]) == (0, 1, "bag")
    shares = 1 / (1 + np.exp(-loud.mean(0)))
    assert found["log_loss"] == pytest.approx(-np.log(shares[1] / shares.sum()))
    assert "bag" not in evaluate_predictions(predictions_of([loud]), [clip("park")], LABELS)


def test_known_log_loss():
    scores = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.0]])
    assert metrics.log_loss(np.array([0, 0]), scores) == pytest.approx(np.log(2))
    assert np.isfinite(metrics.log_loss(np.array([2]), scores[1:]))


def from_place(label, city, device="a"):
    return Clip(f"{label}-{city}-{device}.wav", label, city, f"{city}-1", device)


def test_known_log_loss_by_class_city_and_device():
    """Confidences of 1/2, 1/3 and 1/4 of the sum for the true class, from logits of the bag's own pooling."""
    shares = [[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.25, 0.25, 0.5]]
    logits = [np.log([[p / (1 - p) for p in row]]).astype(np.float32) for row in shares]
    clips = [from_place("bus", "oslo"), from_place("bus", "rome"), from_place("park", "oslo", "b")]
    found = evaluate_predictions(predictions_of(logits), clips, LABELS)
    assert found["log_loss"] == pytest.approx(np.log(2 * 3 * 4) / 3)
    assert found["log_losses"] == {
        "per_class": {"bus": pytest.approx(np.log(2 * 3) / 2), "park": pytest.approx(np.log(4)), "tram": None},
        "per_city": {"oslo": pytest.approx(np.log(2 * 4) / 2), "rome": pytest.approx(np.log(3))},
        "per_device": {"a": pytest.approx(np.log(2 * 3) / 2), "b": pytest.approx(np.log(4))},
    }


def test_log_loss_by_group_stands_where_cities_and_devices_are_not_known():
    clips = [in_group("bus", "street"), in_group("tram", "home"), in_group("bus", "home")]
    found = evaluate_predictions(predictions_of([logits_for(0), logits_for(2), logits_for(1)]), clips, LABELS)
    assert found["log_losses"].keys() == {"per_class", "per_group"}
    losses = found["log_losses"]["per_group"]
    assert list(losses) == ["home", "street"] and losses["home"] > losses["street"]
    assert found["log_loss"] == pytest.approx((2 * losses["home"] + losses["street"]) / 3)


def test_seen_and_unseen_cities_and_devices_are_apart():
    clips = [from_place("bus", "oslo"), from_place("park", "oslo", "s4"), from_place("tram", "rome", "s5")]
    clips.append(from_place("bus", "kyiv"))
    train = [from_place("tram", "oslo"), from_place("tram", "bern"), from_place("bus", "oslo", "b")]
    loud = logits_for(2, 1, 1) + np.float32([[1], [0], [0]])  # one instance of the tram against two of the park
    predictions = predictions_of([logits_for(0), logits_for(0), loud, logits_for(1)])
    found = evaluate_predictions(predictions, clips, LABELS, train)
    seen, unseen = found["seen_unseen"]["per_city"]["seen"], found["seen_unseen"]["per_city"]["unseen"]
    assert (seen["names"], seen["clips"]) == (["oslo"], 2)
    assert (unseen["names"], unseen["clips"]) == (["kyiv", "rome"], 2)
    assert seen["accuracy"] == {"smi": 0.5, "cmi": 0.5} and unseen["accuracy"] == {"smi": 0.5, "cmi": 0.0}
    assert found["log_loss"] == pytest.approx((seen["log_loss"] + unseen["log_loss"]) / 2)
    assert seen["log_loss"] == pytest.approx(found["log_losses"]["per_city"]["oslo"])
    devices = found["seen_unseen"]["per_device"]
    assert {side: devices[side]["names"] for side in devices} == {"seen": ["a"], "unseen": ["s4", "s5"]}
    assert {side: devices[side]["accuracy"]["smi"] for side in devices} == {"seen": 0.5, "unseen": 0.5}


def test_sides_without_clips_are_left_out():
    clips, predictions = [from_place("bus", "oslo", "b"), from_place("tram", "rome", "b")], [logits_for(0)] * 2
    train = [from_place("tram", "bern", "b")]
    found = evaluate_predictions(predictions_of(predictions), clips, LABELS, train)["seen_unseen"]
    assert found.keys() == {"per_city"} and found["per_city"].keys() == {"unseen"}


@pytest.mark.parametrize("train", [[], [in_group("bus", "street")]])
def test_nothing_is_unseen_where_the_places_of_training_are_not_known(train):
    found = evaluate_predictions(predictions_of([logits_for(0)]), [from_place("bus", "oslo")], LABELS, train)
    assert found["seen_unseen"] == {}


def test_places_that_are_not_known_are_not_unseen():
    clips = [from_place("bus", "oslo"), in_group("tram", "street")]
    predictions = predictions_of([logits_for(0), logits_for(1)])
    found = evaluate_predictions(predictions, clips, LABELS, [from_place("tram", "oslo")])
    assert found["seen_unseen"] == {}


def test_model_with_another_pooling_has_its_accuracy_on_unseen_places():
    predictions = predictions_of([logits_for(0), logits_for(1)], "bag")
    clips = [from_place("bus", "oslo"), from_place("park", "rome")]
    found = evaluate_predictions(predictions, clips, LABELS, [from_place("tram", "oslo")])
    assert found["seen_unseen"]["per_city"]["unseen"]["accuracy"] == {"smi": 1.0, "cmi": 1.0, "bag": 1.0}


TENTHS = np.stack([np.arange(10), np.arange(1, 11)], axis=1) / 10
"""Start and end of ten instances of a tenth of a second."""


def test_events_found_perfectly_and_not_at_all():
    event = Event(0.2, 0.4, "bell", "distinct")
    right = np.array([[5.0 if i in (2, 3) else -5.0, 0, 0] for i in range(10)], dtype=np.float32)
    found = evaluate_events(predictions_of([right]), [clip("bus")], LABELS, [TENTHS], {"audio/bus.wav": [event]}, 0.01)
    assert found == {"average_precision": pytest.approx(1.0), "chance": pytest.approx(0.2, abs=0.011)}
    wrong = evaluate_events(predictions_of([-right]), [clip("bus")], LABELS, [TENTHS], {"audio/bus.wav": [event]}, 0.01)
    assert wrong["average_precision"] < 0.3
    assert evaluate_events(predictions_of([right]), [clip("bus")], LABELS, [TENTHS], {}, 0.01) is None


def test_ambiguous_events_do_not_count():
    events = {"audio/bus.wav": [Event(0.2, 0.4, "steps", "ambiguous")]}
    silent = predictions_of([np.zeros((10, 3), np.float32)])
    assert evaluate_events(silent, [clip("bus")], LABELS, [TENTHS], events, 0.01) is None
