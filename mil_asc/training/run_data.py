"""The data of a run: lists read, clips decoded once, and what cannot be used left out."""

import logging
from dataclasses import dataclass, field, replace

import numpy as np

from mil_asc.corpora.bad_files import describe_bad, missing_files
from mil_asc.corpora.group_folds import read_lists
from mil_asc.corpora.json_manifests import measure_durations, read_manifests
from mil_asc.corpora.leave_out import leave_out
from mil_asc.corpora.manifest import Corpus
from mil_asc.corpora.remote_folder import RemoteFolder
from mil_asc.corpora.remote_lists import reader_of_url
from mil_asc.errors import ArgumentError, AudioError, UserError, name_some
from mil_asc.runtime.remote_files import is_url, refuse_url
from mil_asc.store.batches import ClipDataset, place_waveforms
from mil_asc.store.build import prepare_waveforms
from mil_asc.store.read import WaveformStore
from mil_asc.store.segments import cut_recordings

logger = logging.getLogger(__name__)

ON_BAD_AUDIO = ("stop", "skip")
MOST_LONGER = 1.1
"""Times the official length from which clips count as longer."""
DURATION_SLACK = 0.01  # s, and share: headers of compressed files are estimates


@dataclass
class RunData:
    """Clips that are ready to be trained and evaluated on.

    ``corpus``: the lists, of pieces where recordings are cut; ``store``: their waveforms on the host; ``waveforms``:
    the same, or a copy on the device; ``bad_audio``: clips left out, path -> reason.
    """

    corpus: Corpus
    store: WaveformStore
    waveforms: object
    bad_audio: dict = field(default_factory=dict)

    def dataset(self, name):
        """``ClipDataset`` of one of the corpus's lists."""
        return self.dataset_of(getattr(self.corpus, name))

    def dataset_of(self, clips):
        """``ClipDataset`` of some of the corpus's clips."""
        rows = [self.store.row(clip.path) for clip in clips]
        return ClipDataset(self.waveforms, rows, clips, self.corpus.labels)


def read_corpus(data):
    """The lists of a built data block: from its reader (one of their folds), or from the manifests it names."""
    try:
        if not data["manifests"]:
            return read_lists(_with_reader_of_url(data))
    except ArgumentError as error:
        raise UserError(f"data: {error}") from error
    for key in ("manifests", "data_folder"):
        refuse_url(key, data[key])
    given = data["data_folder"] != data["manifests"]  # else it only replaces the recipe's placeholder
    corpus = read_manifests(data["manifests"], data["data_folder"] if given else None)
    if corpus.validation and data["validation_fraction"]:
        raise UserError(f"{data['manifests']} has a validation set already: leave out validation_fraction")
    return corpus


def _with_reader_of_url(data):
    """The data block; where its data folder is a URL, with a reader that lists it first."""
    if not is_url(data["data_folder"]):
        return data
    return {**data, "corpus": reader_of_url(data["corpus"], data["data_folder"], data["cache_folder"])}


def decode_clips(corpus, cache_folder, on_bad_audio, network, progress=True):
    """Decode every clip of a corpus that is not in the waveform store yet, and leave out what cannot be used.

    Arguments
    ---------
    corpus : Corpus
        The lists, of whole recordings.
    cache_folder : str or Path
        Where waveform stores are.
    on_bad_audio : str
        ``stop`` raises an ``AudioError`` if a recording cannot be used, ``skip`` leaves it out. Where files are
        missing, ``stop`` names them together with those whose headers are bad, before any file is decoded.
    network : MILClassifier
        Its sampling rate and shortest clip decide what can be used.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    (Corpus, WaveformStore, dict)
        The lists without bad recordings, judged again; the store; bad recordings, path -> reason.
    """
    missing = missing_files(corpus)
    if missing and on_bad_audio == "stop":  # then decoding, which takes long, would be in vain
        is_local = not isinstance(corpus.folder, RemoteFolder)  # headers are read where they are near
        _check_bad(corpus, measure_durations(corpus)[1] if is_local else missing, on_bad_audio)
    there = leave_out(corpus, missing)
    paths = [clip.path for clip in there.clips]
    rate = network.front_end.sample_rate
    store = prepare_waveforms(corpus.folder, paths, cache_folder, sample_rate=rate, progress=progress)
    bad = missing | store.bad | _too_short(store, network.min_samples)
    _check_bad(corpus, bad, on_bad_audio)
    if bad:
        logger.warning("WARNING: left out: %s", describe_bad(corpus.folder, bad))
    corpus = leave_out(corpus, bad)
    doubts = [*_other_durations(corpus, store), *_long_clips(corpus, store)]
    return replace(corpus, warnings=corpus.warnings + doubts), store, bad


def _other_durations(corpus, store):
    """A warning that names recordings which are not as long as their manifest states; no warnings if there are none."""
    rate, found = store.sample_rate, []
    for clip in corpus.clips if corpus.durations else []:
        seconds, stated = store.lengths[store.row(clip.path)] / rate, corpus.durations[clip.path]
        if abs(seconds - stated) > DURATION_SLACK * (1 + stated):
            found.append(f"{clip.path} ({seconds:.2f} s, not {stated:.2f} s)")
    words = "recording(s) are not as long as their manifest states, and are used in full"
    return [f"{len(found)} {words}: {name_some(found, 5)}"] if found else []


def _long_clips(corpus, store):
    """A warning if clips are longer than those of the official data set: of another set, they take much memory."""
    if not corpus.official_seconds:
        return []
    rows = np.array([store.row(clip.path) for clip in corpus.clips])
    seconds_B = store.lengths[rows] / store.sample_rate
    longer = int((seconds_B > MOST_LONGER * corpus.official_seconds).sum())
    if not longer:
        return []
    return [
        f"{longer} of {len(rows)} recordings are longer than this data set's clips of {corpus.official_seconds:g} s, "
        f"up to {seconds_B.max():.1f} s: another data set? They take as much more memory and time"
    ]


def _check_bad(corpus, bad, on_bad_audio):
    """Raise an ``AudioError`` where there are bad files and these are not to be skipped."""
    if bad and on_bad_audio == "stop":
        described = describe_bad(corpus.folder, bad)
        raise AudioError(f"{described}; fix them, or leave them out with --on_bad_audio=skip")


def _too_short(store, least):
    """Clips too short for one instance: path -> reason. The store keeps them, because other models may use them."""
    rate = store.sample_rate
    return {
        path: f"too short: {length / rate:.3f} s, at least {least / rate:.3f} s needed"
        for path, length in zip(store.paths, store.lengths.tolist())
        if length < least
    }


def place_clips(corpus, store, bad_audio, network, device):
    """``RunData`` of decoded recordings: cut into pieces, and on the device if they fit."""
    store, corpus = cut_recordings(store, corpus, network.min_samples)
    waveforms = place_waveforms(store, device)
    logger.info("waveforms are read from %s", "the GPU" if waveforms is not store else store.folder)
    return RunData(corpus, store, waveforms, bad_audio)
