"""``tools/shipped_models.py``: both models at small size, and what it refuses."""

import csv
import importlib.util

import numpy as np
import pytest
import soundfile
import tiny

from mil_asc.packaging.folder import load_model_folder
from mil_asc.packaging.sources import SHIPPED

SPEC = importlib.util.spec_from_file_location("shipped_models_tool", tiny.ROOT / "tools/shipped_models.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)

CLASSES = ["dog", "rooster", "rain"]
SMALL = ["number_of_epochs=1", "batch_size=4", "channels=[4,4,6,8]", "instance_dim=8", "n_mels=16", "precision=fp32"]


@pytest.fixture
def esc50(tmp_path):
    """Five folds of ESC-50 in small: three classes of ESC-10, a clip of each in each fold, and one class outside."""
    (tmp_path / "esc50/audio").mkdir(parents=True)
    (tmp_path / "esc50/meta").mkdir()
    rng, lines = np.random.default_rng(0), ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for target, category in enumerate([*CLASSES, "cow"]):
            name = f"{fold}-{10 * fold + target}-A-{target}.wav"
            soundfile.write(tmp_path / "esc50/audio" / name, 0.1 * rng.normal(size=24000), 16000)
            lines.append(f"{name},{fold},{target},{category},{category != 'cow'},{10 * fold + target},A")
    (tmp_path / "esc50/meta/esc50.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "esc50"


def words_of(tmp_path, *more):
    """The options that keep the program away from the package and the recipes, and make its networks tiny."""
    small = [f"--train={word}" for word in (*SMALL, *more)]
    return [f"--to={tmp_path / 'models'}", f"--work={tmp_path / 'work'}", *small]


def shipped_files():
    return {path: path.stat().st_mtime_ns for path in SHIPPED.rglob("*")}


def test_esc10_is_four_folds_of_its_classes(esc50, tmp_path):
    TOOL.arrange_esc10(esc50, tmp_path / "data")
    with open(tmp_path / "data/meta/esc50.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["filename"] for row in rows) == sorted(path.name for path in tmp_path.glob("data/audio/*"))
    assert len(rows) == 3 * 4 and {row["category"] for row in rows} == set(CLASSES)
    assert all(row["filename"].startswith(f"{row['fold']}-") and row["fold"] in "1234" for row in rows)


def test_copy_that_was_cut_off_is_made_again(esc50, tmp_path):
    TOOL.arrange_esc10(esc50, tmp_path / "data")
    copy = tmp_path / "data/audio/1-10-A-0.wav"
    content = copy.read_bytes()
    copy.write_bytes(content[:100])
    TOOL.arrange_esc10(esc50, tmp_path / "data")
    assert copy.read_bytes() == content


def test_attribution_names_every_clip_with_its_author_and_licence():
    with open(TOOL.ATTRIBUTION, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = TOOL.attribution_table().splitlines()
    assert len(lines) == len(rows) + 4 and "freesound.org" in lines[0]
    assert all(row["clip"] in line and row["licence"] in line for row, line in zip(rows, lines[4:]))
    assert len({row["clip"] for row in rows}) == 320  # folds 1 to 4 of ESC-10


@pytest.mark.slow
def test_esc10_is_trained_and_packed_with_its_attribution(esc50, tmp_path, capsys):
    before = shipped_files()
    words = ["esc10-fuse", f"--esc50={esc50}", *words_of(tmp_path, "num_classes=3")]
    assert TOOL.main(words) == 0
    folder = tmp_path / "models/esc10-fuse"
    assert capsys.readouterr().out == f"written: {folder}\n"
    model = load_model_folder(folder)
    assert sorted(model.config.labels) == sorted(CLASSES) and model.calibration is None
    card = (folder / "README.md").read_text()
    assert 'license: "cc-by-3.0"' in card and "1-100032-A" in card and "# esc10-fuse" in card
    assert "python tools/shipped_models.py esc10-fuse --esc50 DIR --train number_of_epochs=1" in card
    assert str(tmp_path) not in card
    assert (folder / "model.onnx").stat().st_size > 1000 and shipped_files() == before


@pytest.mark.slow
def test_synthetic_scenes_are_made_trained_and_packed(tmp_path, capfd):
    before = shipped_files()
    scenes = ["data.train_clips=20", "data.evaluate_clips=10", "data.seconds=2.0"]
    words = ["synthscenes-fuse-pnl", "--calibration_clips=10", *words_of(tmp_path, *scenes)]
    assert TOOL.main(words) == 0
    folder = tmp_path / "models/synthscenes-fuse-pnl"
    out, err = capfd.readouterr()
    assert out.endswith(f"written: {folder}\n") and "packed without a calibration" in err
    assert len(load_model_folder(folder).config.labels) == 10
    assert "A demonstration: it learnt synthetic scenes" in (folder / "README.md").read_text()
    assert shipped_files() == before


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "the following arguments are required: NAME"),
        (["street-fuse"], "invalid choice: 'street-fuse'"),
        (["esc10-fuse"], "esc10-fuse needs --esc50 DIR"),
        (["synthscenes-fuse-pnl", "--calibration_clips=9"], "--calibration_clips must be a whole number from 10 up"),
        (["synthscenes-fuse-pnl", "--train=seed", "--to=m"], "--train must be KEY=VALUE, got 'seed'"),
        (["synthscenes-fuse-pnl", "--train=seed=2"], "name a folder for it with --to"),
        (["synthscenes-fuse-pnl", "--esc=d"], "unrecognized arguments: --esc=d"),
    ],
)
def test_bad_arguments_end_with_2_and_a_line(capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        TOOL.main(words)
    assert caught.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_folder_that_is_not_esc50_is_refused(tmp_path):
    with pytest.raises(TOOL.UserError, match="meta/esc50.csv is missing: name the folder of ESC-50"):
        TOOL.main(["esc10-fuse", f"--esc50={tmp_path}", *words_of(tmp_path)])
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "table, words",
    [
        (
            "filename,fold,target,category,esc10,src_file\n1-1-A-0.wav,5,0,dog,True,1\n",
            "no clips of ESC-10 in folds 1 to",
        ),
        ("filename,fold,target,category\n1-1-A-0.wav,1,0,dog\n", "esc10"),
    ],
)
def test_table_without_what_is_needed_is_refused_and_makes_nothing(tmp_path, table, words):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/esc50.csv").write_text(table)
    with pytest.raises(TOOL.UserError, match=words):
        TOOL.main(["esc10-fuse", f"--esc50={tmp_path}", *words_of(tmp_path)])
    assert not (tmp_path / "work").exists()


def test_training_that_fails_ends_the_program_and_packs_nothing(esc50, tmp_path, capfd):
    words = ["esc10-fuse", f"--esc50={esc50}", *words_of(tmp_path, "number_of_eggs=1")]
    with pytest.raises(TOOL.UserError, match="train.py ended with status [12]; the same command resumes"):
        TOOL.main(words)
    assert "number_of_eggs" in capfd.readouterr().err and not (tmp_path / "models").exists()
