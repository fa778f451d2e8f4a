"""``tools/study.py`` with real training at a tiny size: rows, resuming, pages, what is refused."""

import csv
import importlib.util
import shutil
from dataclasses import replace

import pytest
import tiny

from mil_asc.errors import UserError
from mil_asc.paper.plan import Place
from mil_asc.studies import design, evidence, rows_file
from mil_asc.studies.measures import DETECTION

pytest.importorskip("sed_scores_eval", reason='needs the extra [eval]: pip install -e ".[eval]"')
SIZES = (
    "--channels=[4,4,6,8] --num_blocks=1 --n_mels=16 --instance_dim=8 --train_clips=20 --evaluate_clips=10 "
    "--seconds=2.5 --batch_size=10 --precision=fp32 --warmup_epochs=0 --number_of_epochs=1"
).split()


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("study", tiny.ROOT / "tools/study.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A copy of the recipe of SynthScenes and of the shared blocks; runs are written there."""
    root = tmp_path_factory.mktemp("study")
    shutil.copytree(tiny.ROOT / "hparams", root / "hparams")
    source, target = tiny.ROOT / "recipes/SynthScenes", root / "recipes/SynthScenes"
    target.mkdir(parents=True)
    shutil.copytree(source / "hparams", target / "hparams")
    shutil.copy(source / "train.py", target)
    return root / "recipes"


def tiny_design(seeds):
    """Two strategies at two shares, one epoch, one or more seeds."""
    study = evidence.evidence(seeds)
    chosen = {"event_share": ("0.4", "0.8"), "strategy": ("no_il", "gap"), "epochs": (evidence.EPOCHS,)}
    runs = {
        replace(run, options=(*run.options, *SIZES)): factors
        for run, factors in study.runs.items()
        if all(factors[name] in values for name, values in chosen.items())
    }
    return design.Study("evidence", study.factors, runs)


@pytest.fixture
def run(tool, recipes, tmp_path, monkeypatch):
    monkeypatch.setitem(tool.STUDIES, "evidence", (tiny_design, tool.evidence_page, tool.paint_evidence, 1, "evidence"))
    page = tmp_path / "page.md"
    page.write_text("# Study\n\n<!-- results -->\n<!-- /results -->\n\nEnd.\n")
    words = ["evidence", f"--recipes={recipes}", f"--csv={tmp_path / 'rows.csv'}", f"--page={page}"]
    words.append(f"--picture={tmp_path / 'picture.svg'}")
    return lambda *more: tool.main([*words, *more])


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_study_from_nothing_to_its_page_and_again_without_the_runs(run, recipes, tmp_path, capsys):
    assert run("--most=1") == 0  # a first part
    assert len(rows_of(tmp_path / "rows.csv")) == 1
    assert "3 runs missing" in capsys.readouterr().out
    assert "**1 of 4 runs are finished.**" in (tmp_path / "page.md").read_text()
    assert run() == 0
    rows = rows_of(tmp_path / "rows.csv")
    assert [(row["event_share"], row["strategy"], row["seed"]) for row in rows] == [
        ("0.4", "no_il", "1"),
        ("0.4", "gap", "1"),
        ("0.8", "no_il", "1"),
        ("0.8", "gap", "1"),
    ]
    for row in rows:
        assert all(0 <= float(row[name]) <= 1 for name in (*DETECTION, "smi", "cmi", "event_ap", "confidence"))
        assert float(row["event_chance"]) == pytest.approx(float(row["event_share"]), abs=0.15)
        assert row["number_of_epochs"] == "1" and row["precision"] == "fp32"
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Study\n") and text.endswith("\nEnd.\n") and "are finished" not in text
    assert (
        "| 0.4 | no instance loss | 1 |" in text and "| 0.8 | global average pooling − no instance loss | 1 |" in text
    )
    assert (tmp_path / "picture.svg").read_text().count("no instance loss") == 1
    before = (tmp_path / "rows.csv").read_bytes()
    for folder in (recipes / "SynthScenes/results/evidence").iterdir():
        shutil.rmtree(folder)
    capsys.readouterr()
    assert run() == 0  # the rows stand for the runs
    assert (tmp_path / "rows.csv").read_bytes() == before and "0 runs missing" in capsys.readouterr().out


@pytest.fixture
def some_rows(tmp_path):
    """A file with one row of the tiny design."""
    study = tiny_design(1)
    first = next(iter(study.runs.items()))
    settings = dict.fromkeys(study.measures.settings, "None")
    row = {**settings, **first[1], "seed": 1, **dict.fromkeys(study.measures.numbers, 0.5)}
    rows_file.write_rows(tmp_path / "rows.csv", study, {study.key(row): row})
    return study, tmp_path / "rows.csv"


def test_row_of_other_settings_is_refused(run, some_rows, capsys):
    assert run("--no_run") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "was made with ambiguous_share None, now it is 0.3" in err


def test_damaged_tables_are_refused(some_rows, tmp_path):
    study, path = some_rows
    text = path.read_text()
    for damaged, words in (
        (text + text.splitlines()[1] + "\n", "line 3: a second row"),
        (text + "1,2\n", "line 3: not a row"),
        (text.replace("strategy", "stratagem"), "line 2: not a row"),
        (text.replace("0.5", "nan", 1), "line 2: accuracy must be a finite number, got 'nan'"),
        (text.replace("0.5", "half", 1), "line 2: accuracy must be a finite number, got 'half'"),
    ):
        path.write_text(damaged)
        with pytest.raises(UserError, match=words):
            rows_file.read_rows(path, study)


def test_dry_run_prints_commands_and_writes_nothing(run, tmp_path, capsys):
    assert run("--dry_run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith("to do  cd ") and "--event_share=" in line for line in lines)
    assert not (tmp_path / "rows.csv").exists()


def test_page_without_marks_is_refused_before_anything_is_trained(run, tmp_path, capsys):
    (tmp_path / "page.md").write_text("# Study\n")
    assert run() == 1
    assert "needs the lines" in capsys.readouterr().err


def test_folders_of_variants_are_apart():
    place = Place(tiny.ROOT / "recipes")
    runs = list(tiny_design(1).runs)
    assert len({place.folder(planned) for planned in runs}) == len(runs)
