"""Long recordings cut into pieces, each a row of the waveform store; a recording is decoded and stored once.

A piece is called ``FILE@START`` (in seconds). Shapes: N samples.
"""

import logging
import re
from pathlib import Path

import numpy as np

from mil_asc.audio.decode import decode
from mil_asc.errors import UserError
from mil_asc.store.read import WaveformStore

logger = logging.getLogger(__name__)


def piece_starts(length, piece):
    """First samples of the pieces of a recording, all but the last ``piece`` samples long.

    The pieces hold every sample once. A remainder of less than half a piece stays with the piece before it, so
    that none is shorter than half of ``piece`` (unless the recording itself is) or longer than 1.5 of it.

    Example
    -------
    >>> piece_starts(24, 10), piece_starts(25, 10), piece_starts(3, 10)
    ([0, 10], [0, 10, 20], [0])
    """
    count = max(1, (2 * length + piece) // (2 * piece))
    return list(range(0, count * piece, piece))


def piece_names(path, starts, sample_rate):
    """Names of the pieces of the file ``path`` at ``starts`` (in samples); one that is not cut keeps its path.

    Example
    -------
    >>> piece_names("park/a.ogg", [0, 168000], 16000)
    ['park/a.ogg@0', 'park/a.ogg@10.5']
    """
    if len(starts) == 1:
        return [path]
    return [f"{path}@{round(start / sample_rate, 3):.10g}" for start in starts]


def split_name(name):
    """File and start (in seconds) of a clip by its name; the start is None for a whole recording.

    Example
    -------
    >>> split_name("park/a.ogg@10.5"), split_name("park/a@2.ogg")
    (('park/a.ogg', 10.5), ('park/a@2.ogg', None))
    """
    found = re.fullmatch(r"(.+)@(\d+(?:\.\d+)?)", name, flags=re.DOTALL)
    return (found[1], float(found[2])) if found else (name, None)


def decode_clip(folder, name, sample_rate=16000, clip_seconds=0.0):
    """Samples of a clip by its name, from the audio file itself.

    Arguments
    ---------
    folder : str or Path
        The data folder.
    name : str
        As in a report: the path of a file, or ``FILE@START``.
    sample_rate : int
        Rate of the result (in Hz).
    clip_seconds : float
        Length that the recordings were cut at (in seconds).

    Returns
    -------
    numpy.ndarray
        float32 (N,).

    Raises
    ------
    AudioError
        As ``mil_asc.audio.decode.decode``.
    UserError
        The recording has no such piece.
    """
    file, start = split_name(name)
    wav_N = decode(Path(folder) / file, sample_rate)
    if start is None:
        return wav_N
    starts = piece_starts(len(wav_N), max(1, round(clip_seconds * sample_rate)))
    names = piece_names(file, starts, sample_rate)
    if name not in names:
        raise UserError(f"{folder}: {file} has no piece at {start:g} s when it is cut at {clip_seconds:g} s")
    place = names.index(name)
    return wav_N[starts[place] : [*starts, len(wav_N)][place + 1]]


class CutWaveforms(WaveformStore):
    """A finished waveform store whose rows are the pieces of its recordings.

    Its attributes are those of ``WaveformStore``, of pieces; ``pieces`` maps each recording to the names of its
    pieces.

    Arguments
    ---------
    folder : str or Path
        The folder that ``prepare_waveforms`` made.
    piece_seconds : float
        Length of a piece (in seconds), above 0.
    """

    def __init__(self, folder, piece_seconds):
        super().__init__(folder)
        self.piece_seconds = piece_seconds
        piece = round(piece_seconds * self.sample_rate)
        starts = [piece_starts(length, piece) for length in self.lengths.tolist()]
        names = [piece_names(path, own, self.sample_rate) for path, own in zip(self.paths, starts)]
        ends = [[*own[1:], length] for own, length in zip(starts, self.lengths.tolist())]
        recording = np.repeat(np.arange(len(starts)), [len(own) for own in starts])
        first = np.array([start for own in starts for start in own], dtype=np.int64)
        self.pieces = dict(zip(self.paths, names))
        self.lengths = np.array([end for own in ends for end in own], dtype=np.int64) - first
        self.scales = self.scales[recording]
        self.paths = [name for own in names for name in own]
        self.rows = {name: row for row, name in enumerate(self.paths)}
        self._offsets = self._offsets[recording] + first
        self._shards = self._shards[recording]

    def __reduce__(self):
        """Pickled as the name of its folder, and opened and cut again on the other side."""
        return CutWaveforms, (self.folder, self.piece_seconds)


def cut_recordings(store, corpus, min_samples=1):
    """Store and corpus with the recordings cut at ``corpus.clip_seconds``; both unchanged where that is 0.

    All pieces of a recording stay in its list. Events, which are given for whole recordings, are not passed on to
    pieces.

    Arguments
    ---------
    store : WaveformStore
        The recordings.
    corpus : Corpus
        Their lists.
    min_samples : int
        Shortest clip that the model accepts (in samples): no piece may be shorter.

    Returns
    -------
    store : WaveformStore
        Its rows are the pieces.
    corpus : Corpus
        Its clips are the pieces.

    Raises
    ------
    UserError
        ``corpus.clip_seconds`` is too short for the model.
    """
    if not corpus.clip_seconds:
        return store, corpus
    least = 2 * min_samples / store.sample_rate
    if corpus.clip_seconds < least:
        raise UserError(
            f"clip_seconds={corpus.clip_seconds:g} is too short for this model: "
            f"it must be at least {least:.3f}, or 0 for whole files"
        )
    cut = CutWaveforms(store.folder, corpus.clip_seconds)
    pieces = {clip.path: cut.pieces[clip.path] for clip in corpus.clips}
    several = [names for names in pieces.values() if len(names) > 1]
    result = corpus.cut(pieces)
    if several:
        note = f"{len(several)} recordings are cut into {sum(map(len, several))} pieces of {corpus.clip_seconds:g} s"
        logger.info("note: %s", note)
        result.notes = [*corpus.notes, note]
    return cut, result
