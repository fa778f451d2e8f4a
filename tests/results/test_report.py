"""The report page: complete, self-contained, escaped; the JSON strict; the pictures true to their data."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure

from mil_asc.corpora.manifest import Clip, Event
from mil_asc.results import plots
from mil_asc.results.evaluation import decisions, evaluate_predictions
from mil_asc.results.examples import Example, choose_examples
from mil_asc.results.predictions import Predictions
from mil_asc.results.report import (
    accuracy_interval,
    duration,
    frequent_confusions,
    moment,
    percent,
    points,
    render_page,
    write_report,
)

LABELS = ["airport", "bus", "park", "tram"]
HOSTILE = "audio/<script>alert('x')</script>&\"quoted\"-$a_$.wav"
EVENTS = [
    Event(0.4, 1.1, "bird<b>", "distinct"),
    Event(2.0, 2.5, "$x_", "ambiguous"),
    Event(2.9, 3.2, "horn", "distinct"),
]


def instance_times(instances):
    """(I, 2) start and end of instances of 0.256 s, the first of which begins half a frame early."""
    edges = np.maximum(np.arange(instances + 1) * 0.256 - 0.016, 0)
    return np.stack([edges[:-1], edges[1:]], axis=1)


TIMES = instance_times(13)


def clip(label, number=0, path=None):
    return Clip(path or f"audio/{label}-town-{number}.wav", label, "town", f"town-{number}", "a")


def logits_for(decided, instances=13, strength=3.0, seed=0):
    logits_IC = np.random.default_rng(seed).normal(-2, 0.5, (instances, len(LABELS))).astype(np.float32)
    logits_IC[instances // 2, decided] = strength
    return logits_IC


def evaluated(paths=(None, None, None, None)):
    """Four clips, one of them a bus that is classified as a park, and no tram."""
    clips = [clip(label, n, path) for n, (label, path) in enumerate(zip(("airport", "bus", "park", "park"), paths))]
    return clips, predictions_of([logits_for(decided, seed=n) for n, decided in enumerate((0, 2, 2, 2))])


def predictions_of(logits):
    return Predictions.of_clips(logits, [z_IC.max(0) for z_IC in logits])


def picture(clip):
    logmel_FT = np.random.default_rng(1).normal(-8, 2, (64, 104)).astype(np.float32)
    return logmel_FT, TIMES, EVENTS


def epoch(number, monitored=True):
    record = {"epoch": number, "train": {"loss": 2.0, "bag": 1.5, "instance": 0.5, "accuracy": 0.25}}
    record |= {"learning_rate": 0.06, "seconds": 1.5, "clips_per_second": 2.0}
    return record | ({"monitor": {"loss": 2.5, "bag": 1.5, "instance": 1.0, "accuracy": 0.5}} if monitored else {})


def full_results(clips, logits):
    evaluation = evaluate_predictions(logits, clips, LABELS)
    return {
        "experiment": "fuse_pnl",
        "dataset": "SynthScenes",
        "labels": LABELS,
        "evaluation": evaluation,
        "evaluation_of_best_on_validation": {"epoch": 7, **evaluation},
        "events": {"average_precision": 0.6543, "chance": 0.1234},
        "history": [epoch(n, monitored=n % 2 == 0) for n in range(1, 9)],
        "monitored_list": "validation",
        "notes": ["partial set: 4 of the official 4185 evaluate clips"],
        "warnings": ["1 location(s) stand in both the train and the evaluation set (town-3)"],
        "bad_audio": {"audio/bad.wav": "not a <readable> file"},
        "floor": floor(),
        "run": run(),
        "decisions": decisions(logits, clips, LABELS),
    }


def floor(**changes):
    return {
        "accuracy": 0.4,
        "macro_accuracy": 0.38,
        "log_loss": 1.2345,
        "chance": {"class": "bus", "accuracy": 0.25},
        "features": 512,
        "train_clips": 9185,
        "train_groups": 400,
        "C": 0.0108873,
        "C_values": [0.000108873, 0.00108873, 0.0108873, 0.108873],
        "cross_validated_accuracies": [0.3, 0.4, 0.45, 0.42],
        "cross_validated_accuracy": 0.45,
        "folds": 5,
        "default_C": False,
        "difference": {"rule": "smi", "accuracy": 0.35, "low": -0.05, "high": 0.75, "groups": 75},
    } | changes


def run(**changes):
    return {
        "finished": "2026-11-22T17:48:12+02:00",
        "seed": 1,
        "epochs": 8,
        "debug": False,
        "data_folder": "/data/sounds",
        "train_clips": 9185,
        "parameters": 139082,
        "batch_norm": {
            "largest": 3.14159,
            "layer": "extractor.0",
            "dead": 4,
            "channels": 3616,
            "smallest_variance": 1e-9,
        },
        "device": "a processor, 2 threads",
        "precision": "bf16",
        "allocator_keeps_pages": True,
        "wall_seconds": 3725.0,
        "train_seconds": 62.0,
        "train_clips_per_second": 12.34,
        "peak_memory_bytes": 3 * 2**29,
        "versions": {"mil_asc": "0.1.0", "torch": "2.14.1"},
    } | changes


def minimal_results(clips, logits):
    """As after a debug run: one epoch, nothing monitored, nothing known of events."""
    absent = {"evaluation_of_best_on_validation": None, "events": None, "monitored_list": "evaluation"}
    empty = {"notes": [], "warnings": [], "bad_audio": {}, "history": [epoch(1, monitored=False)]}
    unknown = run(debug=True, epochs=1, train_clips=8, train_clips_per_second=None, peak_memory_bytes=0)
    return full_results(clips, logits) | absent | empty | {"run": unknown}


class Elements(HTMLParser):
    """Names and attributes of a page's elements, its text, and whether every element is closed."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.text = [], [], ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""

    @property
    def words(self):
        """The text, with a plain space wherever there is any."""
        return " ".join(self.text.split())


@pytest.fixture(scope="module")
def full_page():
    clips, logits = evaluated()
    return render_page(full_results(clips, logits), choose_examples(clips, logits, LABELS, picture))


# --- the page ---


def test_page_has_all_results(full_page):
    words = Elements(full_page).words
    for said in (
        "SynthScenes · fuse_pnl",
        "seed 1 · finished 2026-11-22 15:48 UTC",
        "After epoch 8, the last one, the model classifies 75.0 % of the 4 clips of the evaluation set correctly",
        "Warning: 1 location(s) stand in both",
        "1 bad audio file left out.",
        "not a <readable> file",
        "the 95 % interval (Wilson) is 30.1 % to 95.4 % under SMI",
        "partial set: 4 of the official",
        "classes without clips in the evaluation set of this run: tram",
        "Chosen on the validation split: epoch 7.",
        "0.654 chance 0.123",
        "largest gain 3.1 (extractor.0), 4 of 3,616 channels dead",
        "A linear classifier on the mean and deviation of each mel bin, the floor, classifies 40.0 % correctly.",
        "Accuracy, SMI75.0 % floor 40.0 %",
        "Accuracy, CMI0.0 % floor 40.0 %",
        "Class-wise accuracy, SMI66.7 % floor 38.0 %",
        "floor 1.234Mean −ln",
        "logistic regression on 512 features of a clip",
        "fitted to the 9,185 clips that the model was trained on",
        "+35.0 points (95 % interval −5.0 to +75.0, paired over the clips, whose 75 groups count as independent)",
        "Always deciding for the most frequent class of the training set (bus) gives 25.0 %.",
        "C = 0.0109, is the best of 0.000109, 0.00109, 0.0109, 0.109 in a cross-validation with 5 folds over the 400",
        "(45.0 % there). Validation clips are not used.",
        "bus classified as park: 1 of 1",
        "tram (no clips)",
        "✗ wrong true class bus, decided park",
        "✓ correct true class airport, decided airport",
        "ambiguous event",
        "1 h 2 min in this process",
        "12.3 training clips per second",
        "1.50 GiB",
        "torch 2.14.1",
    ):
        assert said in words, said
    assert "Debug run" not in words


def test_minimal_page(tmp_path):
    clips, logits = evaluated()
    page = write_report(tmp_path, minimal_results(clips, logits), []).read_text()
    words = Elements(page).words
    assert "Debug run: no result." in words and "8 training clips" in words
    assert "nothing is chosen on it" in words
    for absent in ("Warning", "bad audio", "Chosen on", "Events found", "Examples"):
        assert absent not in words, absent


def page_of(clips, logits, **more):
    return Elements(render_page(full_results(clips, logits) | more, [])).words


def test_page_shows_groups_instead_of_cities_and_devices_that_are_not_known():
    clips, logits = evaluated()
    assert "Accuracy by class, city and device" in page_of(clips, logits)
    places = ("garden", "<street>", "<street>", "garden")
    clips = [replace(clip, city="all", source_device="all", location=place) for clip, place in zip(clips, places)]
    words = page_of(clips, logits)
    assert "Accuracy by class and group" in words and "The groups are those of the evaluation set." in words
    assert re.search(
        r"groupclipsSMICMIlog loss <street>250.0\s% 0.0\s% [\d.]+ garden2100.0\s% 0.0\s% [\d.]+ Confusion", words
    )
    assert "cityclips" not in words and "deviceclips" not in words


def test_page_says_which_weights_the_training_began_with():
    clips, predictions = evaluated()
    origin = {"source": "runs/<old>", "weights_sha256": "ab" * 32, "new": ["detector.bias"], "frozen_parameters": 1234}
    words = page_of(clips, predictions, run=run(init_from=origin))
    assert f"Initial weightsruns/<old>, SHA-256 {'ab' * 32}; new: detector.bias; 1,234 parameters of the" in words
    assert "Initial weights" not in page_of(clips, predictions)


def test_page_has_log_loss_beside_the_accuracies():
    clips, predictions = evaluated()
    losses = evaluate_predictions(predictions, clips, LABELS)["log_losses"]
    words = page_of(clips, predictions)
    assert f"cityclipsSMICMIlog loss town475.0 % 0.0 % {losses['per_city']['town']:.3f}" in words
    assert f"airport1100.0 % 0.0 % {losses['per_class']['airport']:.3f}" in words
    assert "tram0no clips no clips – " in words


def test_page_keeps_seen_and_unseen_places_apart():
    clips, predictions = evaluated()
    assert "in training" not in page_of(clips, predictions)
    clips = [replace(clip, city=city) for clip, city in zip(clips, ("<town>", "<town>", "port", "port"))]
    found = evaluate_predictions(predictions, clips, LABELS, [replace(clips[0], city=c) for c in ("<town>", "village")])
    words = page_of(clips, predictions, evaluation=found)
    seen, unseen = (found["seen_unseen"]["per_city"][side]["log_loss"] for side in ("seen", "unseen"))
    assert f"citiesclipsSMICMIlog loss seen in training<town>250.0 % 0.0 % {seen:.3f}" in words
    assert f"not in trainingport2100.0 % 0.0 % {unseen:.3f}" in words
    assert "devicesclips" not in words


def test_page_says_how_the_floor_was_chosen_where_groups_are_few():
    given = floor(folds=0, default_C=True, C=25.0, cross_validated_accuracies=None, cross_validated_accuracy=None)
    given["difference"] |= {"low": None, "high": None, "groups": 1}
    words = page_of(*evaluated(), floor=given, monitored_list="evaluation")
    assert "C = 25, is the default: the training set has too few groups to hold some out. Accuracy by class" in words
    assert "+35.0 points (no interval, because the evaluation set has only 1 group of clips)" in words
    words = page_of(*evaluated(), floor=given | {"default_C": False, "C": None, "C_values": []})
    assert "The training set has one class, so there was nothing to fit." in words


def test_page_of_an_evaluation_on_other_data_has_no_floor():
    assert "floor" not in page_of(*evaluated(), floor=None)


def test_page_of_clips_that_are_groups_of_their_own_has_no_table_of_groups():
    clips, logits = evaluated()
    words = page_of([replace(clip, city="all", source_device="all", location=clip.path) for clip in clips], logits)
    assert "Accuracy by class Share" in words and "groupclips" not in words


def test_page_names_twenty_bad_files_and_counts_all():
    words = page_of(*evaluated(), bad_audio={f"{i:03}.wav": "lost" for i in range(45)})
    assert "45 bad audio files left out." in words and "019.wav: lost and 25 more, named in report.json" in words
    assert "020.wav" not in words


def test_page_without_history():
    clips, logits = evaluated()
    page = render_page(full_results(clips, logits) | {"history": []}, [])
    assert "After epoch 8," in Elements(page).words and "No epoch was recorded" in page


def test_large_set_has_no_interval():
    clips, logits = evaluated()
    results = full_results(clips * 125, predictions_of(logits.by_clip(logits.logits_IC) * 125))
    assert results["evaluation"]["clips"] == 500
    assert "Wilson" not in render_page(results, [])


def test_model_with_another_pooling_is_shown_by_its_own_rule():
    clips, predictions = evaluated()
    pooled = np.full((4, len(LABELS)), -3.0, dtype=np.float32)
    pooled[:, 2] = 3.0  # always a park: two of four, where SMI has three
    page = render_page(full_results(clips, replace(predictions, bag_logits_BC=pooled, decision="bag")), [])
    words = Elements(page).words
    assert "Its own rule is the pooling it was trained with: it classifies 50.0 % correctly." in words
    assert "Accuracy, pooled" in words and "by the model's pooling" in words.replace("’", "'")


def test_page_stands_alone(full_page):
    elements = Elements(full_page).found
    assert sum(tag == "img" for tag, _ in elements) == 2 + 3
    for tag, attributes in elements:
        assert tag not in ("script", "link", "iframe", "object"), tag
        assert "href" not in attributes and not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")
    rest = re.sub(r'src="[^"]*"', "", full_page)
    assert not re.search(r"https?:|//\w|url\(|@import", rest)


def test_file_and_class_names_are_escaped(tmp_path):
    clips, logits = evaluated((HOSTILE,) * 4)
    results = full_results(clips, logits) | {"notes": ["<img src=x>"], "experiment": "<i>"}
    page = write_report(tmp_path, results, choose_examples(clips, logits, LABELS, picture)).read_text()
    elements = Elements(page)
    assert HOSTILE in elements.text and "<script" not in page and "<img src=x" not in page and "<i>" in elements.text
    assert HOSTILE in "".join(attributes.get("alt", "") for _, attributes in elements.found)


# --- the JSON ---


def test_json_round_trip(tmp_path):
    clips, logits = evaluated()
    results = full_results(clips, logits)
    page = write_report(tmp_path, results, [])
    assert page == tmp_path / "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse) == results
    assert render_page(json.loads((tmp_path / "report.json").read_text()), []) == page.read_text()


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
def test_json_refuses_what_is_not_json(tmp_path, value):
    clips, logits = evaluated()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(tmp_path, full_results(clips, logits) | {"events": {"average_precision": value, "chance": 0}}, [])
    assert not list(tmp_path.iterdir())


# --- numbers ---


def test_interval_without_clips():
    assert accuracy_interval({"clips": 0, "smi": {"accuracy": None}}, "smi") is None


def test_frequent_confusions():
    found = frequent_confusions([[5, 1, 0], [3, 0, 2], [0, 0, 0]], ["a", "b", "c"], count=2)
    assert [tuple(pair.values()) for pair in found] == [("b", "a", 3, 5), ("b", "c", 2, 5)]


def test_filters():
    assert percent(0.7134) == "71.3\u202f%" and percent(None) == "–"
    assert [duration(seconds) for seconds in (4.6, 65, 7260)] == ["5 s", "1 min 5 s", "2 h 1 min"]
    assert points(0.0271) == "+2.7" and points(-0.3) == "\u221230.0"
    assert moment("2026-11-22T15:48:12+00:00") == "2026-11-22 15:48 UTC"
    assert plots.data_uri('<a b="c#%"/>') == "data:image/svg+xml,%3Ca b=%22c%23%25%22/%3E"


# --- examples ---


def test_examples_are_right_and_wrong_clips_of_different_classes():
    clips = [clip(LABELS[n % 4], n) for n in range(16)]
    decided = [n % 4 if n < 8 else (n + 1) % 4 for n in range(16)]
    logits = [logits_for(c, strength=1 + 0.1 * n) for n, c in enumerate(decided)]
    examples = choose_examples(clips, predictions_of(logits), LABELS, picture)
    assert [example.label == example.decision for example in examples] == [True] * 3 + [False] * 3
    assert [example.path for example in examples] == [clips[n].path for n in (7, 6, 5, 15, 14, 13)]
    for example in examples:
        assert example.confidence_IC.shape == (13, 4) and example.times_I2.shape == (13, 2)


def test_picture_may_tell_the_front_end():
    clips, logits = evaluated()
    (example, *_) = choose_examples(clips, logits, LABELS, lambda *asked: (*picture(*asked), 0.01, 22050.0))
    assert example.hop_seconds == 0.01 and example.top_hz == 22050.0


# --- pictures ---


def an_example(decision="bus", events=EVENTS, instances=13):
    logmel_FT = np.random.default_rng(0).normal(-8, 2, (64, 104))
    confidence_IC = np.random.default_rng(1).uniform(0, 1, (instances, 4))
    return Example("audio/x.wav", "park", decision, confidence_IC, logmel_FT, TIMES[:instances], events)


def painted(paint, *arguments):
    figure = Figure()
    paint(figure, *arguments)
    return figure


@pytest.mark.parametrize("events", (EVENTS, []))
@pytest.mark.parametrize("decision", ("bus", "park"))
@pytest.mark.parametrize("instances", (1, 2, 13))
def test_pictured_times_match(decision, events, instances):
    example = an_example(decision, events, instances)
    spectrogram, *rows, strip, lines, twin = painted(plots.paint_example, example, LABELS).axes
    assert len(rows) == bool(events)
    assert {axes.get_xlim() for axes in (spectrogram, *rows, strip, lines)} == {(0, 103.5 * 0.032)}
    assert spectrogram.images[0].get_extent() == pytest.approx([-0.016, 103.5 * 0.032, -0.5, 63.5])
    starts, ends = example.times_I2.T
    np.testing.assert_allclose([bar.get_x() for bar in strip.patches], starts)
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in strip.patches], ends)
    stairs = [patch for patch in lines.patches if type(patch).__name__ == "StepPatch"]
    shown = [c for c, *_ in plots.confidence_curves(example, LABELS)]
    assert len(stairs) == len(shown) == (2 if decision == "park" else 3)
    for patch, c in zip(stairs, shown):
        np.testing.assert_allclose(patch.get_data().edges, [*starts, ends[-1]])
        np.testing.assert_allclose(patch.get_data().values, example.confidence_IC[:, c])
    spans = [patch for patch in lines.patches if patch not in stairs]
    np.testing.assert_allclose([span.get_x() for span in spans], [event.onset for event in events])
    np.testing.assert_allclose([span.get_x() + span.get_width() for span in spans], [event.offset for event in events])
    (dot,) = [line for line in lines.lines if line.get_marker() == "o"]
    deciding = example.confidence_IC[:, LABELS.index(decision)].argmax()
    assert starts[deciding] < dot.get_xdata()[0] < ends[deciding]


def test_strip_marks_votes_for_the_decided_class():
    example = an_example("bus")
    heights = [bar.get_height() for bar in painted(plots.paint_example, example, LABELS).axes[-3].patches]
    assert heights == [1.0 if c == LABELS.index("bus") else 0.5 for c in example.confidence_IC.argmax(1)]


def test_kilohertz_stand_at_their_mel_filters():
    """Filter m of F (from 0) peaks at (m + 1) / (F + 1) of the mel range; the range's end is put at the edge."""
    axes = painted(plots.paint_example, an_example(), LABELS).axes[0]
    mel = 2595 * np.log10(1 + 1000 * np.array([0.5, 1, 2, 4, 8]) / 700)
    np.testing.assert_allclose(axes.get_yticks(), [*(mel / mel[-1] * 65 - 1)[:-1], 63.5])


def test_names_of_events_do_not_overlap():
    events = [Event(t, t + 0.3, "a_rather_long_name", "distinct") for t in np.arange(0, 9.7, 0.5)]
    width = plots.CHARACTER * 19 * 10 / (plots.WIDTH - plots.LEFT - plots.RIGHT)
    taken = {}
    for event, side, lane in plots.place_names(events, 10.0):
        start, end = (event.onset - width, event.offset) if side == "before" else (event.onset, event.offset + width)
        assert start >= taken.get(lane, 0.0) and end <= 10.0
        taken[lane] = end


def test_two_classes_leave_no_other():
    example = Example("x", "a", "b", np.eye(2), np.zeros((8, 16)), np.array([[0, 0.2], [0.2, 0.4]]), [])
    assert [c for c, *_ in plots.confidence_curves(example, ["a", "b"])] == [0, 1]
    assert "<svg" in plots.svg(plots.paint_example, example, ["a", "b"])


def test_curves_show_the_history():
    history = [epoch(n, monitored=n in (3, 6)) for n in range(1, 7)]
    (losses,) = painted(plots.paint_losses, history, "validation").axes
    assert [len(line.get_xdata()) for line in losses.lines] == [6, 6, 6, 2]
    accuracy, rate = painted(plots.paint_accuracy, history, "evaluation").axes
    assert list(accuracy.lines[1].get_xdata()) == [3, 6] and len(rate.lines[0].get_xdata()) == 6
    assert "nothing is chosen on it" in accuracy.get_legend().get_texts()[1].get_text()


def test_pictures_repeat_and_leave_global_settings():
    before = dict(rcParams)
    first, second = (plots.svg(plots.paint_example, an_example(), LABELS) for _ in range(2))
    assert first == second and "<b>" not in first and "$x_" in first
    assert dict(rcParams) == before
