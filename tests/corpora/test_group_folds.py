"""Folds of a cross-validation: every clip is evaluated once, no group is split, classes are balanced."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dcase_files import write_dcase_folder
from hypothesis import assume, given
from hypothesis import strategies as st

from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.group_folds import choose_fold, divide, natural, only_groups, read_lists
from mil_asc.corpora.manifest import Clip, Corpus
from mil_asc.errors import ArgumentError, UserError


def clips_of(*groups):
    """Clips of groups, each of which is the labels of its clips, such as ``"aab"``."""
    return [
        Clip(f"{group}-{number}.wav", label, "all", f"group-{group}", "all")
        for group, labels in enumerate(groups)
        for number, label in enumerate(labels)
    ]


def corpus_of(clips, evaluated=1):
    """A corpus whose reader put the last clips into the evaluation set."""
    labels = sorted({clip.label for clip in clips})
    return Corpus(Path("data"), labels, clips[:-evaluated], clips[-evaluated:])


def folds_of(clips, folds, seed=1):
    return [choose_fold(corpus_of(clips), folds, fold, seed) for fold in range(1, folds + 1)]


GROUPS = st.lists(st.text("abc", min_size=1, max_size=6), min_size=3, max_size=14)


@given(GROUPS, st.integers(2, 5), st.integers(0, 3))
def test_every_clip_is_evaluated_once_and_no_group_is_split(groups, folds, seed):
    clips = clips_of(*groups)
    only = only_groups(clips)
    free = [clip for clip in clips if clip.location not in only]
    assume(len({clip.location for clip in free}) >= folds)
    assume(max(Counter(clip.label for clip in free).values()) >= folds)
    parts = folds_of(clips, folds, seed)
    assert Counter(clip for part in parts for clip in part.evaluate) == Counter(free)
    for part in parts:
        assert sorted(part.train + part.evaluate, key=str) == sorted(clips, key=str) and part.validation == []
        assert not {clip.location for clip in part.train} & {clip.location for clip in part.evaluate}
        assert {clip.label for clip in part.train} == {clip.label for clip in clips} or any(
            warning.startswith("evaluated on but with no clip to train on") for warning in part.warnings
        )


@given(st.lists(st.sampled_from("abc"), min_size=12, max_size=60), st.integers(2, 5), st.integers(0, 3))
def test_classes_are_balanced_to_one_clip_where_every_clip_is_a_group(labels, folds, seed):
    assume(min(Counter(labels).values()) > 1)
    parts = folds_of(clips_of(*labels), folds, seed)
    for label in set(labels):
        counts = [part.counts("evaluate")[label] for part in parts]
        assert max(counts) - min(counts) <= 1


def imbalance(clips, fold_of, folds):
    """Squared distance from equal shares of each class, summed over classes and folds."""
    total = 0.0
    for label in {clip.label for clip in clips}:
        counts = Counter(fold_of[clip.location] for clip in clips if clip.label == label)
        number = sum(counts.values())
        total += sum((counts[fold] / number - 1 / folds) ** 2 for fold in range(1, folds + 1))
    return total


def test_classes_are_better_balanced_than_by_chance():
    rng = random.Random(0)
    ours, chance = [], []
    for _ in range(40):
        clips = clips_of(*("".join(rng.choices("abcd", k=rng.randint(1, 9))) for _ in range(15)))
        groups = sorted({clip.location for clip in clips})
        ours.append(imbalance(clips, divide(clips, 4, seed=1), 4))
        order = rng.sample(groups, len(groups))
        chance.append(imbalance(clips, {group: 1 + place % 4 for place, group in enumerate(order)}, 4))
    assert np.mean(ours) < 0.5 * np.mean(chance)


def test_the_division_depends_on_the_split_seed_and_not_on_the_order_of_the_clips():
    clips = clips_of(*("abc" for _ in range(12)))
    first = divide(clips, 4, seed=1)
    assert divide(random.Random(0).sample(clips, len(clips)), 4, seed=1) == first
    assert len({tuple(divide(clips, 4, seed).values()) for seed in range(5)}) == 5


def test_as_many_groups_as_folds_are_folds_in_the_order_of_their_names():
    clips = [Clip(f"{g}-{n}.wav", "ab"[n], "all", f"fold{g}", "all") for g in range(1, 12) for n in range(2)]
    assert divide(clips, 11, seed=5) == {f"fold{g}": g for g in range(1, 12)}
    (note,) = choose_fold(corpus_of(clips), 11, 10).notes
    assert note == "fold 10 of 11: 1 of 11 groups are the evaluation set, fold10: 2 of 22 files"
    assert sorted(["b2", "b10", "a", "10", "9", ""], key=natural) == ["", "9", "10", "a", "b2", "b10"]


@pytest.mark.parametrize(
    "groups", [["aabccd", "aabbcc", "bcccc", "b", "a", "dd"], ["bdd", "bc", "a", "aabccd", "aaaaa"]]
)
def test_no_fold_has_all_clips_of_a_class_if_another_division_avoids_it(groups, monkeypatch):
    clips = clips_of(*groups)
    assert all(len(folds) == 2 for folds in folds_of_classes(clips).values())
    monkeypatch.setattr("mil_asc.corpora.group_folds.DRAWS", 1)
    assert any(len(folds) == 1 for folds in folds_of_classes(clips).values())


def folds_of_classes(clips):
    """Label -> numbers of the folds, of two, that have clips of it."""
    fold_of = divide(clips, 2, seed=1)
    return {label: {fold_of[clip.location] for clip in clips if clip.label == label} for label in "abcd"}


def test_the_only_group_of_a_class_is_trained_on_in_every_fold_with_a_warning():
    clips = clips_of("ab", "ab", "aab", "abc", "bb")
    for part in folds_of(clips, 2):
        assert part.counts("evaluate")["c"] == 0 and part.counts("train")["c"] == 1
        assert "group-3" not in {clip.location for clip in part.evaluate}
        assert part.warnings == [
            "c: the only group is group-3, which is trained on in every fold and never evaluated (3 files)"
        ]
        assert "no clips in the evaluation set of: c" in part.notes


def test_class_that_is_wholly_in_one_fold_is_warned_of():
    """Each pair of three groups has a class of its own, and two of the three must be in the same of two folds."""
    parts = folds_of(clips_of("axy", "ayz", "azx", "aa"), 2)
    untrained = [part.counts("evaluate").keys() - part.counts("train").keys() for part in parts]
    assert sorted(map(len, untrained)) == [0, 1]
    for part, labels in zip(parts, untrained):
        assert part.warnings == [f"evaluated on but with no clip to train on: {label}" for label in labels]


@pytest.mark.parametrize(
    "groups, folds, words",
    [
        (["ab", "ab"], 3, r"--folds=3 needs 3 groups or more, and there are 2 \(group-0, group-1\): give fewer folds"),
        (["ab", "ab", "c"], 3, r"there are 2 \(group-0, group-1; group-2: the only group of a class\)"),
        (["a", "b"], 2, r"there are 0 \(none; group-0, group-1: the only group of a class\)"),
        (["a", "a", "b", "b"], 3, r"needs a class with 3 files or more, and the largest one \(a\) has 2"),
    ],
)
def test_too_many_folds_are_refused(groups, folds, words):
    with pytest.raises(UserError, match=words):
        choose_fold(corpus_of(clips_of(*groups)), folds, 1)


# -- what readers give


def block(reader, **more):
    return {"corpus": reader, "folds": 0, "fold": 0, "split_seed": 1} | more


@pytest.mark.parametrize(
    "numbers, words",
    [
        ({"folds": 1}, "folds must be 2 or more"),
        ({"folds": 2.0}, "folds must be a whole number from 0 up, got 2.0"),
        ({"folds": True}, "folds must be a whole number"),
        ({"folds": -2}, "folds must be a whole number from 0 up, got -2"),
        ({"fold": 2}, "fold=2 needs the number of folds too, such as --folds=5"),
        ({"folds": 3, "fold": 4}, r"fold must be a whole number from 1 to 3 \(--folds=3\), got 4"),
        ({"folds": 3, "fold": "b"}, "fold must be a whole number from 0 up, got 'b'"),
        ({"folds": 3, "fold": 1, "split_seed": -1}, "split_seed must be a whole number from 0 up, got -1"),
        ({"folds": 3}, "--folds=3 has 3 pairs of lists: name one of them, such as --fold=1"),
    ],
)
def test_numbers_that_are_not_legal_are_refused(numbers, words):
    with pytest.raises((ArgumentError, UserError), match=words):
        read_lists(block(lambda: corpus_of(clips_of("ab", "ab", "ab")), **numbers))


def test_a_block_without_keys_of_folds_has_the_lists_of_its_reader():
    corpus = corpus_of(clips_of("ab", "ab"))
    assert read_lists({"corpus": lambda: corpus}) is corpus


def lay(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def test_class_folders_are_divided_and_notes_on_the_draw_are_dropped(tmp_path):
    folder = tmp_path / "data"
    lay(folder, *(f"{label}/{group}/{n}.wav" for label in ("cat", "dog") for group in "uvwxyz" for n in range(2)))
    assert any("groups drawn for the evaluation set" in note for note in read_class_folders(folder).notes)
    corpus = read_lists(block(lambda: read_class_folders(folder, clip_seconds=3), folds=3, fold=2))
    assert (len(corpus.train), len(corpus.evaluate), corpus.clip_seconds) == (16, 8, 3)
    (note,) = corpus.notes
    assert note.startswith("fold 2 of 3: 2 of 6 groups are the evaluation set, ")
    assert note.endswith(": 8 of 24 files (seed 1)") and corpus.warnings == []


def test_files_that_are_groups_are_not_named(tmp_path):
    lay(tmp_path, *(f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(6)))
    corpus = choose_fold(read_class_folders(tmp_path), 3, 1)
    assert corpus.notes == [
        "every file is a group of its own: files of one place may be in both lists",
        "fold 1 of 3: 4 of 12 groups are the evaluation set: 4 of 12 files (seed 1)",
    ]


def test_lists_that_the_user_fixed_are_refused(tmp_path):
    lay(tmp_path / "a", "train/cat/a.wav", "train/dog/b.wav", "eval/cat/c.wav", "eval/dog/d.wav")
    with pytest.raises(UserError, match=r"train/ and eval/ decide the lists, so .*: leave out --folds"):
        choose_fold(read_class_folders(tmp_path / "a"), 2, 1)
    lay(tmp_path / "b", *(f"{label}/{group}/a.wav" for label in ("cat", "dog") for group in "uvw"))
    with pytest.raises(UserError, match=r"evaluate_groups names the evaluation set, so .*: leave out --folds"):
        choose_fold(read_class_folders(tmp_path / "b", evaluate_groups="u"), 2, 1)


def test_official_lists_are_joined_and_judged_again(tmp_path):
    train = [("train", label, "lisbon", 10 + n, 0) for n in range(4) for label in ("park", "tram")]
    evaluate = [("evaluate", label, "prague", 50, 0) for label in ("park", "tram")]
    folder = write_dcase_folder(tmp_path / "data", [*train, *evaluate], seconds=0.1)
    official = read_dcase_folder(folder, ["park", "tram", "bus"])
    assert "cities in the evaluation set only: prague (2 clips)" in official.notes
    parts = [choose_fold(official, 5, fold) for fold in range(1, 6)]
    assert sorted(clip.path for part in parts for clip in part.evaluate) == sorted(clip.path for clip in official.clips)
    for part in parts:
        alone = [note for note in part.notes if note.startswith("cities in the evaluation set only")]
        there = {clip.city for clip in part.evaluate}
        assert alone == (["cities in the evaluation set only: prague (2 clips)"] if "prague" in there else [])
        assert part.notes.count("no clips in the training set of: bus") == 1


def test_location_in_both_official_lists_is_a_group_like_any_other(tmp_path):
    clips = [("train", "park", "lisbon", n, 0) for n in range(3)]
    clips += [
        ("train", "tram", "lisbon", 9, 0),
        ("train", "tram", "lisbon", 8, 0),
        ("evaluate", "park", "lisbon", 0, 1),
    ]
    folder = write_dcase_folder(tmp_path / "data", clips, seconds=0.1)
    official = read_dcase_folder(folder, ["park", "tram"])
    assert len(official.warnings) == 1  # the shared location
    for fold in (1, 2):
        part = choose_fold(official, 2, fold)
        assert part.warnings == []
        assert not {clip.location for clip in part.train} & {clip.location for clip in part.evaluate}
