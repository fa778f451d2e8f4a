"""Long recordings cut into pieces: their names, their samples, the lists they belong to."""

import pickle

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.corpora.class_folders import read_class_folders
from mil_asc.corpora.manifest import Corpus
from mil_asc.errors import UserError
from mil_asc.store.batches import ClipDataset, ResidentWaveforms
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.segments import CutWaveforms, cut_recordings, decode_clip, piece_starts, split_name

RATE = 8000


PIECES = {
    "a/1.wav": ["a/1.wav"],
    "a/2.flac": ["a/2.flac"],
    "a/3.ogg": ["a/3.ogg"],
    "b/1.mp3": ["b/1.mp3@0", "b/1.mp3@1", "b/1.mp3@2"],
    "b/2.aiff": ["b/2.aiff@0", "b/2.aiff@1", "b/2.aiff@2", "b/2.aiff@3", "b/2.aiff@4"],
    "b/3.wav": ["b/3.wav@0", "b/3.wav@1"],
}


@pytest.fixture
def recordings(tmp_path):
    """Recordings of 0.4 to 4.6 s in five formats: their corpus (pieces of 1 s), waveform store, and samples."""
    rng = np.random.default_rng(0)
    seconds = {"a/1.wav": 0.4, "a/2.flac": 1.0, "a/3.ogg": 1.4, "b/1.mp3": 3.0, "b/2.aiff": 4.6, "b/3.wav": 1.5}
    for path, length in seconds.items():
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "data" / path, 0.1 * rng.normal(size=round(length * RATE)), RATE)
    corpus = read_class_folders(tmp_path / "data", clip_seconds=1.0, evaluate_fraction=0.4)
    store = prepare_waveforms(
        tmp_path / "data", [clip.path for clip in corpus.clips], tmp_path / "cache", RATE, progress=False
    )
    assert not store.bad
    return corpus, store


@given(st.integers(1, 400), st.integers(1, 60))
def test_pieces_hold_every_sample_once_and_are_of_similar_length(length, piece):
    starts = piece_starts(length, piece)
    ends = [*starts[1:], length]
    assert starts[0] == 0 and all(end - start == piece for start, end in zip(starts[:-1], ends[:-1]))
    last = ends[-1] - starts[-1]
    assert 2 * last < 3 * piece and (2 * last >= piece or len(starts) == 1)


def test_recordings_are_cut_and_no_piece_leaves_its_list(recordings):
    corpus, store = recordings
    cut, pieces = cut_recordings(store, corpus, min_samples=RATE // 2)
    assert cut.pieces == PIECES and sorted(cut.paths) == sorted(sum(PIECES.values(), []))
    for name in ("train", "evaluate"):
        assert [clip.path for clip in getattr(pieces, name)] == [
            p for clip in getattr(corpus, name) for p in PIECES[clip.path]
        ]
    assert pieces.notes == [*corpus.notes, "3 recordings are cut into 10 pieces of 1 s"]
    assert {clip.location for clip in pieces.clips} == {clip.location for clip in corpus.clips}


def test_pieces_laid_end_to_end_are_the_recording(recordings):
    corpus, store = recordings
    cut, _ = cut_recordings(store, corpus)
    for path, pieces in PIECES.items():
        whole_N = store.read_one(store.row(path))
        assert np.array_equal(np.concatenate([cut.read_one(cut.row(name)) for name in pieces]), whole_N)
    assert cut.nbytes == store.nbytes
    assert cut.lengths[cut.row("b/2.aiff@4")] == 0.6 * RATE and cut.lengths[cut.row("a/3.ogg")] == 1.4 * RATE


def test_piece_decoded_by_its_name_is_that_of_the_store(recordings):
    corpus, store = recordings
    cut, _ = cut_recordings(store, corpus)
    for name in cut.paths:
        wav_N = decode_clip(corpus.folder, name, RATE, clip_seconds=1.0)
        np.testing.assert_allclose(wav_N, cut.read_one(cut.row(name)), atol=float(cut.scales[cut.row(name)]))
    assert split_name("b/2.aiff@4") == ("b/2.aiff", 4.0)
    for name in ("b/2.aiff@5", "b/2.aiff@0.5"):
        with pytest.raises(UserError, match="b/2.aiff has no piece at"):
            decode_clip(corpus.folder, name, RATE, clip_seconds=1.0)


def test_cut_store_may_be_pickled_and_copied_to_a_device(recordings):
    corpus, store = recordings
    cut, pieces = cut_recordings(store, corpus)
    again = pickle.loads(pickle.dumps(cut))
    rows = [cut.row(clip.path) for clip in pieces.clips]
    batches = [
        ClipDataset(each, rows, pieces.clips, pieces.labels).__getitems__([5, 0, 11, 3])
        for each in (cut, again, ResidentWaveforms(cut, "cpu"))
    ]
    for other in batches[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(batches[0], other))
    assert isinstance(again, CutWaveforms) and again.pieces == PIECES


def test_recordings_are_unchanged_where_clip_seconds_is_0(recordings):
    corpus, store = recordings
    whole = Corpus(corpus.folder, corpus.labels, corpus.train, corpus.evaluate)
    assert cut_recordings(store, whole, RATE) == (store, whole)


def test_pieces_too_short_for_the_model_are_refused(recordings):
    corpus, store = recordings
    with pytest.raises(UserError, match="clip_seconds=1 is too short for this model: it must be at least 1.001"):
        cut_recordings(store, corpus, min_samples=RATE // 2 + 4)
