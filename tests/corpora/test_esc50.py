"""The reader of ESC-50: official folds, the subset ESC-10, and tables that cannot be used."""

from pathlib import Path

import pytest

from mil_asc.corpora.esc50 import read_esc50
from mil_asc.corpora.evaluation_set import read_evaluation_set
from mil_asc.corpora.group_folds import choose_fold
from mil_asc.errors import UserError

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data/esc50"
SOUNDS = ((0, "dog"), (3, "cow"))
HEADER = "filename,fold,target,category,esc10,src_file,take"


def write_meta(folder, *lines):
    (folder / "meta").mkdir(exist_ok=True)
    (folder / "meta/esc50.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three classes in folds 1 to 3, one of them in ESC-10; recording 7 is in two folds."""
    return write_meta(
        tmp_path,
        *(
            "1-5-A-0.wav,1,0,dog,TRUE,5,A",
            "1-6-A-14.wav,1,14,chirping_birds,FALSE,6,A",
            "1-7-A-3.wav,1,3,cow,FALSE,7,A",
        ),
        *("2-8-A-0.wav,2,0,dog,TRUE,8,A", "2-7-B-3.wav,2,3,cow,FALSE,7,B", "3-9-A-0.wav,3,0,dog,TRUE,9,A"),
    )


def test_table_of_the_archive_has_true_and_false_in_small_letters(folder):
    """The archive says True where copies that passed through a spreadsheet say TRUE."""
    table = folder / "meta/esc50.csv"
    capitals = read_esc50(folder, subset="esc10", evaluate_fold=3)
    table.write_text(table.read_text().replace("TRUE", "True").replace("FALSE", "False"))
    assert read_esc50(folder, subset="esc10", evaluate_fold=3) == capitals and capitals.labels == ["dog"]


def test_one_fold_is_evaluated_and_the_others_are_trained_on(folder):
    corpus = read_esc50(folder, evaluate_fold=2)
    assert corpus.labels == ["dog", "cow", "chirping_birds"]  # in the order of their official numbers
    assert [clip.path for clip in corpus.evaluate] == ["audio/2-8-A-0.wav", "audio/2-7-B-3.wav"]
    assert [clip.location for clip in corpus.train] == ["fold-1/5", "fold-1/6", "fold-1/7", "fold-3/9"]
    assert any("official fold(s) 4, 5: these scores are not comparable" in note for note in corpus.notes)
    assert any("1 recording(s) have clips in two folds, 7 for one" in warning for warning in corpus.warnings)


def test_a_fold_or_all_of_it_evaluates_a_model_of_its_classes(folder):
    labels = ["cow", "chirping_birds", "dog"]
    paths = [clip.path for clip in read_evaluation_set(folder, labels, {"evaluate_fold": 2}).evaluate]
    assert paths == ["audio/2-8-A-0.wav", "audio/2-7-B-3.wav"]
    assert len(read_evaluation_set(folder, labels, {}, clips="all").evaluate) == 6
    of_esc10 = read_evaluation_set(folder, ["dog"], {"subset": "esc10"})
    assert [clip.path for clip in of_esc10.evaluate] == ["audio/1-5-A-0.wav"] and of_esc10.labels == ["dog"]
    with pytest.raises(UserError, match="chirping_birds"):
        read_evaluation_set(folder, ["dog", "cow"], {})
    with pytest.raises(
        UserError, match="--fold has no effect on .*, which is the layout of ESC-50: .* --evaluate_fold, "
    ):
        read_evaluation_set(folder, labels, {"fold": 2})


def test_names_that_contradict_the_table_are_warned_of(tmp_path):
    rows = [f"{fold}-{c}-A-{c}.wav,{fold},{c},class{c},False,{fold}{c},A" for fold in (1, 2) for c in (0, 1)]
    rows[3] = "2-1-A-0.wav,2,1,class1,False,21,A"
    write_meta(tmp_path, *rows)
    words = "1 file(s) have a name of another fold or class than meta/esc50.csv states: 2-1-A-0.wav (fold 2, target 1)"
    assert words in read_esc50(tmp_path).warnings


def test_the_subset_has_its_classes_alone(folder):
    corpus = read_esc50(folder, subset="esc10", evaluate_fold=3)
    assert corpus.labels == ["dog"] and len(corpus.train) == 2 and len(corpus.evaluate) == 1
    assert not any("two folds" in warning for warning in corpus.warnings)


def test_cross_validation_uses_the_official_folds(tmp_path):
    lines = [
        f"{fold}-{fold}{t}-A-{t}.wav,{fold},{t},{name},TRUE,{fold}{t},A" for fold in (1, 2, 3) for t, name in SOUNDS
    ]
    corpus = read_esc50(write_meta(tmp_path, *lines))
    for fold in (1, 2, 3):
        chosen = choose_fold(corpus, folds=3, fold=fold)
        assert {clip.location.partition("/")[0] for clip in chosen.evaluate} == {f"fold-{fold}"}
        about = f"fold {fold} of 3: 1 of 3 groups are the evaluation set, fold-{fold}: "
        assert any(note.startswith(about) for note in chosen.notes)
    drawn = choose_fold(corpus, folds=2, fold=1)  # recordings, since there are three official folds
    assert len({clip.location.partition("/")[0] for clip in drawn.evaluate}) > 1
    assert any("(seed 1)" in note for note in drawn.notes)


@pytest.mark.parametrize(
    "line, words",
    [
        ("9-1-A-0.wav,9,0,dog,TRUE,1,A", "line 2: fold must be a whole number from 1 to 5, got '9'"),
        ("1-1-A-0.wav,1,50,dog,TRUE,1,A", "line 2: target must be a whole number from 0 to 49, got '50'"),
        ("1-1-A-0.wav,1,0,dog,yes,1,A", "line 2: esc10 must be True or False, got 'yes'"),
        ("../1-1-A-0.wav,1,0,dog,TRUE,1,A", "line 2: "),
    ],
)
def test_values_that_are_not_legal_are_refused(tmp_path, line, words):
    with pytest.raises(UserError, match=words):
        read_esc50(write_meta(tmp_path, line))


def test_tables_that_contradict_themselves_are_refused(tmp_path):
    first = "1-1-A-0.wav,1,0,dog,TRUE,1,A"
    with pytest.raises(UserError, match="line 3: 1-1-A-0.wav is there twice"):
        read_esc50(write_meta(tmp_path, first, first))
    with pytest.raises(UserError, match="class dog has two numbers"):
        read_esc50(write_meta(tmp_path, first, "2-2-A-1.wav,2,1,dog,TRUE,2,A"))
    with pytest.raises(UserError, match="two classes have the same number"):
        read_esc50(write_meta(tmp_path, first, "2-2-A-0.wav,2,0,cat,TRUE,2,A"))


def test_a_fold_that_is_missing_is_named(folder, tmp_path):
    with pytest.raises(UserError, match="fold 5 and one more are needed; there are clips of the folds: 1, 2, 3"):
        read_esc50(folder, evaluate_fold=5)
    with pytest.raises(UserError, match="there is no meta/esc50.csv; give the folder that holds it"):
        read_esc50(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="subset must be one of esc50, esc10"):
        read_esc50(folder, subset="esc5")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings of ESC-50 are not there")
def test_the_official_table_is_read():
    corpus = read_esc50(SHARED, evaluate_fold=4)
    assert len(corpus.labels) == 50 and len(corpus.train) == 1200 and len(corpus.evaluate) == 400
    assert corpus.labels[:3] == ["dog", "rooster", "pig"]
    esc10 = read_esc50(SHARED, subset="esc10", evaluate_fold=4)
    assert len(esc10.labels) == 10 and len(esc10.train) == 240 and len(esc10.evaluate) == 80
    assert len({clip.location for clip in corpus.evaluate}) > 250  # recordings, for intervals
