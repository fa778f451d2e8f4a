"""Messages are one line that a terminal shows and does not obey."""

import pytest

from mil_asc.errors import AudioError, UserError, name_some, printable


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\n", "\r", "\x07", "\x9b31m", "\u202e", "\u2028", "\udcff", "\0"])
def test_control_characters_in_a_message_are_spelt_out(hostile):
    for error in (UserError, AudioError):
        text = str(error(f"dog/{hostile}bark.wav: no such file"))
        assert hostile not in text and text.isprintable() and text.isascii() and "\\" in text


def test_names_in_any_script_stay_as_they_are():
    for text in ("café/Straße 3.wav", "犬/吠える.wav", "a\u00a0b.wav", "back\\slash.wav"):
        assert printable(text) == text


def test_some_names_are_given_and_all_are_counted():
    assert name_some(range(3)) == "0, 1, 2"
    assert name_some(range(25)) == ", ".join(map(str, range(20))) + " (and 5 more)"
