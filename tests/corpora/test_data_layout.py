"""Data folders that are one level too deep or too shallow."""

import pytest

from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.corpora.data_layout import check_apart
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.errors import UserError

LABELS = ["airport", "park", "tram"]


def lay(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


# -- the official layout


@pytest.mark.parametrize("inner", ["audio", "evaluation_setup"])
def test_official_folder_one_level_too_deep_is_named(dcase_folder, inner):
    with pytest.raises(UserError, match=rf"meta.csv is missing: .*; did you mean --data_folder={dcase_folder}\?"):
        read_dcase_folder(dcase_folder / inner, LABELS)


def test_official_folder_one_or_two_levels_too_shallow_is_named(dcase_folder, tmp_path):
    (tmp_path / "top/sets").mkdir(parents=True)
    dcase_folder.rename(tmp_path / "top/sets/tau")
    for folder in (tmp_path / "top/sets", tmp_path / "top"):
        with pytest.raises(UserError, match=rf"did you mean --data_folder={tmp_path}/top/sets/tau\?"):
            read_dcase_folder(folder, LABELS)


def test_no_official_folder_near_gives_no_hint(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=r"meta.csv is missing.*audio/\)$"):
        read_dcase_folder(tmp_path / "data", LABELS)


# -- folders of classes


@pytest.mark.parametrize("path", ["sounds", "a/sounds"])
def test_class_folders_further_down_are_named(tmp_path, path):
    lay(tmp_path / "top" / path, "cat/1.wav", "dog/1.wav")
    with pytest.raises(
        UserError, match=rf"at least two .* found .*; did you mean --data_folder={tmp_path}/top/{path}\?"
    ):
        read_class_folders(tmp_path / "top")


def test_class_folder_given_as_data_folder_is_noticed(tmp_path):
    lay(tmp_path / "sounds", "cat/1.wav", "dog/1.wav")
    with pytest.raises(UserError, match=rf"found none; did you mean --data_folder={tmp_path}/sounds\?"):
        read_class_folders(tmp_path / "sounds/cat")


def test_class_folder_with_groups_given_as_data_folder_is_warned_of(tmp_path):
    paths = [f"{label}/{place}/{i}.wav" for label in ("cat", "dog") for place in ("garden", "street") for i in (1, 2)]
    sounds = lay(tmp_path / "sounds", *paths)
    assert read_class_folders(sounds).warnings == []
    assert read_class_folders(sounds / "cat").warnings == [
        f"every sub-folder of {sounds} holds garden, street: if these are groups and cat is one class, "
        f"give --data_folder={sounds}"
    ]


def test_one_of_two_lists_given_as_data_folder_is_warned_of(tmp_path):
    sounds = lay(
        tmp_path / "sounds", *(f"{name}/{c}/{i}.wav" for name in ("train", "test") for c in "xy" for i in "123")
    )
    (warning,) = read_class_folders(sounds / "train").warnings
    assert warning.endswith(f"if both are meant, give --data_folder={sounds}")


def test_table_of_groups_in_the_folder_above_is_warned_of(tmp_path):
    sounds = lay(tmp_path / "sounds", "groups.csv", *(f"all/{label}/{i}.wav" for label in "xy" for i in "123"))
    (warning,) = read_class_folders(sounds / "all").warnings
    assert f"{sounds} holds a groups.csv that is not used" in warning


LISTS = [("training", "testing"), ("Train", "Test"), ("train", "val"), ("dev", "eval"), ("development", "evaluation")]


@pytest.mark.parametrize("names", [*LISTS, ("fold1", "fold2", "fold10"), ("Split_1", "Split_2")])
def test_lists_by_other_names_are_not_read_as_classes(tmp_path, names):
    lay(tmp_path, *(f"{name}/{label}/{i}.wav" for name in names for label in ("cat", "dog") for i in (1, 2)))
    with pytest.raises(UserError, match="look like lists, not classes: call them train/ and evaluate/"):
        read_class_folders(tmp_path)


# -- what is written


@pytest.mark.parametrize("place", [".", "results/run", "dog/run"])
def test_place_in_a_folder_of_classes_is_refused(tmp_path, place):
    """It would be a class, or audio of one, at the next start."""
    sounds = lay(tmp_path / "sounds", "cat/a.wav", "dog/b.wav")
    with pytest.raises(UserError, match="output_folder .* lies in the data folder, where it would be"):
        check_apart("output_folder", sounds / place, sounds)


def test_places_elsewhere_and_in_data_with_lists_are_allowed(dcase_folder, tmp_path):
    sounds = lay(tmp_path / "sounds", "cat/a.wav", "dog/b.wav")
    for place, data in ((tmp_path / "sounds2/run", sounds), (tmp_path, sounds), (dcase_folder / "run", dcase_folder)):
        check_apart("output_folder", place, data)
    lay(sounds, "test.json")
    check_apart("output_folder", sounds / "run", sounds)
