"""Batches of clips out of a waveform store, on the host or resident on the device."""

from typing import NamedTuple

import numpy as np
import torch

RESIDENT_SHARE = 0.25
"""Largest part of the free device memory that a resident waveform store may take."""


class ClipBatch(NamedTuple):
    """A batch as the data set yields it.

    ``samples_BN``: (B, N) int16, shorter clips continued by repeating them; ``scale_B``: (B,) float32, the
    linear amplitude of one step; ``length_B``: (B,) samples of each clip; ``label_B``: (B,) class indices;
    ``index_B``: (B,) positions in the data set.
    """

    samples_BN: torch.Tensor
    scale_B: torch.Tensor
    length_B: torch.Tensor
    label_B: torch.Tensor
    index_B: torch.Tensor

    def waveforms(self):
        """(B, N) float32 waveforms, linear amplitude."""
        return self.samples_BN.float() * self.scale_B.unsqueeze(1)

    def to(self, device):
        """The batch on ``device``; from the host to a GPU through pinned memory, without waiting."""
        return ClipBatch(*(_move(part, torch.device(device)) for part in self))


def _move(part, device):
    pin = device.type == "cuda" and part.device.type == "cpu"
    return (part.pin_memory() if pin else part).to(device, non_blocking=pin)


class ResidentWaveforms:
    """A waveform store copied into the memory of a device, read by gathering there.

    Arguments
    ---------
    store : WaveformStore
        The store to copy.
    device : str or torch.device
        Where it lives from now on.
    """

    def __init__(self, store, device):
        self.samples = torch.empty(int(store.lengths.sum()), dtype=torch.int16, device=device)
        for start, block in store.blocks():
            self.samples[start : start + len(block)] = torch.from_numpy(block).to(device)
        self.offsets = torch.from_numpy(np.cumsum(store.lengths) - store.lengths).to(device)
        self.lengths = store.lengths
        self._lengths = torch.from_numpy(store.lengths).to(device)
        self.scales = torch.from_numpy(np.asarray(store.scales)).to(device)

    def read(self, rows):
        """(samples_BN, scale_B, length_B) on the device; shorter clips are continued by repeating them."""
        row_B = torch.as_tensor(rows, device=self.samples.device)
        length_B = self._lengths[row_B]
        index_N = torch.arange(int(self.lengths[rows].max()), device=self.samples.device)
        index_BN = self.offsets[row_B].unsqueeze(1) + index_N % length_B.unsqueeze(1)
        return self.samples[index_BN], self.scales[row_B], length_B


def place_waveforms(store, device):
    """The store itself, or its copy on ``device`` when that is a GPU with ample free memory."""
    device = torch.device(device)
    if device.type == "cuda" and store.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return ResidentWaveforms(store, device)
    return store


class ClipDataset(torch.utils.data.Dataset):
    """Clips as training and evaluation see them; whole batches are read at once.

    Arguments
    ---------
    waveforms : WaveformStore or ResidentWaveforms
        Where the samples come from.
    rows : sequence of int
        Row of each clip in the store.
    clips : list of Clip
        The clips themselves.
    labels : list of str
        Classes, in the order of the model's outputs.
    """

    def __init__(self, waveforms, rows, clips, labels):
        self.waveforms = waveforms
        self.rows = np.asarray(rows, dtype=np.int64)
        self.clips = clips
        self.label_indices = torch.tensor([labels.index(clip.label) for clip in clips])

    def __len__(self):
        return len(self.clips)

    def order_by_length(self):
        """Positions of the clips, the shortest first; clips of one length keep their order."""
        return np.argsort(np.asarray(self.waveforms.lengths)[self.rows], kind="stable").tolist()

    def longest(self, indices):
        """Samples of the longest of the clips at ``indices``, which is the length of their batch."""
        return int(np.asarray(self.waveforms.lengths)[self.rows[indices]].max())

    def __getitems__(self, indices):
        """A ``ClipBatch`` of the clips at ``indices``."""
        samples, scales, lengths = (torch.as_tensor(part) for part in self.waveforms.read(self.rows[indices]))
        index_B = torch.as_tensor(indices)
        return ClipBatch(samples, scales, lengths, self.label_indices[index_B], index_B)

    def __getitem__(self, index):
        """A ``ClipBatch`` of one clip."""
        return self.__getitems__([index])


def as_is(batch):
    """Collate function of a data set that reads whole batches."""
    return batch
