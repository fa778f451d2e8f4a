"""What the package knows of the official sets."""

import re
from pathlib import Path

import pytest

import mil_asc.corpora.download as download_module
from mil_asc.corpora import official


@pytest.mark.parametrize("name", sorted(official.read_datasets()))
def test_packaged_facts_are_well_formed(name):
    known = official.read_datasets()[name]
    assert name == name.lower()
    assert known["train"] + known["test"] + known["unused"] == known["files"]
    assert isinstance(known["zenodo_record"], int)
    assert known["archive_prefix"].endswith("-development")
    suffixes = list(known["archives"])
    audio = [suffix for suffix in suffixes if suffix.startswith("audio.")]
    assert suffixes == ["doc.zip", "meta.zip", *audio]
    assert audio == [f"audio.{n + 1}.zip" for n in range(len(audio))]
    for size, md5 in known["archives"].values():
        assert isinstance(size, int) and size > 1000
        assert isinstance(md5, str) and re.fullmatch("[0-9a-f]{32}", md5)
    checksums = [md5 for _, md5 in known["archives"].values()]
    assert len(set(checksums)) == len(checksums)


def test_every_set_has_a_recipe():
    recipes = {path.parent.name.lower() for path in (Path(__file__).parents[2] / "recipes").glob("*/train.py")}
    assert set(official.read_datasets()) <= recipes


def test_official_address_of_an_archive():
    archives = download_module._list_archives(official.read_datasets()["tau2019"], None)
    assert archives[2].url == (
        "https://zenodo.org/records/2589280/files/TAU-urban-acoustic-scenes-2019-development.audio.1.zip?download=1"
    )
    assert len(archives) == 23
