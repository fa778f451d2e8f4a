"""Reading a finished waveform store: rows of int16 samples out of mapped files.

Shapes: B batch (rows of the store), N samples.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mil_asc.audio.quantize import dequantize
from mil_asc.store.shards import SAMPLE_BYTES, check_shard, map_shards, read_index

_MAPPED_BYTES = 8 * 2**20  # copied out before the mappings give their pages back


class WaveformStore:
    """A finished store, opened for reading. Cheap to open, may be pickled and read in several processes.

    The samples are mapped into memory and copied out batch by batch. The mapping gives its pages back
    now and then, so resident memory stays bounded; the system's page cache keeps what has been read. A shard is
    compared with its checksum when it is first read.

    Arguments
    ---------
    folder : str or Path
        The folder that ``prepare_waveforms`` made.

    Attributes
    ----------
    paths : list of str
        The usable files, sorted; row r of the store is ``paths[r]``.
    bad : dict
        Path of each unusable file -> why it cannot be used.
    rows : dict
        Path -> row.
    sample_rate : int
        Rate of the samples (in Hz).
    lengths : numpy.ndarray
        (rows,) int64, samples of each clip, at least 1.
    scales : numpy.ndarray
        (rows,) float32, linear amplitude of one step: int16 * scale is the waveform.
    digest : str
        SHA-256 over the paths and samples of all rows, the same wherever the recordings are.

    Raises
    ------
    StoreError
        The store is missing, unfinished or damaged; reading raises it too, where the samples are not those that were
        written.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        index = read_index(self.folder)
        self.paths: list[str] = index["paths"]
        self.bad: dict[str, str] = index["bad"]
        self.rows = {path: row for row, path in enumerate(self.paths)}
        self.sample_rate: int = index["sample_rate"]
        self.lengths = np.array(index["lengths"], dtype=np.int64)
        self.scales = np.array(index["scales"], dtype=np.float32)
        self._offsets = np.cumsum(self.lengths) - self.lengths
        shard_rows = np.array(index["shard_rows"], dtype=np.int64)
        self._shards = np.repeat(np.arange(len(shard_rows)), shard_rows)
        shard_samples = _sums(self.lengths, shard_rows)
        self._shard_starts = np.cumsum(shard_samples) - shard_samples
        self._maps = map_shards(self.folder, shard_samples * SAMPLE_BYTES)
        self._samples = [np.frombuffer(mapped, dtype=np.int16) for mapped in self._maps]
        self._unchecked = dict(enumerate(index["shard_crc32"]))
        content = [index[key] for key in ("paths", "lengths", "scales", "shard_crc32")]
        self.digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        self._touched = 0

    def __len__(self) -> int:
        """Number of usable clips."""
        return len(self.paths)

    def __reduce__(self):
        """Pickled as the name of its folder, and opened again on the other side."""
        return WaveformStore, (self.folder,)

    @property
    def nbytes(self) -> int:
        """Bytes of all samples together."""
        return int(self.lengths.sum()) * SAMPLE_BYTES

    def row(self, path: str | os.PathLike) -> int:
        """The row of a file; ``KeyError`` with the reason when it is bad or not in this store."""
        path = Path(path).as_posix()
        if path not in self.rows:
            raise KeyError(f"{path}: {self.bad.get(path, 'not in this store')}")
        return self.rows[path]

    def read(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A batch of at least one row.

        Arguments
        ---------
        rows : sequence of int
            Rows of the store, in any order.

        Returns
        -------
        wav_BN : numpy.ndarray
            int16, N = the longest of the batch. A shorter clip is continued by repeating it from its start, so
            that its padding has its own statistics: mask it by ``length_B``.
        scale_B : numpy.ndarray
            float32; ``wav_BN * scale_B[:, None]`` is the waveform.
        length_B : numpy.ndarray
            int64, the samples that are the clip's own.
        """
        rows = np.asarray(rows, dtype=np.int64)
        length_B = self.lengths[rows]
        wav_BN = np.empty((len(rows), length_B.max()), dtype=np.int16)
        for wav_N, row, length in zip(wav_BN, rows.tolist(), length_B.tolist(), strict=True):
            self._read_samples(row, wav_N[:length])
            _repeat(wav_N, length)
        return wav_BN, self.scales[rows], length_B

    def read_one(self, row: int) -> np.ndarray:
        """One clip as float32 (N,), its own length, full scale 1."""
        wav_N = np.empty(self.lengths[row], dtype=np.int16)
        self._read_samples(row, wav_N)
        return dequantize(wav_N, self.scales[row])

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All samples of the store, row after row, in blocks that fit into memory: (first sample, int16 block)."""
        for shard, (start, samples) in enumerate(zip(self._shard_starts.tolist(), self._samples, strict=True)):
            block = np.empty(len(samples), dtype=np.int16)
            self._fill(shard, block, 0)
            yield start, block

    def _read_samples(self, row: int, wav_N: np.ndarray) -> None:
        shard = int(self._shards[row])
        self._fill(shard, wav_N, int(self._offsets[row] - self._shard_starts[shard]))

    def _fill(self, shard: int, wav_N: np.ndarray, start: int) -> None:
        """Copy out of a mapping, which is checked first, and gives its pages back when many have been touched."""
        if shard in self._unchecked:
            check_shard(self.folder, shard, self._maps[shard], self._unchecked[shard])
            self._unchecked.pop(shard, None)
        wav_N[:] = self._samples[shard][start : start + len(wav_N)]
        self._touched += wav_N.nbytes
        if self._touched > _MAPPED_BYTES:
            self._touched = 0
            for memory in filter(None, self._maps):
                memory.madvise(mmap.MADV_DONTNEED)


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over consecutive groups of ``counts`` values; a group may be empty."""
    totals = np.concatenate([[0], np.cumsum(values)])
    ends = np.cumsum(counts)
    return totals[ends] - totals[ends - counts]


def _repeat(wav_N: np.ndarray, length: int) -> None:
    """Continue the first ``length`` samples periodically to the end, in place."""
    while length < len(wav_N):
        count = min(length, len(wav_N) - length)
        wav_N[length : length + count] = wav_N[:count]
        length += count
