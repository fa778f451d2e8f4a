"""What was found in the lists is judged again when clips leave them."""

from dataclasses import replace
from pathlib import Path

import pytest

from mil_asc.corpora.leave_out import leave_out
from mil_asc.corpora.manifest import Clip, Corpus, inspect_lists
from mil_asc.errors import UserError


def clip(name, label, place):
    return Clip(f"{name}.wav", label, "lisbon", place, "a")


def corpus(**lists):
    train = [clip("a", "bus", "x"), clip("b", "park", "y"), clip("c", "park", "z")]
    evaluate = [clip("d", "bus", "v"), clip("e", "park", "y")]
    given = {"train": train, "evaluate": evaluate, "notes": ["from the reader"], "warnings": ["of the reader"]}
    return inspect_lists(Corpus(Path("data"), ["bus", "park"], **(given | lists)))


def test_nothing_changes_if_nothing_is_left_out():
    before = corpus()
    assert leave_out(before, {}) is before and len(before.warnings) == 2


def test_findings_about_clips_that_left_are_dropped_and_new_ones_added():
    after = leave_out(corpus(), {"a.wav": "silent", "e.wav": "empty"})
    assert [one.path for one in after.clips] == ["b.wav", "c.wav", "d.wav"]
    assert after.notes == [
        "from the reader",
        "no clips in the training set of: bus",
        "no clips in the evaluation set of: park",
    ]
    assert after.warnings == ["of the reader", "evaluated on but with no clip to train on: bus"]


@pytest.mark.parametrize(
    "paths, words", [(["a.wav", "b.wav", "c.wav"], "training set"), (["d.wav", "e.wav"], "evaluation set")]
)
def test_list_without_usable_clips_is_refused(paths, words):
    with pytest.raises(UserError, match=f"data: no usable clip is left in the {words}; fix the bad audio files"):
        leave_out(corpus(), paths)


def test_clips_without_a_training_set_are_not_judged():
    only = replace(corpus(), train=[], notes=[], warnings=[])
    after = leave_out(only, {"e.wav": "empty"})
    assert (len(after.evaluate), after.notes, after.warnings) == (1, [], [])
