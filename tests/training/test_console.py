"""The log and the console show names of files as text: escape codes and line ends in them are spelt out."""

import io
import logging
from pathlib import Path

import pytest

from mil_asc.corpora.manifest import Corpus
from mil_asc.training.console import announce_corpus, print_results, start_log


@pytest.fixture
def written(tmp_path):
    """A function that returns what the log file and the console got."""
    file, console = start_log(tmp_path / "log.txt")
    console.setStream(io.StringIO())
    yield lambda: ((tmp_path / "log.txt").read_text(), console.stream.getvalue())
    for handler in (file, console):
        logging.getLogger().removeHandler(handler)
        handler.close()


def test_escape_codes_and_line_ends_in_notes_and_warnings_are_spelt_out(written):
    hostile = "dog/\x1b[2J\nWARNING: all is well\r.wav"
    announce_corpus(Corpus(Path("data"), ["dog"], [], [], notes=[hostile], warnings=[hostile]))
    logging.getLogger("mil_asc.test").warning("in %s", Path(hostile))
    for output in written():
        assert output.count("\n") == 3 and output.replace("\n", "").isprintable()
        assert output.count("dog/\\x1b[2J\\nWARNING: all is well\\r.wav\n") == 3


def test_messages_of_several_lines_keep_them(written):
    logging.getLogger("mil_asc.test").warning("one\ntwo %d", 3)
    assert all(output.endswith("one\ntwo 3\n") for output in written())


def test_printed_scores_are_those_of_the_report(capsys):
    """Every number differs from all others."""
    rules = {name: {"accuracy": k + 0.1, "macro_accuracy": k + 0.2} for k, name in enumerate(("smi", "cmi", "bag"))}
    measures = {"positive_share": 0.31, "mean_confidence": 0.32}
    results = {
        "dataset": "Set",
        "experiment": "fuse_pnl",
        "run": {"seed": 3},
        "evaluation": {"clips": 17, "log_loss": 0.33, "underestimation": measures, **rules},
        "events": {"average_precision": 0.34, "chance": 0.35},
        "floor": {"accuracy": 0.36, "macro_accuracy": 0.37, "log_loss": 0.38},
    }
    print_results(results, Path("report.html"))
    assert capsys.readouterr().out.splitlines() == [
        "Set fuse_pnl, seed 3: 17 clips in the evaluation set",
        "  SMI  accuracy 0.100  class-wise 0.200",
        "  CMI  accuracy 1.100  class-wise 1.200",
        "  BAG  accuracy 2.100  class-wise 2.200",
        "  log loss 0.330",
        "  positive instances 0.310  mean confidence of the true class 0.320",
        "  event detection: average precision 0.340 (chance 0.350)",
        "  floor: accuracy 0.360  class-wise 0.370  log loss 0.380 "
        "(linear classifier on the mean and deviation of each mel bin)",
        "  report: report.html",
    ]
