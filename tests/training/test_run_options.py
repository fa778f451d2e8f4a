"""Run options: the lists agree with SpeechBrain's, and what does not work is refused with the reason."""

import dataclasses
import typing

import pytest
from speechbrain.utils.run_opts import RunOptions

from mil_asc.errors import UserError
from mil_asc.training.command_line import parse_command_line
from mil_asc.training.run_options import REFUSED_OPTIONS, RUN_OPTIONS

SET_IN_CODE = {"param_file", "overridden_args"}


def test_every_run_option_of_speechbrain_is_listed_once():
    names = [field.name for field in dataclasses.fields(RunOptions)]
    assert sorted([*RUN_OPTIONS, *REFUSED_OPTIONS, *SET_IN_CODE]) == sorted(names)


@pytest.mark.parametrize("name", RUN_OPTIONS)
def test_type_and_default_are_those_of_speechbrain(name):
    option, kind = RUN_OPTIONS[name], typing.get_type_hints(RunOptions)[name]
    if option.choices:
        assert typing.get_args(kind) == option.choices and option.kind is str
    else:
        assert option.kind in (kind, *typing.get_args(kind))
    assert option.default == getattr(RunOptions, name)


@pytest.mark.parametrize("name", REFUSED_OPTIONS)
@pytest.mark.parametrize("form", ["--{}", "--{}=1"])
def test_option_that_does_not_work_is_refused_with_the_reason(name, form):
    with pytest.raises(UserError, match=f"^--{name} does not work here: .+$"):
        parse_command_line(["recipe.yaml", form.format(name)])
