"""Folders of class sub-folders: four ways to lay them out, how groups are drawn, and files that are left out."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mil_asc.corpora.class_folders import draw_groups, read_class_folders
from mil_asc.corpora.manifest import Clip
from mil_asc.errors import ArgumentError, UserError


def lay(folder, *paths):
    """Empty files; a path that ends with a slash is a folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).mkdir(parents=True, exist_ok=True) if path.endswith("/") else (folder / path).touch()
    return folder


def names(clips):
    return [clip.path for clip in clips]


def files(label, count):
    return [f"{label}/{i}.wav" for i in range(count)]


# -- the four ways


@pytest.mark.parametrize("evaluate", ["evaluate", "eval", "test"])
def test_lists_that_are_folders(tmp_path, evaluate):
    lay(tmp_path, "train/cat/a.wav", "train/dog/b.flac", "train/dog/c.ogg", f"{evaluate}/cat/d.mp3", "notes/x.wav")
    lay(tmp_path, f"{evaluate}/dog/home/e.wav")
    corpus = read_class_folders(tmp_path)
    assert corpus.labels == ["cat", "dog"] and corpus.clip_seconds == 10
    assert names(corpus.train) == ["train/cat/a.wav", "train/dog/b.flac", "train/dog/c.ogg"]
    assert names(corpus.evaluate) == [f"{evaluate}/cat/d.mp3", f"{evaluate}/dog/home/e.wav"]
    assert corpus.evaluate[1] == Clip(f"{evaluate}/dog/home/e.wav", "dog", "all", "home", "all")
    assert corpus.notes == ["sub-folder(s) left out: notes"]
    with pytest.raises(UserError, match="train/ and .*/ decide the lists"):
        read_class_folders(tmp_path, evaluate_groups=["home"])


def test_classes_may_be_called_train_and_test(tmp_path):
    lay(tmp_path, *files("train", 4), *files("test", 4))
    assert read_class_folders(tmp_path).labels == ["test", "train"]


def test_two_lists_to_evaluate_on_are_refused(tmp_path):
    lay(tmp_path, "train/cat/a.wav", "eval/cat/b.wav", "test/cat/c.wav")
    with pytest.raises(UserError, match="one list to evaluate on is needed beside train/, found eval, test"):
        read_class_folders(tmp_path)


def test_same_group_in_ready_lists_is_warned_of(tmp_path):
    lay(tmp_path, "train/cat/home/a.wav", "train/dog/b.wav", "test/cat/home/c.wav", "test/dog/d.wav")
    *_, warning = read_class_folders(tmp_path).warnings
    assert warning.startswith("1 location(s)") and "home" in warning


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_groups_in_a_table(tmp_path, delimiter):
    tmp_path = tmp_path / "data"
    lay(tmp_path, *files("cat", 4), *files("dog", 4))
    rows = ["path,fold,group", *(f"{label}/{i}.wav,x,{i}" for label in ("cat", "dog") for i in range(4))]
    (tmp_path / "groups.csv").write_text("\n".join(rows).replace(",", delimiter))
    corpus = read_class_folders(tmp_path, evaluate_groups=[3])
    assert names(corpus.evaluate) == ["cat/3.wav", "dog/3.wav"] and len(corpus.train) == 6
    assert {clip.location for clip in corpus.train} == {"0", "1", "2"} and corpus.warnings == []
    assert corpus.notes == ["groups of the evaluation set, of 4: 3"]
    assert read_class_folders(tmp_path, evaluate_groups=3) == corpus
    with pytest.raises(UserError, match="evaluate_groups names '4', which is not a group; groups: 0, 1, 2, 3"):
        read_class_folders(tmp_path, evaluate_groups=[3, 4])


def test_table_elsewhere_and_paths_of_another_system(tmp_path):
    lay(tmp_path / "data", *files("cat", 2), *files("dog", 2))
    table = tmp_path / "places.csv"
    table.write_text('path,group\n./cat/0.wav,"a, b"\ncat\\1.wav,c\ndog/0.wav,"a, b"\ndog/1.wav,c\ndog/9.wav,c\n')
    corpus = read_class_folders(tmp_path / "data", groups=table, evaluate_groups=["a, b"])
    assert names(corpus.evaluate) == ["cat/0.wav", "dog/0.wav"]
    assert corpus.notes == [
        "1 line(s) of places.csv name no audio file of these classes",
        "groups of the evaluation set, of 2: a, b",
    ]


@pytest.mark.parametrize(
    "text, part",
    [
        ("path,group\ncat/0.wav,a\n", r"no line for cat/1.wav \(nor for 2 more\)"),
        ("path,place\ncat/0.wav,a\n", r"groups.csv, line 1: no column 'group'; a comma-separated header"),
        ("path,group\ncat/0.wav,\n", r"groups.csv, line 2: 2 comma-separated values are needed"),
        ("path,group\ncat/0.wav,a\ncat/0.wav,b\n", r"line 3: cat/0.wav is in group b here and a further up"),
        ("", r"groups.csv, line 1: no column 'path'"),
    ],
)
def test_table_that_does_not_fit_is_named(tmp_path, text, part):
    lay(tmp_path, *files("cat", 2), *files("dog", 2))
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(UserError, match=part) as caught:
        read_class_folders(tmp_path)
    assert "\n" not in str(caught.value)


def test_table_that_is_not_there_or_no_text(tmp_path):
    lay(tmp_path, *files("cat", 2), *files("dog", 2))
    with pytest.raises(UserError, match="groups=nowhere.csv: no such file"):
        read_class_folders(tmp_path, groups="nowhere.csv")
    (tmp_path / "groups.csv").write_bytes(b"path,group\n\xff\xfe")
    with pytest.raises(UserError, match="groups.csv is not UTF-8 text"):
        read_class_folders(tmp_path)


def test_groups_that_are_sub_folders(tmp_path):
    paths = [f"{label}/{place}/{i}.wav" for label in ("cat", "dog") for place in "abcd" for i in range(3)]
    corpus = read_class_folders(lay(tmp_path, *paths))
    (place,) = {clip.location for clip in corpus.evaluate}
    assert names(corpus.evaluate) == [path for path in paths if f"/{place}/" in path]
    assert names(corpus.train) == [path for path in paths if f"/{place}/" not in path]
    assert corpus.notes == [f"1 of 4 groups drawn for the evaluation set, {place}: 6 of 24 files (seed 1)"]


def test_deeper_folders_belong_to_the_first(tmp_path):
    lay(tmp_path, "cat/a/x/1.wav", "cat/a/y/2.wav", "cat/b/3.wav", "dog/a/4.wav", "dog/b/z/5.wav")
    corpus = read_class_folders(tmp_path, evaluate_groups=["a"])
    assert names(corpus.evaluate) == ["cat/a/x/1.wav", "cat/a/y/2.wav", "dog/a/4.wav"]


def test_files_alone_are_drawn_class_by_class(tmp_path):
    lay(tmp_path, *files("cat", 40), *files("dog", 8), *files("owl", 2))
    corpus = read_class_folders(tmp_path)
    assert corpus.counts("evaluate") == {"cat": 10, "dog": 2, "owl": 1}
    assert corpus.counts("train") == {"cat": 30, "dog": 6, "owl": 1}
    assert corpus.notes == [
        "every file is a group of its own: files of one place may be in both lists",
        "13 of 50 groups drawn for the evaluation set: 13 of 50 files (seed 1)",
    ]
    assert read_class_folders(tmp_path) == corpus
    assert names(read_class_folders(tmp_path, seed=2).evaluate) != names(corpus.evaluate)
    assert len(read_class_folders(tmp_path, evaluate_fraction=0.5).evaluate) == 25


# -- the draw


def shares(counts_GC, chosen_G):
    return counts_GC[chosen_G].sum(0) / counts_GC.sum(0)


def test_draw_is_even_where_groups_are():
    counts_GC = np.full((12, 3), 5)
    for seed in range(5):
        assert draw_groups(counts_GC, 0.25, seed).sum() == 3
    assert (draw_groups(counts_GC, 0.25, 1) != draw_groups(counts_GC, 0.25, 2)).any()


def test_draw_gives_a_class_its_only_small_group():
    counts_GC = np.array([[8, 0], [8, 0], [0, 90], [0, 10]])
    for seed in range(5):
        assert draw_groups(counts_GC, 0.1, seed)[2:].tolist() == [False, True]


TABLES = arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(0, 9))


@given(TABLES, st.sampled_from([0.1, 0.25, 0.5, 0.8]), st.integers(0, 9))
def test_draw_never_takes_all_of_a_class_and_takes_of_each_that_can_spare(counts_GC, fraction, seed):
    assume((counts_GC.sum(0) > 0).all())
    chosen_G = draw_groups(counts_GC, fraction, seed)
    share_C = shares(counts_GC, chosen_G)
    assert (share_C < 1).all()
    for label in np.flatnonzero(share_C == 0):  # nothing can be added without taking all of some class
        for group in np.flatnonzero(counts_GC[:, label]):
            more_G = chosen_G.copy()
            more_G[group] = True
            assert shares(counts_GC, more_G).max() == 1


def test_one_group_cannot_be_split(tmp_path):
    lay(tmp_path, "cat/a/1.wav", "cat/a/2.wav", "dog/a/3.wav")
    with pytest.raises(UserError, match="no group can be evaluated on without leaving a class nothing to train on"):
        read_class_folders(tmp_path)


# -- what lies about


def test_junk_is_left_out_with_a_note(tmp_path):
    lay(tmp_path, *files("cat", 4), *files("dog", 4), "cat/.DS_Store", "cat/._0.wav", "dog/readme.TXT", "top.wav")
    lay(tmp_path, "dog/9.WAV", "dog/8.Aiff", ".git/config.wav", "__MACOSX/cat/0.wav", "cat/.cache/0.wav")
    corpus = read_class_folders(tmp_path)
    assert corpus.labels == ["cat", "dog"] and len(corpus.clips) == 10
    assert corpus.notes[0] == (
        "5 file(s) left out, hidden, no audio or in no class folder: "
        "cat/.cache/, cat/.DS_Store, cat/._0.wav, dog/readme.TXT, top.wav"
    )


def test_classes_can_be_chosen(tmp_path):
    lay(tmp_path, *files("cat", 4), *files("dog", 4), *files("owl", 4), "empty/")
    corpus = read_class_folders(tmp_path, classes=["owl", "cat"])
    assert corpus.labels == ["owl", "cat"] and len(corpus.clips) == 8
    assert corpus.notes[0] == "sub-folder(s) left out: dog, empty"
    with pytest.raises(UserError, match=r"unknown class 'dgo'; did you mean 'dog'\?"):
        read_class_folders(tmp_path, classes=["cat", "dgo"])


@pytest.mark.parametrize(
    "paths, options, part",
    [
        (["cat/1.wav", "dog/"], {}, r"dog: this class folder holds no audio file \(wav, flac,"),
        (["cat/1.wav", "dog/1.mid"], {}, "dog: this class folder holds no audio file"),
        (["cat/1.wav"], {}, "at least two class folders are needed, found cat"),
        (["1.wav"], {}, "at least two class folders are needed, found none"),
        (["cat/1.wav", "dog/1.wav"], {"evaluate_fraction": 0}, "evaluate_fraction must be a number above 0"),
        (["cat/1.wav", "dog/1.wav"], {"evaluate_fraction": 1.0}, "evaluate_fraction must be a number above 0"),
        (["cat/1.wav", "dog/1.wav"], {"clip_seconds": -1}, "clip_seconds must be a number from 0 up, got -1"),
        (["cat/1.wav", "dog/1.wav"], {"clip_seconds": "10s"}, "clip_seconds must be a number from 0 up, got '10s'"),
        (["cat/1.wav", "dog/1.wav"], {"clip_seconds": float("nan")}, "clip_seconds must be a number"),
    ],
)
def test_folder_or_value_that_cannot_be_used_is_named(tmp_path, paths, options, part):
    with pytest.raises((UserError, ArgumentError), match=part) as caught:
        read_class_folders(lay(tmp_path, *paths), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value, group", [(2, "02"), ([2], "02"), ("02", "02"), (1.1, "1.10"), ([3, 2], "02")])
def test_numbers_of_yaml_mean_the_names_that_are_written_with_them(tmp_path, value, group):
    lay(tmp_path, *(f"{label}/{name}/{i}.wav" for label in ("1", "2") for name in ("02", "1.10", "3") for i in "ab"))
    corpus = read_class_folders(tmp_path, classes=[1, 2.0], evaluate_groups=value)
    assert group in {clip.location for clip in corpus.evaluate} and corpus.labels == ["1", "2"]


@pytest.mark.parametrize("value, first", [([1.1], "1.1"), (2, "02")])
def test_numbers_that_may_mean_two_names_are_refused(tmp_path, value, first):
    lay(tmp_path, *(f"{label}/{name}/x.wav" for label in "ab" for name in ("02", "2", "1.1", "1.10")))
    with pytest.raises(ArgumentError, match=rf"may mean '{first}' or .*put names in quotes"):
        read_class_folders(tmp_path, evaluate_groups=value)


def test_at_most_twenty_drawn_groups_are_named(tmp_path):
    lay(tmp_path, *(f"{label}/{group:03}/{i}.wav" for label in ("cat", "dog") for group in range(100) for i in (1, 2)))
    (note,) = read_class_folders(tmp_path).notes
    drawn = re.fullmatch(r"25 of 100 groups drawn for the evaluation set, (.*) \(and 5 more\): 100 of 400 .*", note)[1]
    assert len(drawn.split(", ")) == 20


def test_class_with_one_group_is_warned_of(tmp_path):
    lay(
        tmp_path,
        "cat/a/1.wav",
        "cat/b/2.wav",
        "cat/c/2.wav",
        "dog/a/3.wav",
        "dog/a/4.wav",
        "owl/a/1.wav",
        "owl/b/2.wav",
    )
    assert read_class_folders(tmp_path).warnings[0] == (
        "class dog has one group only (a): a fair evaluation requires at least two"
    )


def test_groups_that_differ_in_case_alone_are_warned_of(tmp_path):
    lay(tmp_path, *(f"{label}/{group}/1.wav" for label in ("cat", "dog") for group in ("Street", "garden")))
    lay(tmp_path, "dog/street/2.wav")
    assert read_class_folders(tmp_path).warnings == ["the groups 'Street' and 'street' count as different ones"]


@pytest.mark.parametrize("other", ["Dog", "dog ", "DOG"])
def test_class_folders_that_differ_in_case_or_spaces_alone_are_refused(tmp_path, other):
    lay(tmp_path, *files("cat", 4), *files("dog", 4), *files(other, 4))
    with pytest.raises(UserError, match="the class folders .* differ in case or spaces alone: make them one folder"):
        read_class_folders(tmp_path)
    assert read_class_folders(tmp_path, classes=["cat", "dog"]).notes[0] == f"sub-folder(s) left out: {other}"


def test_accents_encoded_in_two_ways_are_one_class(tmp_path):
    lay(tmp_path, "train/caf\u00e9/1.wav", "train/dog/1.wav", "test/cafe\u0301/2.wav", "test/dog/2.wav")
    with pytest.raises(UserError, match="differ in case or spaces alone"):
        read_class_folders(tmp_path)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="none is not a folder"):
        read_class_folders(tmp_path / "none")


def test_file_name_that_is_no_text_is_named(tmp_path):
    lay(tmp_path, *files("cat", 2), *files("dog", 2))
    with open(bytes(tmp_path) + b"/dog/\xff.wav", "wb"):
        pass
    with pytest.raises(UserError, match=r"dog/\\udcff.wav'?: a file name that is not UTF-8"):
        read_class_folders(tmp_path)


# -- the page that tells how to add a data set


def test_table_of_the_page_is_read(tmp_path):
    lay(tmp_path, "dog/a.wav", "dog/b.mp3", "rain/1.ogg", "rain/2.ogg")
    page = (Path(__file__).parents[2] / "recipes/README.md").read_text()
    (table,) = re.findall(r"   ```\n(   path,group\n.*?)   ```", page, flags=re.DOTALL)
    (tmp_path / "groups.csv").write_text(textwrap.dedent(table) + "rain/2.ogg,street\n")
    corpus = read_class_folders(tmp_path, evaluate_groups=["street"])
    assert names(corpus.train) == ["dog/a.wav", "rain/1.ogg"] and names(corpus.evaluate) == ["dog/b.mp3", "rain/2.ogg"]
