"""Numbers behind the figures, by hand, and which clips, instances and classes are shown."""

import numpy as np
import pytest
from figure_runs import logits_of, write_by_hand, write_run, write_three_experiments

from mil_asc.errors import UserError
from mil_asc.paper.figures.ambiguity import mean_bag_confidence
from mil_asc.paper.figures.confidence import class_measures
from mil_asc.paper.figures.embedding import choose_instances, embed
from mil_asc.paper.figures.experiments import TrainedRun
from mil_asc.paper.figures.masks import brightness, choose_clips, frame_confidence
from mil_asc.paper.figures.panels import shorten
from mil_asc.paper.figures.shown_classes import choose_scenes


@pytest.fixture
def by_hand(tmp_path):
    return write_by_hand(tmp_path)


@pytest.fixture
def three_experiments(tmp_path):
    return write_three_experiments(tmp_path / "runs")


def test_confidence_and_positive_share_by_hand(by_hand):
    airport, park, tram, everything = class_measures(TrainedRun(by_hand))
    assert airport["confidence"] == pytest.approx((0.8 + 0.4 + 0.9 + 0.7 + 0.2) / 5)
    assert airport["positive"] == pytest.approx(3 / 5)
    assert park == {"confidence": pytest.approx(0.5), "positive": 1.0}
    assert tram is None
    assert everything["confidence"] == pytest.approx((0.8 + 0.4 + 0.9 + 0.7 + 0.2 + 0.5) / 6)
    assert everything["positive"] == pytest.approx(4 / 6)


def test_mean_bag_confidence_by_hand(by_hand):
    np.testing.assert_allclose(mean_bag_confidence(TrainedRun(by_hand), "airport"), [0.85, 0.45, 0.35], rtol=1e-6)
    np.testing.assert_allclose(mean_bag_confidence(TrainedRun(by_hand), "park"), [0.3, 0.5, 0.1], rtol=1e-6)


@pytest.mark.parametrize("samples", [*range(6 * 2048, 8 * 2048, 512), 16000, 160000])
def test_every_frame_has_the_confidence_of_its_instance(small_model, samples):
    """Column i of the extractor merges frames r i to r i + r - 1, whatever the length of the clip."""
    times_I2, reduction = small_model.instance_times(samples), small_model.extractor.time_reduction
    frames = int(small_model.front_end.num_frames(samples))
    confidence_I = np.arange(len(times_I2)) / 100
    found = frame_confidence(confidence_I, times_I2, np.arange(frames) * 0.032)
    slow = [confidence_I[t // reduction] for t in range(frames) if t // reduction < len(confidence_I)]
    assert found.tolist() == slow and frames - len(found) < reduction


def test_spectrograms_are_painted_in_few_rows_and_shades():
    logmel_FT = np.random.default_rng(0).normal(size=(256, 50))
    bright_FT = brightness(logmel_FT)
    means_FT = np.array([logmel_FT[2 * f : 2 * f + 2].mean(0) for f in range(128)])
    low, high = np.percentile(means_FT, (1, 99.8))
    expected_FT = np.clip((means_FT - low) / (high - low), 0, 1)
    assert len(np.unique(bright_FT)) == 32 and np.abs(bright_FT - expected_FT).max() <= 0.5 / 31 + 1e-9
    assert len(brightness(logmel_FT[:40])) == 40 and len(brightness(logmel_FT[:130])) == 65


def test_clips_are_chosen_by_their_confidence(tmp_path):
    without = [[[0.3, 0.2, 0.1]], [[0.6, 0.2, 0.1]], [[0.9, 0.1, 0.1]], [[0.1, 0.2, 0.1]]]
    trained = [[[0.9, 0.2, 0.1]], [[0.7, 0.2, 0.1]], [[0.2, 0.8, 0.1]], [[0.1, 0.6, 0.1]]]
    runs = [
        TrainedRun(write_run(tmp_path, name, [logits_of(p) for p in clips], [0, 0, 0, 1]))
        for name, clips in (("fuse_no_il", without), ("fuse_pnl", trained))
    ]
    # the third clip is the surest one without instance loss, but the other run has it wrong
    assert choose_clips(*runs) == [(1, "both are correct"), (2, "the confidence differs most")]
    assert choose_clips(*runs, ["audio/3.wav", "audio/0.wav"]) == [(3, "chosen"), (0, "chosen")]
    with pytest.raises(UserError, match=r"audio/33.wav is not in the evaluation set; did you mean audio/3.wav\?"):
        choose_clips(*runs, ["audio/33.wav"])


def test_clips_where_none_is_right(tmp_path):
    logits = [logits_of([[0.1, 0.6, 0.1]])] * 2
    runs = [TrainedRun(write_run(tmp_path, name, logits, [0, 0])) for name in ("fuse_no_il", "fuse_pnl")]
    assert choose_clips(*runs) == [(0, "the confidence differs most")]


def test_instances_are_drawn_evenly_and_repeatably(three_experiments):
    run = TrainedRun(three_experiments[0])
    chosen = choose_instances(run, ["park", "tram"], seed=3, most=10)
    scenes = [run.labels[run.truth_B[b]] for b, kept in chosen.items() for _ in kept]
    assert sorted(scenes) == ["park"] * 5 + ["tram"] * 5
    assert all(len(set(kept)) == len(kept) and max(kept) < len(run.logits[b]) for b, kept in chosen.items())
    assert chosen == choose_instances(run, ["park", "tram"], seed=3, most=10)
    assert chosen != choose_instances(run, ["park", "tram"], seed=4, most=10)
    everything = choose_instances(run, ["park"])
    assert {b: kept for b, kept in everything.items()} == {b: list(range(len(run.logits[b]))) for b in (1, 4, 7)}
    assert len(choose_instances(run, ["park"], clips_per_scene=2)) == 2


def test_embedding_keeps_far_clusters_apart_and_is_repeatable():
    rng = np.random.default_rng(0)
    x_PK = np.concatenate([rng.normal(centre, 0.1, size=(20, 8)) for centre in (0, 5)]).astype(np.float32)
    places_P2 = embed(x_PK)
    assert places_P2.shape == (40, 2)
    centres = places_P2[:20].mean(0), places_P2[20:].mean(0)
    inside = max(np.linalg.norm(places_P2[:20] - centres[0], axis=1).max(), 1e-9)
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * inside
    np.testing.assert_array_equal(places_P2, embed(x_PK))


def test_scenes():
    labels = ["airport", "bus", "metro", "park", "shopping_mall"]
    assert choose_scenes((), labels, np.array([0, 1, 3, 4])) == ["park", "shopping_mall", "airport"]
    assert choose_scenes((), labels, np.array([1, 2, 3])) == ["park", "bus", "metro"]
    assert choose_scenes(("bus", "bus"), labels, np.array([1, 2])) == ["bus"]
    with pytest.raises(UserError, match="unknown class 'parc'; did you mean 'park'"):
        choose_scenes(("parc",), labels, np.array([1]))
    with pytest.raises(UserError, match="no clip of park; legal: bus, metro"):
        choose_scenes(("park",), labels, np.array([1, 2]))


def test_long_names_are_cut():
    assert shorten("park", 100) == "park"
    assert shorten("a_very_long_name_of_a_class", 52) == "a_very_lo…" and len(shorten("ab" * 50, 52)) == 10
