"""The built wheel works away from the checkout: every module and data file comes along, and a run needs no other."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tiny

SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
IMPORTS_EVERYTHING = """
import importlib, pkgutil, sys
import mil_asc
for module in pkgutil.walk_packages(mil_asc.__path__, "mil_asc."):
    importlib.import_module(module.name)
elsewhere = [name for name, module in sys.modules.items()
             if name.startswith("mil_asc") and not str(module.__file__).startswith(sys.argv[1])]
sys.exit(f"from elsewhere: {elsewhere}" if elsewhere else 0)
"""

pytestmark = pytest.mark.slow


def files_of(package):
    """Files of the package below a folder, as relative paths."""
    return {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with what is in the wheel, which was built from a copy of the sources."""
    work = tmp_path_factory.mktemp("wheel")
    shutil.copytree(tiny.ROOT / "mil_asc", work / "source/mil_asc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(tiny.ROOT / name, work / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(work), str(work / "source")], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "unpacked")
    return work / "unpacked"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder with the recipes and tools of the checkout, which are no part of the wheel, without the package."""
    folder = tmp_path_factory.mktemp("outside")
    made_by_runs = {"recipes": shutil.ignore_patterns("data", "results")}
    for name in ("hparams", "recipes", "tools"):
        shutil.copytree(tiny.ROOT / name, folder / name, ignore=made_by_runs.get(name))
    return folder


@pytest.fixture
def run_outside(unpacked, outside):
    """``run_outside(*words)`` runs Python in that folder with the package of the wheel."""

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *map(str, words)], cwd=outside, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_wheel_holds_every_file_of_the_package(unpacked):
    assert files_of(unpacked / "mil_asc") == files_of(tiny.ROOT / "mil_asc")
    assert (unpacked / "mil_asc/py.typed").is_file()


def test_every_module_of_the_wheel_is_imported(unpacked, run_outside):
    run_outside("-c", IMPORTS_EVERYTHING, unpacked)


def test_a_run_with_the_wheel_writes_its_report(run_outside, tmp_path):
    sizes = ["--data.train_clips=20", "--data.evaluate_clips=10", "--data.seconds=2.0"]
    words = tiny.tiny_run("recipes/SynthScenes/hparams/fuse_pnl.yaml", tmp_path / "data", tmp_path / "run", "--debug")
    yaml_file = Path(words[0]).relative_to(tiny.ROOT)
    run_outside("recipes/SynthScenes/train.py", yaml_file, *words[1:], *sizes)
    assert "</html>" in (tmp_path / "run_debug/report.html").read_text(encoding="utf-8").lower()


def test_tables_of_the_paper_are_written_with_the_wheel(run_outside, tmp_path):
    run_outside("tools/reproduce.py", "--table=all", "--no_run", "--write", tmp_path)
    pages = list(tmp_path.glob("*.html"))
    assert pages and all("</html>" in page.read_text(encoding="utf-8").lower() for page in pages)


def test_official_archives_are_known_to_the_wheel(run_outside):
    code = "from mil_asc.corpora.official import read_datasets; print(*read_datasets())"
    assert "tau2019" in run_outside("-c", code).split()
