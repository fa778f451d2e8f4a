"""``train.py --help``: run options, and with a YAML file its keys with their values and comments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mil_asc.results.settings import changed_settings
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.config import resolve_settings
from mil_asc.training.entry import main
from mil_asc.training.run_options import RUN_OPTIONS

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/*/hparams/*.yaml"))
RECIPE = str(ROOT / "recipes/AnyFolder/hparams/fuse_pnl.yaml")


def printed(capsys, *words):
    assert main([*words, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_help_without_a_file_lists_the_run_options(capsys):
    out = printed(capsys)
    assert all(f"  --{name}" in out for name in RUN_OPTIONS) and "Keys of" not in out


@pytest.mark.parametrize(
    "line",
    [
        r"--learning_rate=0.06",
        r"--data_folder=REQUIRED",
        r"--max_grad_norm=-1.0 +off; the paper does not clip gradients",
        r"--log_floor=1e-05",
        r"--folds=0 +cross-validation: number of folds, which are trained one after the other",
        r"--fold=0 +of the folds, train this one alone; 0: all",
        r"--pooling_options=\"{}\" +such as {k: 3} for top_k_mean, .*",
        r"--classes=\"\[\]\" +sub-folders to use, in the order of the model's outputs; empty: all, sorted",
    ],
)
def test_help_lists_keys_with_values_and_comments(capsys, line):
    assert re.search(rf"(?m)^  {line}$", printed(capsys, RECIPE))


def test_help_shows_the_headings_of_blocks(capsys):
    assert re.search(r"(?m)^model.head: From feature map to bag \(paper, Fig. 2\).*", printed(capsys, RECIPE))


def test_help_shows_chosen_blocks_and_given_values(capsys):
    out = printed(capsys, RECIPE, "--model=bc_resnet", "--batch_size=7")
    assert "  --bands=4\n" in out and "--num_blocks=" not in out.partition("Keys of")[2] and "  --batch_size=7\n" in out


def test_help_with_a_mistyped_option_is_refused(capsys):
    assert main([RECIPE, "--help", "--bathc_size=7"]) == 1
    assert "did you mean --training.batch_size?" in capsys.readouterr().err


def test_code_is_not_offered(capsys):
    out = printed(capsys, RECIPE).partition("Keys of")[2]
    assert not re.search(r"--(network|brain|optimizer|corpus|front_end|lr|__set_seed)=", out)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_every_listed_key_can_be_set_to_the_listed_value(capsys, path):
    lines = printed(capsys, str(path)).partition("Keys of")[2].splitlines()
    words = [re.split(r"(?<=\S)  +", line.strip())[0].replace('"', "") for line in lines if line.startswith("  --")]
    assert len(words) > 25
    words = [word.replace("REQUIRED", "x") for word in words if not word.endswith("=")]
    plain, given = (resolve_settings(path, parse_command_line([str(path), *some])[2]) for some in (words[:3], words))
    assert changed_settings(plain, given) == {}


def test_a_reader_may_close_the_pipe_before_the_help_ends():
    command = f"{sys.executable} train.py hparams/fuse_pnl.yaml --help | head -1"
    folder = ROOT / "recipes/SynthScenes"
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python train.py") and done.stderr == ""
