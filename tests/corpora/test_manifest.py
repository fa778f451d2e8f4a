from pathlib import Path

import numpy as np
import pytest
from dcase_files import write_dcase_folder
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.manifest import Clip, Corpus, draw_locations, few_clips, inspect_lists
from mil_asc.errors import UserError

LABELS = ["airport", "park", "tram"]


def clip(label, location, segment=0):
    return Clip(f"audio/{label}-{location}-{segment}-a.wav", label, location.split("-")[0], location, "a")


def corpus_of(train, evaluate=()):
    return Corpus(folder=Path("data"), labels=LABELS, train=list(train), evaluate=list(evaluate))


# -- the official layout


def test_lists_and_meta_become_clips(dcase_folder):
    corpus = read_dcase_folder(dcase_folder, LABELS)
    assert (len(corpus.train), len(corpus.evaluate), len(corpus.clips)) == (8, 4, 12)
    assert corpus.train[0] == Clip("audio/airport-lisbon-10-0-a.wav", "airport", "lisbon", "lisbon-10", "a")
    assert corpus.notes == ["cities in the evaluation set only: prague (4 clips)"]
    assert corpus.warnings == [] and corpus.validation == []


def test_default_labels_are_the_ten_scenes(dcase_folder):
    corpus = read_dcase_folder(dcase_folder)
    assert len(corpus.labels) == 10 and corpus.labels == sorted(corpus.labels)


def test_partial_set_is_noted(dcase_folder):
    notes = read_dcase_folder(dcase_folder, LABELS, expected={"train": 9185, "evaluate": 4}).notes
    assert notes[0] == "partial set: 8 of the official 9185 train clips" and len(notes) == 2


def test_classes_without_clips_are_noted(dcase_folder):
    notes = read_dcase_folder(dcase_folder, [*LABELS, "bus"]).notes
    assert notes[:2] == ["no clips in the training set of: bus", "no clips in the evaluation set of: bus"]


def test_location_in_both_lists_is_warned_of(tmp_path):
    clips = [("train", "park", "paris", 1, 0), ("evaluate", "park", "paris", 1, 1), ("evaluate", "tram", "paris", 2, 0)]
    corpus = read_dcase_folder(write_dcase_folder(tmp_path / "data", clips), ["park", "tram"])
    untrained, shared = corpus.warnings
    assert untrained == "evaluated on but with no clip to train on: tram"
    assert shared.startswith("1 location(s)") and "paris-1" in shared and "paris-2" not in shared


def test_byte_order_mark_and_windows_line_ends_are_accepted(dcase_folder):
    plain = read_dcase_folder(dcase_folder, LABELS)
    for path in [dcase_folder / "meta.csv", *dcase_folder.glob("evaluation_setup/*.csv")]:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_dcase_folder(dcase_folder, LABELS) == plain


def test_duplicate_in_a_list_is_kept_once(dcase_folder):
    path = dcase_folder / "evaluation_setup/fold1_train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert len(read_dcase_folder(dcase_folder, LABELS).train) == 8
    path.write_text("\n".join([*lines, lines[1].replace("\tairport", "\tpark")]) + "\n")
    with pytest.raises(UserError, match=r"line 10: .* is park here and airport further up"):
        read_dcase_folder(dcase_folder, LABELS)


def test_quote_at_the_start_of_a_field_swallows_nothing(dcase_folder):
    meta = dcase_folder / "meta.csv"
    meta.write_text(meta.read_text() + 'audio/x.wav\tpark\t"lisbon-9\ta\naudio/y.wav\tpark\tlisbon-8\ta\n')
    path = dcase_folder / "evaluation_setup/fold1_train.csv"
    path.write_text(path.read_text() + "audio/x.wav\tpark\naudio/y.wav\tpark\n")
    assert len(read_dcase_folder(dcase_folder, LABELS).train) == 10


@pytest.mark.parametrize(
    "file, old, new, part",
    [
        ("meta.csv", "identifier", "place", r"meta.csv, line 1: no column 'identifier'"),
        ("meta.csv", "\tlisbon-11\ta", "", r"meta.csv, line 3: 3 tab-separated values are needed"),
        ("meta.csv", "airport-lisbon-10", "airport-lisbon-1", r"line 2: audio/airport-.* is not listed in meta.csv"),
        ("meta.csv", None, b"\xff\xfe\x00", r"meta.csv is not UTF-8 text"),
        ("meta.csv", None, b"", r"meta.csv, line 1: no column 'filename'"),
        (
            "evaluation_setup/fold1_train.csv",
            "\tpark",
            "\tparc",
            r"line 3: unknown class 'parc'; did you mean 'park'\?",
        ),
        ("evaluation_setup/fold1_train.csv", None, b"filename\tscene_label\n", r"fold1_train.csv names no file"),
        ("evaluation_setup/fold1_evaluate.csv", "scene_label", "label", r"no column 'scene_label'"),
    ],
)
def test_broken_list_is_named_with_its_line(dcase_folder, file, old, new, part):
    path = dcase_folder / file
    path.write_bytes(new if old is None else path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(UserError, match=part) as caught:
        read_dcase_folder(dcase_folder, LABELS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["meta.csv", "evaluation_setup/fold1_evaluate.csv"])
def test_missing_file_is_named(dcase_folder, file):
    (dcase_folder / file).unlink()
    with pytest.raises(UserError, match=f"{file} is missing"):
        read_dcase_folder(dcase_folder, LABELS)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="none is not a folder"):
        read_dcase_folder(tmp_path / "none")


# -- lists


def test_empty_list_is_refused():
    with pytest.raises(UserError, match="the evaluation set holds no clip"):
        inspect_lists(corpus_of([clip("park", "paris-1")]))


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 6), st.integers(0, 3)), min_size=1),
    st.floats(0, 0.99),
    st.integers(0, 9),
)
def test_hold_out_splits_no_location_and_keeps_every_class(clips, fraction, seed):
    corpus = corpus_of(clip(label, f"paris-{place}", segment) for label, place, segment in clips)
    held = corpus.hold_out(fraction, seed)
    assert not {c.location for c in held.train} & {c.location for c in held.validation}
    assert {c.label for c in held.train} == {c.label for c in corpus.train}
    assert sorted(c.path for c in held.train + held.validation) == sorted(c.path for c in corpus.train)
    assert held.evaluate == corpus.evaluate
    assert held == corpus.hold_out(fraction, seed)


def test_hold_out_takes_its_share_of_each_class():
    clips = [clip(label, f"{label}-{i}", s) for label in LABELS for i in range(10) for s in range(3)]
    held = corpus_of(clips).hold_out(0.3, seed=1)
    for label in LABELS:
        assert len({c.location for c in held.validation if c.label == label}) == 3
    assert len(held.validation) == 27
    assert held.validation != corpus_of(clips).hold_out(0.3, seed=2).validation


def slowly_drawn(places, fraction, seed):
    """The obvious way: all classes are looked at for every location."""
    rng, held = np.random.default_rng(seed), set()
    for own in places:
        wanted = min(max(1, round(fraction * len(own))), len(own) - 1)
        for location in rng.permutation(sorted(own)).tolist():
            if len(held & own) < wanted and all(other - held - {location} for other in places):
                held.add(location)
    return held


@given(
    st.lists(st.sets(st.integers(0, 12).map(str), min_size=1), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
def test_locations_are_those_of_the_obvious_way_to_draw_them(places, fraction, seed):
    assert draw_locations(places, fraction, seed) == slowly_drawn(places, fraction, seed)


class Counted(set):
    """Counts the members that are looked at when it is iterated, and when it is subtracted or intersected."""

    looks = 0

    def _counted(self, result, seen):
        Counted.looks += seen
        return result

    def __iter__(self):
        return self._counted(super().__iter__(), len(self))

    def __sub__(self, other):
        return self._counted(super().__sub__(other), len(self))

    def __rand__(self, other):
        return self._counted(super().__rand__(other), min(len(self), len(other)))


def test_work_of_a_draw_grows_as_its_locations_do():
    looks = []
    for count in (50, 500):
        places = [Counted(f"{label}-{number}" for number in range(count)) for label in range(10)]
        Counted.looks = 0
        assert len(draw_locations(places, 0.1, seed=1)) == count
        looks.append(Counted.looks)
    assert looks[1] <= 10 * looks[0]


def test_hold_out_of_nothing():
    corpus = corpus_of([clip("park", "paris-1"), clip("tram", "paris-2")])
    assert corpus.hold_out(0) is corpus
    held = corpus.hold_out(0.5)
    assert held.validation == [] and held.train == corpus.train
    assert held.notes == ["no validation clips: every class has but one location to train on"]
    for fraction in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match="validation_fraction"):
            corpus.hold_out(fraction)


def test_head_spreads_over_the_list():
    corpus = corpus_of([clip("park", f"paris-{i}") for i in range(100)], [clip("park", "rome-1")])
    head = corpus.head(5)
    assert [c.location for c in head.train] == [f"paris-{i}" for i in (0, 25, 50, 74, 99)]
    assert head.evaluate == corpus.evaluate and head.validation == []
    assert corpus.head(1000).train == corpus.train


def test_counts_by_class_and_by_place():
    corpus = corpus_of([clip("park", "paris-1"), clip("park", "rome-1"), clip("tram", "paris-2")])
    assert corpus.counts("train") == {"park": 2, "tram": 1} and corpus.counts("evaluate") == {}
    assert corpus.counts("train", "city") == {"paris": 2, "rome": 1}


def test_without_leaves_out_paths():
    corpus = corpus_of([clip("park", "paris-1"), clip("tram", "paris-2")], [clip("park", "rome-1")])
    rest = corpus.without({corpus.train[0].path: "why", corpus.evaluate[0].path: "why"})
    assert rest.train == corpus.train[1:] and rest.evaluate == []


def test_classes_with_fewer_than_thirty_training_clips_are_named():
    many = [clip("park", f"paris-{i}") for i in range(30)]
    assert few_clips(corpus_of(many)) == []
    few = [clip("tram", f"rome-{i}") for i in range(29)]
    assert few_clips(corpus_of([*many, *few, clip("airport", "rome-1")], many)) == [
        "fewer than 30 training clips, too few to rely on the scores: airport (1), tram (29)"
    ]


def test_file_in_two_lists_is_refused():
    both = [clip("park", f"paris-{i}") for i in range(7)]
    with pytest.raises(UserError, match=r"7 file\(s\) are in both the training set and the eval.*and 2 more"):
        inspect_lists(corpus_of(both, both))


def test_file_that_is_in_a_list_twice_is_refused():
    twice = [clip("park", "paris-1"), Clip(clip("park", "paris-1").path, "tram", "paris", "paris-1", "a")]
    with pytest.raises(UserError, match=r"1 file\(s\) are in the training set twice: audio/park-paris-1-0-a.wav"):
        inspect_lists(corpus_of(twice, [clip("tram", "rome-1")]))
