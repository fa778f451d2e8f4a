"""The command ``mil-asc``: help, exit statuses, completion, and what it imports."""

import os
import subprocess
import sys

import pytest
from calls import start
from click.shell_completion import BashComplete

import mil_asc as package
from mil_asc.cli.main import COMMANDS, commands
from mil_asc.packaging.sources import shipped_models

IMPORTS = """
import sys
from mil_asc.cli.main import main
assert main(sys.argv[1:]) == 0
heavy = {"torch", "speechbrain", "scipy", "sklearn", "matplotlib", "safetensors", "onnx", "jinja2", "ruamel", "tqdm",
         "requests", "filelock", "huggingface_hub", "pandas", "pyarrow"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_help_names_every_command(mil_asc):
    status, out, _ = mil_asc("--help")
    assert status == 0 and all(f"  {name} " in out for name in COMMANDS)
    assert "_MIL_ASC_COMPLETE=bash_source" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_examples(mil_asc, name):
    status, out, _ = mil_asc(name, "--help")
    assert status == 0 and f"mil-asc {name} " in out.partition("Examples:")[2]
    assert all(len(line) <= 100 for line in out.splitlines())


def test_version(mil_asc):
    assert mil_asc("--version")[:2] == (0, f"mil-asc {package.__version__}\n")


@pytest.mark.parametrize("words", [["clasify"], ["classify"], ["classify", "a.wav", "--fromat", "csv"]])
def test_wrong_usage_is_status_2(mil_asc, words):
    status, out, err = mil_asc(*words)
    assert status == 2 and out == "" and "Error: " in err and "Traceback" not in err


@pytest.mark.parametrize("number", ["nan", "inf", "-NaN", "1e999"])
@pytest.mark.parametrize(
    "words",
    [
        "classify a.wav --timeline",
        "classify a.wav --rejected",
        "explain a.wav --to a.html --minutes",
        "live a.wav --window",
        "export a --to a.onnx --network-only --seconds",
        *(f"serve --{name}" for name in ("megabytes", "minutes", "seconds", "memory")),
    ],
)
def test_number_that_is_not_finite_is_wrong_usage_of_its_option(mil_asc, words, number):
    *words, option = words.split()
    status, out, err = mil_asc(*words, f"{option}={number}", "--model=a" if words[0] != "export" else "-q")
    assert status == 2 and out == "" and f"Invalid value for '{option}'" in err


def test_no_model_is_used_by_default_and_the_shipped_ones_are_listed(mil_asc, recordings):
    status, out, err = mil_asc("classify", recordings)
    assert status == 2 and out == ""
    assert "--model" in err and "MIL_ASC_MODEL" in err and all(name in err for name in shipped_models())


def test_environment_may_name_the_model(mil_asc, recordings, model, monkeypatch):
    monkeypatch.setenv("MIL_ASC_MODEL", model)
    status, out, _ = mil_asc("classify", recordings / "b.wav")
    assert status == 0 and "b.wav" in out


def test_unknown_model_is_refused_in_one_line(mil_asc, recordings):
    status, out, err = mil_asc("classify", recordings, "--model", "no-such-model")
    assert status == 1 and out == "" and err.startswith("error: no-such-model: ") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["classify", "FILE"], ["explain", "FILE", "--to", "PAGE"], ["info"]])
def test_onnx_runtime_needs_no_package_of_training(words, recordings, model, tmp_path):
    names = {"FILE": recordings / "b.wav", "PAGE": tmp_path / "page.html"}
    words = [str(names.get(word, word)) for word in words]
    if words == ["info"]:
        words.append(f"{model}/model.onnx")
    environment = os.environ | {"MIL_ASC_MODEL": model}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; from mil_asc.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize(
    "words",
    [
        ["classify", "a.wav", "--backend", "torch"],
        ["pack", "run", "--to", "new"],
        ["evaluate", "FOLDER", "--data", "d", "--to", "o"],
        ["export", "FOLDER", "--to", "a.onnx"],
    ],
)
def test_command_that_needs_pytorch_says_so_in_one_line(words, model, tmp_path):
    words = [model if word == "FOLDER" else word for word in words]
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    environment = os.environ | {"MIL_ASC_MODEL": model}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "torch" in done.stderr.lower()


def test_shell_completion_completes_commands_and_options():
    def completed(words, position):
        environment = os.environ | {
            "_MIL_ASC_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
        command = [sys.executable, "-m", "mil_asc.cli.main"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    assert completed("mil-asc cl", 1).split() == ["plain,classify"]
    assert "plain,--timeline" in completed("mil-asc classify --t", 2)
    assert completed("mil-asc classify --format au", 3).split() == ["plain,audacity"]


def test_closed_pipe_is_no_traceback(recordings, model):
    process = start("classify", recordings, "--model", model, "--format", "jsonl")
    process.stdout.close()
    with process.stderr as stderr:
        err = stderr.read()
    assert process.wait() == 141 and "Traceback" not in err


@pytest.mark.parametrize(
    "words, typed, expected",
    [
        (["classify", "a.wav", "--model"], "syn", ["synthscenes-fuse-pnl"]),
        (["info"], "", shipped_models()),
        (["export"], "esc", ["esc10-fuse"]),
        (["evaluate"], "esc", ["esc10-fuse"]),
        (["info"], "./my", ["./my"]),  # the shell completes folders
    ],
)
def test_models_are_completed(words, typed, expected):
    complete = BashComplete(commands, {}, "mil-asc", "_MIL_ASC_COMPLETE")
    assert [item.value for item in complete.get_completions(words, typed)] == expected


def test_info_without_a_model_names_one(mil_asc):
    status, out, err = mil_asc("info")
    assert status == 2 and out == "" and "mil-asc info esc10-fuse" in err and "--model" not in err
