"""Values of a reader's options that are not legal, at each of the three entries that take them: one line, status 1."""

import numpy as np
import pytest
import soundfile
import tiny

from mil_asc.corpora.evaluation_set import read_evaluation_set
from mil_asc.errors import ArgumentError, UserError
from mil_asc.runtime.key_value import read_word
from mil_asc.store.prepare import main as prepare
from mil_asc.training.entry import main as train

ILLEGAL = {
    "clip_seconds": ["-1", "[1]", "{a: 1}", "abc", "true"],
    "groups": ["[a]", "{a: 1}", "7", "nowhere.csv"],
    "evaluate_groups": ["{a: 1}", "[[a]]", "nowhere"],
    "evaluate_fraction": ["0", "1", "[0.5]", "abc"],
    "split_seed": ["-1", "1.5", "abc", "[1]"],
    "classes": ["{a: 1}", "[[dog]]", "3", "[dog, cow]"],
}
CASES = [(option, value) for option, values in ILLEGAL.items() for value in values]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of four clips."""
    root = tmp_path_factory.mktemp("options")
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    for label in ("dog", "rain"):
        (root / "data" / label).mkdir(parents=True)
        for number in range(4):
            soundfile.write(root / "data" / label / f"{number}.wav", noise, 16000)
    return root / "data"


def check_refusal(status, err):
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 1 and len(lines) == 1 and "Traceback" not in err


@pytest.mark.parametrize("option, value", CASES)
def test_train(option, value, folder, tmp_path, capsys):
    words = tiny.tiny_run("recipes/AnyFolder/hparams/fuse_pnl.yaml", folder, tmp_path / "run", "--num_classes=2")
    check_refusal(train([*words, f"--{option}={value}"]), capsys.readouterr().err)
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize("option, value", CASES)
def test_prepare(option, value, folder, tmp_path, capsys):
    block = tiny.ROOT / "hparams/data/any_folder.yaml"
    with pytest.raises(SystemExit) as caught:
        prepare(block, [str(folder), str(tmp_path / "save"), "--valid_fraction=0", f"--{option}={value}"])
    check_refusal(caught.value.code, capsys.readouterr().err)
    assert not (tmp_path / "save").exists()


@pytest.mark.parametrize("option, value", CASES)
def test_evaluation(option, value, folder):
    with pytest.raises((UserError, ArgumentError)) as caught:
        read_evaluation_set(folder, ["dog", "rain"], dict([read_word(f"--{option}={value}", "")]))
    assert "\n" not in str(caught.value)


def test_one_class_alone_is_a_name_and_not_its_letters(folder):
    corpus = read_evaluation_set(folder, ["dog", "rain"], {"classes": "dog"})
    assert corpus.counts("evaluate") == {"dog": 4}


@pytest.mark.parametrize("word", ["classes=[dog]", "--classes", "--classes=[dog", "--classes=" + "[" * 3000])
def test_words_that_are_no_options_are_refused(word):
    with pytest.raises(UserError):
        read_word(word, "give --KEY=VALUE")
