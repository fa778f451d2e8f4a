"""Options that other programs have: the right suggestion, and none where nothing is similar."""

from pathlib import Path

import pytest

from mil_asc.errors import UserError
from mil_asc.results.settings import flatten
from mil_asc.training.command_line import parse_command_line, read_command
from mil_asc.training.config import settings_tree
from mil_asc.training.habits import ANSWERS, SYNONYMS
from mil_asc.training.run_options import RUN_OPTIONS

RECIPE = Path(__file__).parents[2] / "recipes/TAU2019/hparams/fuse_pnl.yaml"


def refusal(*words):
    with pytest.raises(UserError) as caught:
        read_command([str(RECIPE), "--data_folder=x", *words])
    return str(caught.value)


@pytest.mark.parametrize(
    "word, advice",
    [
        ("--lr=0.1", "did you mean --learning_rate?"),
        ("--epochs=3", "did you mean --number_of_epochs?"),
        ("--bs=8", "did you mean --batch_size?"),
        ("--batchsize=8", "did you mean --batch_size?"),
        ("--batch-size=8", "did you mean --training.batch_size?"),
        ("--wd=0", "did you mean --weight_decay?"),
        ("--out=x", "did you mean --output_folder?"),
        ("--gpu=0", "did you mean --device=cuda?"),
        ("--gpu", "did you mean --device=cuda?"),
        ("--workers=4", "clips are decoded once and then read without worker processes"),
        ("--num_workers=4", "clips are decoded once and then read without worker processes"),
        ("--resume", "a stopped run resumes if the same command is given again"),
        ("--resume=x", "a stopped run resumes if the same command is given again"),
    ],
)
def test_habit_gets_the_right_suggestion(word, advice):
    message = refusal(word)
    assert f"; {advice}" in message and "\n" not in message


@pytest.mark.parametrize("word", ["--zzz=1", "--patience=3", "--workspace_id=7", "--model.zzz_qqq=3"])
def test_option_without_likeness_gets_no_suggestion(word):
    message = refusal(word)
    assert message.startswith(f"unknown option {word.partition('=')[0]} (") and "did you mean" not in message
    assert "--help lists all options" in message


def test_option_with_one_dash_is_refused():
    with pytest.raises(UserError, match="^unknown option -e: options begin with --"):
        parse_command_line([str(RECIPE), "-e", "5"])


def test_suggested_options_exist_and_synonyms_are_not_options():
    ends = {key.rpartition(".")[2] for key in flatten(settings_tree(RECIPE, {}))} | RUN_OPTIONS.keys()
    assert {key.partition("=")[0] for key in SYNONYMS} <= ends
    words = [word for table in (SYNONYMS, ANSWERS) for line in table.values() for word in line.split()]
    assert len(set(words)) == len(words)
    assert not set(words) & RUN_OPTIONS.keys()
