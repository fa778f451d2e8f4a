"""TAU 2022 Mobile: clips of one second, subsets of the training set by lists, devices; lists read without sound."""

import itertools

import pytest
import tiny

from mil_asc.corpora.dcase import SCENES, SUBSETS, read_dcase_folder
from mil_asc.corpora.official import read_datasets
from mil_asc.errors import ArgumentError, UserError
from mil_asc.store.prepare import main as prepare
from mil_asc.training.config import load_hparams
from mil_asc.training.entry import main as train

TRAIN_DEVICES = ("a", "b", "c", "s1", "s2", "s3")
NEW_DEVICES = ("s4", "s5", "s6")


@pytest.fixture
def folder(tmp_path):
    """Ten pieces of a recording of every class and device of a list; the training set has 600 of them."""
    root = tmp_path / "data"
    (root / "evaluation_setup").mkdir(parents=True)
    meta, lists = [], {"train": [], "evaluate": []}
    devices = {"train": TRAIN_DEVICES, "evaluate": TRAIN_DEVICES + NEW_DEVICES, None: NEW_DEVICES}
    for number, (name, own) in enumerate(devices.items()):
        for label, device, index in itertools.product(SCENES, own, range(10)):
            path = f"audio/{label}-lisbon-{1000 + number}-{40000 + number}-{index}-{device}.wav"
            meta.append(f"{path}\t{label}\tlisbon-{1000 + number}\t{device}")
            lists.get(name, []).append(f"{path}\t{label}")
    write_table(root / "meta.csv", "filename\tscene_label\tidentifier\tsource_label", meta)
    for name, lines in lists.items():
        write_table(root / f"evaluation_setup/fold1_{name}.csv", "filename\tscene_label", lines)
    return root


def write_table(path, header, lines):
    path.write_text("\n".join([header, *lines]) + "\n")


def training_files(folder):
    lines = (folder / "evaluation_setup/fold1_train.csv").read_text().splitlines()[1:]
    return [line.partition("\t")[0] for line in lines]


def read_as_recipe(folder, **options):
    hparams, _ = load_hparams(
        tiny.ROOT / "recipes/TAU2022m/hparams/fuse_128k.yaml", {"data_folder": str(folder), **options}
    )
    return hparams["data"]["corpus"]()


def test_official_lists_are_read_with_city_location_and_device(folder):
    corpus = read_as_recipe(folder)
    assert (len(corpus.train), len(corpus.evaluate)) == (600, 900)
    assert corpus.counts("train", "source_device") == dict.fromkeys(TRAIN_DEVICES, 100)
    assert corpus.counts("evaluate", "source_device") == dict.fromkeys(TRAIN_DEVICES + NEW_DEVICES, 100)
    first = corpus.train[0]
    assert first.path == "audio/airport-lisbon-1000-40000-0-a.wav"
    assert (first.label, first.city, first.location) == ("airport", "lisbon", "lisbon-1000")
    assert corpus.notes == [
        "partial set: 600 of the official 139620 train clips",
        "partial set: 900 of the official 29680 evaluate clips",
        "300 of 1800 files are in neither list",
        "devices in the evaluation set only: s4 (100 clips), s5 (100 clips), s6 (100 clips)",
    ]


def test_recipe_expects_the_official_numbers():
    hparams, _ = load_hparams(tiny.ROOT / "recipes/TAU2022m/hparams/fuse_128k.yaml", {"data_folder": "x"})
    facts = read_datasets()["tau2022m"]
    assert hparams["data"]["corpus"].keywords["expected"] == {"train": facts["train"], "evaluate": facts["test"]}
    assert facts["files"] == 230_350


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("labelled", [True, False])
def test_subset_is_the_training_clips_of_its_list(folder, tmp_path, subset, labelled):
    chosen = training_files(folder)[:: 100 // subset]
    lines = [f"{name}\t{name.split('/')[1].split('-')[0]}" for name in chosen] if labelled else chosen
    place = folder / "evaluation_setup" if labelled else tmp_path / "lists"
    place.mkdir(exist_ok=True)
    write_table(place / f"split{subset}.csv", "filename\tscene_label" if labelled else "filename", reversed(lines))
    corpus = read_as_recipe(folder, subset=subset, **({} if labelled else {"subset_folder": str(place)}))
    assert [clip.path for clip in corpus.train] == chosen and len(chosen) == 600 * subset // 100
    assert len(corpus.evaluate) == 900
    assert corpus.notes[0] == f"subset of {subset} %: {len(chosen)} of 600 training clips (split{subset}.csv)"
    assert "300 of 1800 files are in neither list" in corpus.notes
    assert not any("official 139620" in note for note in corpus.notes)


@pytest.mark.parametrize("subset", [1, -5, 5.0, 5.5, True, "5", None])
def test_other_subsets_are_refused_with_the_legal_ones(folder, subset):
    with pytest.raises(ArgumentError, match=r"subset must be one of 5, 10, 25, 50, 100 \(in percent; 0: all"):
        read_dcase_folder(folder, subset=subset)


@pytest.mark.parametrize(
    "lines, part",
    [
        (["audio/airport-lisbon-1001-40001-0-a.wav"], "line 2: audio/airport-lisbon-1001-40001-0-a.wav is not in the"),
        (["../a.wav"], "line 2: '../a.wav' must be a path below the data folder"),
        ([], "split5.csv names no file"),
    ],
)
def test_subset_with_other_files_is_refused_in_one_line(folder, lines, part):
    write_table(folder / "evaluation_setup/split5.csv", "filename", lines)
    with pytest.raises(UserError) as caught:
        read_dcase_folder(folder, subset=5)
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_missing_list_and_folder_without_subset_are_refused(folder):
    with pytest.raises(UserError, match=r"split25.csv is missing: --subset=25 .* --subset_folder=DIR"):
        read_dcase_folder(folder, subset=25)
    with pytest.raises(UserError, match="subset_folder lists has no effect without --subset=5"):
        read_dcase_folder(folder, subset_folder="lists")


@pytest.mark.parametrize("words, part", [(["--subset=7"], "subset must be one of 5,"), (["--subset=5"], "is missing")])
def test_programs_end_with_one_line(folder, tmp_path, capsys, words, part):
    block = tiny.ROOT / "hparams/data/tau2022m.yaml"
    with pytest.raises(SystemExit) as caught:
        prepare(block, [str(folder), str(tmp_path / "save"), *words])
    printed = capsys.readouterr()
    assert caught.value.code == 1 and part in printed.err and "Traceback" not in printed.err
    yaml_file = "recipes/TAU2022m/hparams/fuse_128k.yaml"
    assert train(tiny.tiny_run(yaml_file, folder, tmp_path / "run", *words)) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and part in lines[0]
