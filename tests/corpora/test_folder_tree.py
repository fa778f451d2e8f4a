"""Links, unreadable folders and files with two names: nothing is counted twice or gets the label of another class."""

import os

import pytest

from mil_asc.corpora import folder_tree
from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.errors import UserError

LEADS = "because they lead into or around a class folder, or to what was read"


@pytest.fixture
def sounds(tmp_path):
    """Two classes with two files each, in one sub-folder."""
    for label in ("cat", "dog"):
        (tmp_path / f"data/{label}/home").mkdir(parents=True)
        for i in range(2):
            (tmp_path / f"data/{label}/home/{i}.wav").touch()
            (tmp_path / f"data/{label}/{i}.wav").touch()
    return tmp_path / "data"


def labels_of(corpus):
    return {clip.path: clip.label for clip in corpus.clips}


@pytest.mark.parametrize(
    "target", [".", "..", "../..", "../dog", "../dog/home", "home", "/"], ids=lambda target: target.replace("/", "-")
)
def test_link_back_into_the_data_or_around_it_is_not_followed(sounds, target):
    plain = read_class_folders(sounds)
    (sounds / "cat/link").symlink_to(target)
    corpus = read_class_folders(sounds)
    assert corpus.clips == plain.clips
    assert corpus.warnings == [*plain.warnings, f"1 link(s) to folders left out {LEADS}: cat/link/"]


def test_link_to_a_class_that_is_not_chosen_is_not_followed(sounds):
    (sounds / "owl").mkdir()
    (sounds / "owl/0.wav").touch()
    (sounds / "cat/link").symlink_to("../owl")
    assert "cat/link/0.wav" not in labels_of(read_class_folders(sounds, classes=["cat", "dog"]))


def test_links_to_files_and_folders_outside_are_followed(sounds, tmp_path):
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "deep/c.wav"):
        (tmp_path / "elsewhere" / name).touch()
    (sounds / "cat/one.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    (sounds / "dog/far").symlink_to(tmp_path / "elsewhere/deep")
    (sounds / "owl").symlink_to(tmp_path / "owls")
    (tmp_path / "owls").mkdir()
    (tmp_path / "owls/1.wav").touch()
    (tmp_path / "owls/2.wav").touch()
    corpus = read_class_folders(sounds)
    found = labels_of(corpus)
    assert (found["cat/one.wav"], found["dog/far/c.wav"], found["owl/1.wav"]) == ("cat", "dog", "owl")
    assert len(found) == 12 and corpus.warnings == []


def test_circle_outside_the_data_is_walked_once(sounds, tmp_path):
    (tmp_path / "elsewhere/inner").mkdir(parents=True)
    (tmp_path / "elsewhere/inner/a.wav").touch()
    (tmp_path / "elsewhere/inner/back").symlink_to(tmp_path / "elsewhere")
    (sounds / "cat/far").symlink_to(tmp_path / "elsewhere")
    (sounds / "cat/too").symlink_to(tmp_path / "elsewhere")
    corpus = read_class_folders(sounds)
    assert [path for path in labels_of(corpus) if "a.wav" in path] == ["cat/far/inner/a.wav"]
    assert corpus.warnings == [f"2 link(s) to folders left out {LEADS}: cat/far/inner/back/, cat/too/"]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_same_file_in_two_classes_is_refused(sounds, link):
    link(sounds / "dog/home/0.wav", sounds / "cat/home/same.wav")
    with pytest.raises(UserError, match=r"cat/home/same.wav and dog/home/0.wav are the same file in two class folders"):
        read_class_folders(sounds)


def test_folder_outside_that_two_classes_link_to_is_refused(sounds, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/x.wav").touch()
    for label in ("cat", "dog"):
        (sounds / label / "far").symlink_to(tmp_path / "far")
    with pytest.raises(UserError, match=r"cat/far/x.wav and dog/far/x.wav are the same file in two class folders"):
        read_class_folders(sounds)


def test_same_file_in_both_lists_is_refused(tmp_path):
    for path in ("train/cat/a.wav", "train/dog/b.wav", "test/dog/c.wav"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "test/cat").mkdir()
    (tmp_path / "test/cat/copy.wav").symlink_to("../../train/cat/a.wav")
    with pytest.raises(UserError, match=r"train/cat/a.wav and test/cat/copy.wav are the same file"):
        read_class_folders(tmp_path)


def test_class_folder_that_is_a_link_to_another_is_refused(sounds):
    (sounds / "wolf").symlink_to("dog")
    with pytest.raises(UserError, match="are the same file in two class folders"):
        read_class_folders(sounds)


def test_same_file_twice_in_a_class_is_counted_once(sounds):
    os.link(sounds / "cat/home/0.wav", sounds / "cat/home/copy.wav")
    corpus = read_class_folders(sounds)
    assert len(corpus.clips) == 8
    assert corpus.warnings == [
        "1 file(s) left out because they are the same as another file of their class: "
        "cat/home/copy.wav (it is cat/home/0.wav)"
    ]


def test_links_to_nowhere_stay_in_the_lists_and_are_reported_as_bad_files(sounds):
    (sounds / "cat/home/lost.wav").symlink_to("nowhere.wav")
    (sounds / "cat/home/circle.wav").symlink_to("circle.wav")
    assert {"cat/home/lost.wav", "cat/home/circle.wav"} <= labels_of(read_class_folders(sounds)).keys()


def forbid(monkeypatch, folder):
    """Make a folder unreadable, for root too."""
    scandir = os.scandir

    def refuse(path="."):
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_sub_folder_that_cannot_be_read_is_warned_of(sounds, monkeypatch):
    forbid(monkeypatch, sounds / "cat/home")
    corpus = read_class_folders(sounds)
    assert "1 folder(s) left out because they cannot be read: cat/home/ (permission denied)" in corpus.warnings
    assert len(corpus.clips) == 6


def test_class_folder_that_cannot_be_read_is_named(sounds, monkeypatch):
    forbid(monkeypatch, sounds / "cat")
    with pytest.raises(UserError, match=r"no audio file .* 1 folder\(s\) in it cannot be read: cat/ \(permission"):
        read_class_folders(sounds)


def test_data_folder_that_cannot_be_read_is_named(sounds, monkeypatch):
    forbid(monkeypatch, sounds)
    with pytest.raises(UserError, match="data cannot be read: permission denied"):
        read_class_folders(sounds)


@pytest.fixture
def compressed(sounds):
    """Files that ffmpeg decodes, beside the others."""
    for name in ("cat/home/2.m4a", "cat/a b.MP4", "dog/3.webm", "dog/4.aac"):
        (sounds / name).touch()
    return sounds


def test_compressed_files_are_clips_where_ffmpeg_is_installed(compressed, monkeypatch):
    monkeypatch.setattr(folder_tree, "has_ffmpeg", lambda: True)
    corpus = read_class_folders(compressed)
    found = labels_of(corpus)
    assert len(found) == 12 and found["cat/a b.MP4"] == "cat" and found["dog/3.webm"] == "dog"
    assert not any("ffmpeg" in text for text in corpus.warnings + corpus.notes)


def test_compressed_files_are_counted_apart_with_the_command_where_ffmpeg_is_missing(compressed, monkeypatch):
    monkeypatch.setattr(folder_tree, "has_ffmpeg", lambda: False)
    corpus = read_class_folders(compressed)
    assert len(corpus.clips) == 8
    assert corpus.warnings[0] == (
        "4 file(s) left out which require ffmpeg, not installed here (install it, or convert each: "
        "ffmpeg -i 'cat/a b.MP4' 'cat/a b.wav'): cat/a b.MP4, cat/home/2.m4a, dog/3.webm, dog/4.aac"
    )


def test_class_of_compressed_files_alone_says_how_to_convert_them(sounds, monkeypatch):
    monkeypatch.setattr(folder_tree, "has_ffmpeg", lambda: False)
    (sounds / "owl").mkdir()
    (sounds / "owl/1.m4a").touch()
    with pytest.raises(UserError, match=r"owl: this class folder holds no audio file .*; 1 file\(s\) require ffmpeg"):
        read_class_folders(sounds)
