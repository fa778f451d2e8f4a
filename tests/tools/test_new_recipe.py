"""tools/new_recipe.py in a copy of the tree: what it writes passes its tests, trains, and is prepared."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("hparams", "mil_asc", "recipes", "tests", "tools")
WRITTEN = [
    "mil_asc/corpora/set_of_test.py",
    "tests/recipes/set_of_test_tree.py",
    "tests/recipes/test_set_of_test.py",
    "recipes/SetOfTest/README.md",
    "hparams/data/set_of_test.yaml",
    "recipes/SetOfTest/hparams/fuse_pnl.yaml",
    "recipes/SetOfTest/train.py",
    "recipes/SetOfTest/set_of_test_prepare.py",
    "recipes/SetOfTest/run.sh",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the checkout, without runs and data."""
    folder = tmp_path_factory.mktemp("tree") / "checkout"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=runs_and_caches)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def runs_and_caches(path, names):
    """What is not copied: compiled files, and below a recipe its runs and its data."""
    unwanted = {"__pycache__"} | ({"results", "data"} if Path(path).parent.name == "recipes" else set())
    return unwanted & set(names)


def call(tree, *words, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MIL_ASC_MALLOC": "system"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=cwd or tree, env=environment, capture_output=True, text=True, check=False)


def files_of(tree):
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def made(tree):
    """The copy with the recipe SetOfTest; what the program printed."""
    before = files_of(tree)
    done = call(tree, "tools/new_recipe.py", "SetOfTest", "--classes=yes,bath,kitchen-2,4")
    assert done.returncode == 0, done.stderr
    new = {path for path in files_of(tree) - before if (tree / path).is_file()}
    assert new == set(WRITTEN)
    return done.stdout


def test_files_are_listed_and_the_next_step_is_named(made):
    *paths, last = made.splitlines()
    assert paths == WRITTEN and last.startswith("next: adapt mil_asc/corpora/set_of_test.py")


def test_written_recipe_passes_its_tests_and_is_trained_like_the_others(tree, made):
    files = ["tests/recipes/test_set_of_test.py", "tests/recipes/test_recipes.py", "tests/store/test_prepare.py"]
    done = call(tree, "-m", "pytest", "-vv", "-k", "set_of_test or SetOfTest", *files)
    assert done.returncode == 0, done.stdout
    assert "test_lists_of_set_of_test_become_clips PASSED" in done.stdout
    assert re.search(r"trains\w*\[recipes/SetOfTest/hparams/fuse_pnl.yaml\] PASSED", done.stdout)
    assert "test_every_recipe_has_the_command_of_its_data_block[SetOfTest] PASSED" in done.stdout


@pytest.mark.slow
def test_written_programs_train_and_prepare(tree, made, tmp_path):
    code = "import sys; sys.path.insert(0, 'tests/recipes'); import set_of_test_tree, pathlib;"
    call(tree, "-c", f"{code} set_of_test_tree.write_tree(pathlib.Path({str(tmp_path / 'data')!r}))")
    recipe, data = tree / "recipes/SetOfTest", f"--data_folder={tmp_path / 'data'}"
    tiny = ["--debug", "--device=cpu", "--precision=fp32", "--batch_size=4", "--n_mels=16", "--channels=[4, 4, 6, 8]"]
    done = call(tree, "train.py", "hparams/fuse_pnl.yaml", data, *tiny, cwd=recipe)
    assert done.returncode == 0, done.stderr
    report = json.loads((recipe / "results/fuse_pnl/seed-1_debug/report.json").read_text())
    assert report["dataset"] == "SetOfTest" and report["labels"] == ["yes", "bath", "kitchen-2", "4"]
    done = call(tree, "train.py", "hparams/fuse_pnl.yaml", data, *tiny, "--folds=3", cwd=recipe)
    assert done.returncode == 0, done.stderr
    report = json.loads((recipe / "results/fuse_pnl/seed-1_folds-3_debug/report.json").read_text())
    assert report["cross_validation"]["groups"] == 3 and report["evaluation"]["clips"] == 12
    done = call(tree, "set_of_test_prepare.py", tmp_path / "data", tmp_path / "save", cwd=recipe)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "save/test.json").read_text())) == 4


def test_written_files_are_formatted(tree, made):
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    python = [tree / path for path in WRITTEN if path.endswith(".py")]
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *words, *python], cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert os.access(tree / "recipes/SetOfTest/run.sh", os.X_OK)
    for path in WRITTEN:
        assert "@" not in (tree / path).read_text().replace("$@", "").replace("@pytest", "")


def test_longest_name_and_many_classes_make_no_long_line(tool):
    texts = tool.texts_of("W" * tool.LONGEST_NAME, [f"class-{number}" for number in range(30)])
    long = [
        line for path, text in texts.items() if path.endswith(".py") for line in text.splitlines() if len(line) > 120
    ]
    assert not long


def test_page_on_recipes_gives_the_command_and_names_every_file(tool):
    page = (ROOT / "recipes/README.md").read_text()
    (words,) = re.findall(r"^python tools/new_recipe.py (.*)$", page, flags=re.MULTILINE)
    options = tool.parse_arguments(words.split())
    table = re.findall(r"^\| (`.*?) \|", page, flags=re.MULTILINE)
    named = [name for line in table for name in re.findall(r"`([^`]+)`", line)]
    for path in tool.texts_of(options.name, tool.parse_classes(options.classes)):
        assert path in named or Path(path).name in named, path


def test_existing_recipe_is_refused_and_unchanged(tree, made):
    before = {path: (tree / path).read_bytes() for path in WRITTEN}
    for name in ("SetOfTest", "TAU2019"):
        done = call(tree, "tools/new_recipe.py", name)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "already" in done.stderr
    assert {path: (tree / path).read_bytes() for path in WRITTEN} == before


@pytest.fixture
def tool():
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("new_recipe_tool", ROOT / "tools/new_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "words, part",
    [
        (
            ["set_of_test"],
            "'set_of_test' cannot be the name of a set: it must be 1 to 24 letters and digits, the first a capital",
        ),
        (["../SetOfTest"], "cannot be the name of a set"),
        (["M" * 25], "cannot be the name of a set"),
        (["SetOfTest", "--classes=one"], "--classes must be two or more different names, got one"),
        (["SetOfTest", "--classes=a,b,a"], "--classes must be two or more different names"),
        (["SetOfTest", "--classes=a,,b"], "--classes: '' cannot be the name of a class"),
        (["SetOfTest", "--classes=a,b/c"], "--classes: 'b/c' cannot be the name of a class"),
    ],
)
def test_illegal_name_or_class_is_one_line_and_leaves_nothing(tool, capsys, words, part):
    before = files_of(ROOT / "recipes")
    assert tool.main(words) == 1
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1 and files_of(ROOT / "recipes") == before


@pytest.mark.parametrize("name", ["Manifest", "Download", "Import", "Losses"])
def test_name_of_a_module_that_is_there_is_refused(tree, name):
    done = call(tree, "tools/new_recipe.py", name)
    assert done.returncode == 1 and "there is a module" in done.stderr and not (tree / "recipes" / name).exists()


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_half_way_leaves_nothing_behind(tool, tmp_path, monkeypatch, capsys, failure):
    write, texts = tool.write_atomically, tool.texts_of("Other", ["a", "b"])

    def fail(path, text):
        if path.name == "fuse_pnl.yaml":
            raise failure
        write(path, text)

    monkeypatch.setattr(tool, "write_atomically", fail)
    monkeypatch.setattr(tool, "texts_of", lambda *_: texts)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    if isinstance(failure, OSError):
        assert tool.main(["Other"]) == 1
        assert "fuse_pnl.yaml: cannot be written: No space left on device; nothing was made" in capsys.readouterr().err
    else:
        with pytest.raises(KeyboardInterrupt):
            tool.main(["Other"])
    assert list(tmp_path.iterdir()) == []


def test_changed_source_of_a_copy_is_noticed(tool):
    with pytest.raises(RuntimeError, match="no longer fits the file it copies: 0 places match"):
        tool.put("name: x\n", "^labels: .*", "labels: []")
