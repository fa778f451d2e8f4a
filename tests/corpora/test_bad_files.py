"""Files that are missing from a list are found without opening any, and named up to a limit."""

import os
import tracemalloc

import pytest

from mil_asc.corpora.bad_files import describe_bad, missing_files
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.manifest import Clip, Corpus

LABELS = ["airport", "park", "tram"]


def test_missing_files_are_found_and_others_are_not(dcase_folder):
    corpus = read_dcase_folder(dcase_folder, LABELS)
    assert missing_files(corpus) == {}
    (dcase_folder / corpus.train[1].path).unlink()
    (dcase_folder / corpus.evaluate[0].path).unlink()
    (dcase_folder / corpus.evaluate[0].path).symlink_to("nowhere.wav")
    (dcase_folder / corpus.evaluate[1].path).write_bytes(b"")
    lost = [corpus.train[1].path, corpus.evaluate[0].path]
    assert missing_files(corpus) == dict.fromkeys(lost, "no such file")


def test_missing_folder_and_a_file_in_place_of_it_count_as_missing(dcase_folder):
    corpus = read_dcase_folder(dcase_folder, LABELS)
    (dcase_folder / "audio").rename(dcase_folder / "sound")
    assert len(missing_files(corpus)) == 12
    (dcase_folder / "audio").touch()
    assert len(missing_files(corpus)) == 12


def test_file_that_may_not_be_looked_at_is_left_to_the_decoder(dcase_folder, monkeypatch):
    corpus = read_dcase_folder(dcase_folder, LABELS)

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refuse)
    assert missing_files(corpus) == {}


@pytest.mark.parametrize("count, end", [(1, "00000.wav: lost"), (20, "00019.wav: lost"), (10_000, " (and 9980 more)")])
def test_twenty_bad_files_are_named_and_all_are_counted(count, end):
    message = describe_bad("data", {f"{i:05}.wav": "lost" for i in range(count)})
    assert message.startswith(f"{count} bad audio file(s): data/00000.wav: lost")
    assert message.count("lost") == min(count, 20) and message.endswith(end)


def test_a_hundred_thousand_missing_files_are_counted_in_a_short_message_and_little_memory(tmp_path):
    clips = [Clip(f"audio/{number}.wav", "park", "lisbon", "place", "a") for number in range(100_000)]
    tracemalloc.start()
    bad = missing_files(Corpus(tmp_path, ["park", "tram"], clips, evaluate=[]))
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    message = describe_bad(tmp_path, bad)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert len(bad) == 100_000 and found < 100_000 * 600  # bytes: 0.6 GB for a million files
    assert message.startswith("100000 bad audio file(s): ") and message.endswith("(and 99980 more)")
    assert len(message) < 5000 and peak < 100_000
