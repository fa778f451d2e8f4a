"""make, the hooks before a commit and the continuous integration agree, and leave a linked ``.venv`` alone."""

import os
import shutil
import subprocess

import pytest
import tiny
import yaml


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and what it looks at."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "setup.py", "constraints.txt", ".gitignore"):
        shutil.copy(tiny.ROOT / name, folder / name)
    return folder


@pytest.fixture
def linked_venv(checkout, tmp_path):
    """Another project's environment, which the checkout's ``.venv`` is a link to."""
    venv = tmp_path / "other/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/keep").write_text("")
    (checkout / ".venv").symlink_to(venv)
    return venv


def run(folder, *words):
    """What a command prints, apart from the options of the make that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_venv_is_made_and_removed_where_there_is_none(checkout):
    assert "-m venv --clear .venv" in run(checkout, "make", "-n", "test")
    (checkout / ".venv").mkdir()
    run(checkout, "make", "clean")
    assert not (checkout / ".venv").exists()


def test_linked_venv_is_used_and_never_installed_into_or_removed(checkout, linked_venv):
    commands = run(checkout, "make", "-n", "install", "train", "test", "test-all", "lint")
    assert "-m venv" not in commands and "pip" not in commands
    assert ".venv/bin/python -m pytest" in commands
    run(checkout, "make", "install")
    run(checkout, "make", "clean")
    assert (checkout / ".venv").is_symlink() and [path.name for path in linked_venv.rglob("*")] == ["bin", "keep"]


def test_git_ignores_a_linked_venv_and_no_part_of_the_package(checkout, linked_venv):
    run(checkout, "git", "init", "--quiet")
    for name in ("mil_asc/results/new.py", "tests/results/test_new.py", "recipes/TAU2019/results/run/log.txt"):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / name).write_text("")
    untracked = run(checkout, "git", "ls-files", "--others", "--exclude-standard").split()
    assert {"mil_asc/results/new.py", "tests/results/test_new.py", "Makefile"} <= set(untracked)
    assert not [name for name in untracked if name.startswith((".venv", "recipes"))]


def test_hooks_before_a_commit_are_those_of_make_lint(checkout):
    config = yaml.safe_load((tiny.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repo,) = config["repos"]
    assert repo["repo"] == "local" and all(hook["language"] == "system" for hook in repo["hooks"])
    (checkout / ".venv").symlink_to(checkout)
    lint = [line.removesuffix(" .") for line in run(checkout, "make", "-n", "lint").splitlines()]
    assert [hook["entry"] for hook in repo["hooks"]] == lint


def test_continuous_integration_runs_everything():
    workflow = yaml.safe_load((tiny.ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert os.access(tiny.ROOT / ".ci/run", os.X_OK)
    script = (tiny.ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make lint test-all docs train DEBUG=1" in script
