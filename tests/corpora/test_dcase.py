"""The three official layouts with their oddities: trees of empty files, for lists are read without sound."""

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from mil_asc.corpora.dcase import SCENES, read_dcase_folder
from mil_asc.errors import UserError
from mil_asc.training.config import load_hparams

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20
PLACES = 40  # of a class and city, in the large tree


def write_layout(folder, files, header=True):
    """A tree of empty files. ``files``: (list name or None, class, city, location, segment, device) tuples."""
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    meta = ["filename\tscene_label\tidentifier\tsource_label"]
    lists = {"train": [], "evaluate": []}
    for list_name, label, city, location, segment, device in files:
        name = f"audio/{label}-{city}-{location}-{segment}-{device}.wav"
        (folder / name).touch()
        meta.append(f"{name}\t{label}\t{city}-{location}\t{device}")
        if list_name:
            lists[list_name].append(f"{name}\t{label}")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    suffix, first = ("csv", ["filename\tscene_label"]) if header else ("txt", [])
    for name, lines in lists.items():
        (folder / f"evaluation_setup/fold1_{name}.{suffix}").write_text("\n".join([*first, *lines]) + "\n")
    tested = [line.partition("\t")[0] for line in lists["evaluate"]]
    (folder / f"evaluation_setup/fold1_test.{suffix}").write_text("\n".join(tested) + "\n")
    return folder


def read_as(recipe, folder):
    """The corpus as the recipe's YAML file reads it."""
    hparams, _ = load_hparams(ROOT / f"recipes/{recipe}/hparams/fuse_pnl.yaml", {"data_folder": str(folder)})
    assert hparams["data"]["name"] == recipe and hparams["data"]["labels"] == list(SCENES)
    return hparams["data"]["corpus"]()


def test_names_and_places_that_contradict_the_table_are_warned_of(tmp_path):
    files = [("train", "bus", "lisbon", 1, 0, "a"), ("train", "park", "lisbon", 2, 1, "a")]
    files += [("evaluate", "bus", "LISBON", 1, 2, "A"), ("evaluate", "park", "oslo", 3, 3, "b")]
    folder = write_layout(tmp_path / "data", files)
    table = folder / "meta.csv"
    assert read_dcase_folder(folder).warnings == [
        "the locations 'LISBON-1' and 'lisbon-1' count as different ones",
        "the devices 'A' and 'a' count as different ones",
    ]
    text = table.read_text().replace("LISBON-1\tA", "porto-1\ta")
    table.write_text(text.replace("oslo-3-3-b.wav\tpark\toslo-3\tb", "oslo-3-3-b.wav\tpark\toslo-3\ta"))
    words = (
        "2 file(s) have a name of another class or device than meta.csv states: audio/bus-LISBON-1-2-A.wav (bus, a), "
    )
    assert read_dcase_folder(folder).warnings == [words + "audio/park-oslo-3-3-b.wav (park, a)"]


# -- TUT 2018 Mobile: lists without a header


def tut2018m(folder, header=False):
    devices = ["a"] * 8 + ["b", "c"]  # B and C are fewer
    train = [("train", label, "helsinki", 10 + i, i, device) for label in SCENES for i, device in enumerate(devices)]
    evaluate = [("evaluate", label, "vienna", 90 + i, i, device) for label in SCENES for i, device in enumerate("aabc")]
    return write_layout(folder, train + evaluate, header)


def test_tut2018m_has_lists_without_a_header(tmp_path):
    corpus = read_as("TUT2018m", tut2018m(tmp_path / "data"))
    assert corpus.counts("train") == dict.fromkeys(SCENES, 10) and corpus.counts("evaluate") == dict.fromkeys(SCENES, 4)
    assert corpus.counts("train", "source_device") == {"a": 80, "b": 10, "c": 10}
    assert corpus.counts("evaluate", "source_device") == {"a": 20, "b": 10, "c": 10}
    assert corpus.train[0].path == "audio/airport-helsinki-10-0-a.wav"  # the first line is a clip
    assert corpus.notes == [
        "partial set: 100 of the official 7202 train clips",
        "partial set: 40 of the official 2878 evaluate clips",
        "cities in the evaluation set only: vienna (40 clips)",
    ]


def test_lists_with_and_without_a_header_are_the_same(tmp_path):
    plain = read_dcase_folder(tut2018m(tmp_path / "a"))
    headed = read_dcase_folder(tut2018m(tmp_path / "b", header=True))
    assert (plain.train, plain.evaluate, plain.notes) == (headed.train, headed.evaluate, headed.notes)


def test_line_of_a_list_without_a_header_is_named(tmp_path):
    path = tut2018m(tmp_path / "data") / "evaluation_setup/fold1_train.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("\tairport", "\tairprt"), *lines[1:]]))
    with pytest.raises(UserError, match=r"fold1_train.txt, line 1: unknown class 'airprt'; did you mean 'airport'\?"):
        read_dcase_folder(tmp_path / "data")
    path.write_text("\n".join([lines[0], lines[1].partition("\t")[0]]))
    with pytest.raises(UserError, match=r"fold1_train.txt, line 2: 2 tab-separated values are needed"):
        read_dcase_folder(tmp_path / "data")


# -- TAU 2019: a city to evaluate on alone, files in no list


def test_tau2019_has_milan_in_the_evaluate_list_only_and_files_in_no_list(tmp_path):
    cities = ["lisbon", "lyon", "prague"]
    train = [("train", label, city, 1, 0, "a") for label in SCENES for city in cities]
    evaluate = [("evaluate", label, city, 2, 0, "a") for label in SCENES for city in [*cities, "milan"]]
    unused = [(None, label, "milan", 3, 0, "a") for label in SCENES[:7]]
    corpus = read_as("TAU2019", write_layout(tmp_path / "data", train + evaluate + unused))
    assert corpus.counts("train", "city") == dict.fromkeys(cities, 10)
    assert corpus.counts("evaluate", "city") == dict.fromkeys([*cities, "milan"], 10)
    assert corpus.counts("train") == dict.fromkeys(SCENES, 3) and corpus.counts("evaluate") == dict.fromkeys(SCENES, 4)
    assert corpus.notes[2:] == [
        "7 of 77 files are in neither list",
        "cities in the evaluation set only: milan (10 clips)",
    ]
    assert corpus.warnings == []


# -- TAU 2020 Mobile, at its full size


TAU2020M = {
    "train": {"a": 10215, "b": 749, "c": 748, "s1": 750, "s2": 750, "s3": 750},
    "evaluate": {"a": 330, "b": 329, "c": 329} | {f"s{n}": 330 for n in range(1, 7)},
    None: {"a": 3855, "s4": 750, "s5": 750, "s6": 750},
}


@pytest.fixture(scope="module")
def tau2020m(tmp_path_factory):
    """23,035 empty files: their folder, and the clips of each list by class as they were written."""
    cities = itertools.cycle(
        ["barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "vienna"]
    )
    files, classes = [], {name: Counter() for name in TAU2020M}
    for list_name, devices in TAU2020M.items():
        first = {"train": 0, "evaluate": PLACES, None: 2 * PLACES}[list_name]  # no place in two lists
        for device, count in devices.items():
            for i in range(count):
                label = SCENES[i % 10]
                files.append((list_name, label, next(cities), first + i % PLACES, i, device))
                classes[list_name][label] += 1
    return write_layout(tmp_path_factory.mktemp("tau2020m") / "data", files), classes


def test_tau2020m_is_counted_by_class_and_device(tau2020m):
    folder, classes = tau2020m
    corpus = read_as("TAU2020m", folder)
    assert (len(corpus.train), len(corpus.evaluate), len(corpus.clips)) == (13962, 2968, 16930)
    for name in ("train", "evaluate"):
        assert corpus.counts(name, "source_device") == TAU2020M[name]
        assert corpus.counts(name) == classes[name]
    assert corpus.notes == [
        "6105 of 23035 files are in neither list",
        "devices in the evaluation set only: s4 (330 clips), s5 (330 clips), s6 (330 clips)",
    ]
    assert corpus.warnings == []


@pytest.mark.slow
def test_lists_of_23035_files_are_read_in_little_memory(tau2020m):
    read_dcase_folder(tau2020m[0])  # imports and caches are not what is measured
    tracemalloc.start()
    try:
        corpus = read_dcase_folder(tau2020m[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(corpus.clips) == 16930 and MEGABYTE < peak <= 200 * MEGABYTE
