"""The log and the console show names of files as text: escape codes and line ends in them are spelt out."""

import logging
from pathlib import Path

import pytest

from mil_asc.corpora.manifest import Corpus
from mil_asc.training.console import announce_corpus, start_log


@pytest.fixture
def log(tmp_path):
    """A function that closes the log and returns its text."""
    handlers = start_log(tmp_path / "log.txt")

    def text():
        for handler in handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()
        return (tmp_path / "log.txt").read_text()

    yield text
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def test_escape_codes_and_line_ends_in_notes_and_warnings_are_spelt_out(log, capsys):
    hostile = "dog/\x1b[2J\nWARNING: all is well\r.wav"
    announce_corpus(Corpus(Path("data"), ["dog"], [], [], notes=[hostile], warnings=[hostile]))
    logging.getLogger("mil_asc.test").warning("in %s", Path(hostile))
    text, shown = log(), capsys.readouterr().err
    for output in (text, shown):
        assert output.count("\n") == 3 and output.replace("\n", "").isprintable()
        assert "dog/\\x1b[2J\\nWARNING: all is well\\r.wav" in output


def test_messages_of_several_lines_keep_them(log):
    logging.getLogger("mil_asc.test").warning("one\ntwo %d", 3)
    assert log().endswith("one\ntwo 3\n")
