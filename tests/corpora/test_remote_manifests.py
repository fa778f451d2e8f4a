"""Manifests of recordings at a URL keep what a run was trained on; nothing is read from them without a copy."""

import json

import pytest

from mil_asc.corpora.evaluation_set import read_evaluation_set
from mil_asc.corpora.json_manifests import read_manifest, read_manifests, write_manifests
from mil_asc.corpora.manifest import Clip, Corpus
from mil_asc.corpora.remote_folder import RemoteFolder, place_of, place_of_clip
from mil_asc.errors import UserError

URL = "s3://sounds/a {set}"


@pytest.fixture
def folder(tmp_path):
    """Manifests as a run on a bucket leaves them."""
    clips = [Clip(f"{label}/{n}.wav", label, "all", f"{label}-{n}", "all") for label in ("bus", "park") for n in (1, 2)]
    objects = {clip.path: (32044, "1") for clip in clips}
    corpus = Corpus(RemoteFolder(URL, objects), ["bus", "park"], train=clips[::2], evaluate=clips[1::2])
    write_manifests(corpus, tmp_path / "manifests", {clip.path: 1.0 for clip in clips})
    return tmp_path / "manifests"


def test_clips_and_their_urls_are_read_back(folder):
    corpus = read_manifest(folder, ["train", "validation"])
    assert place_of(corpus.folder) == str(corpus.folder) == URL
    assert [place_of_clip(corpus.folder, clip.path) for clip in corpus.evaluate] == [
        f"{URL}/bus/1.wav",
        f"{URL}/park/1.wav",
    ]


def test_training_and_evaluation_need_a_copy(folder, tmp_path):
    with pytest.raises(UserError, match=r"its recordings are at s3://sounds/a {set}: give --data_folder=DIR"):
        read_manifests(folder)
    with pytest.raises(UserError, match=r"its recordings are at s3://sounds/a {set}: give --data_root=DIR"):
        read_evaluation_set(folder, ["bus", "park"], {})
    assert len(read_manifests(folder, tmp_path).train) == 2
    assert len(read_evaluation_set(folder, ["bus", "park"], {"data_root": str(tmp_path)}).evaluate) == 2


def test_evaluation_at_a_url_is_refused():
    with pytest.raises(UserError, match="data_folder s3://sounds/set: a URL does not work here"):
        read_evaluation_set("s3://sounds/set", ["bus", "park"], {})


def test_recording_outside_of_the_url_is_refused(folder):
    train = json.loads((folder / "train.json").read_text())
    train["bus/1.wav"]["wav"] = "https://host/1.wav"
    (folder / "train.json").write_text(json.dumps(train))
    with pytest.raises(UserError, match="https://host/1.wav does not lie below data_root"):
        read_manifest(folder, ["train"])
