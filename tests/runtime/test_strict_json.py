"""JSON is read as the standard library reads it, and what that lets pass is refused in one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.errors import UserError
from mil_asc.runtime.strict_json import MOST_DEPTH, parse_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_values_are_read_as_they_were_written(value):
    assert parse_json(json.dumps(value), "a") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), "a") == value


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' stands twice"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e400]", "is too large"),
        ("9" * 5000, "digits"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "nested deeper"),
        (b"\xff\xfe", "codec"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
    ],
)
def test_what_the_standard_library_lets_pass_is_refused(text, words):
    with pytest.raises(UserError, match="^file is no legal JSON: ") as caught:
        parse_json(text, "file")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_brackets_within_text_do_not_count():
    value = {"a": "[" * 500 + '"{' * 50 + "\\"}
    assert parse_json(json.dumps(value), "a") == value
    deepest = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(deepest, "a") == json.loads(deepest)
