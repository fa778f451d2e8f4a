"""Batches are the same from the store and from its copy on a device."""

import numpy as np
import pytest
import soundfile
import torch

from mil_asc.corpora.manifest import Clip
from mil_asc.store.batches import ClipDataset, ResidentWaveforms, place_waveforms
from mil_asc.store.build import prepare_waveforms

LABELS = ["park", "tram"]


@pytest.fixture
def stores(tmp_path):
    """Twenty clips of three lengths: their store, and a resident copy of it."""
    rng = np.random.default_rng(0)
    names = [f"{i}.wav" for i in range(20)]
    for i, name in enumerate(names):
        soundfile.write(tmp_path / name, 0.1 * rng.normal(size=4000 + 1000 * (i % 3)), 16000)
    store = prepare_waveforms(tmp_path, names, tmp_path / "cache", progress=False)
    return store, ResidentWaveforms(store, "cpu")


def dataset(store):
    clips = [Clip(f"{i}.wav", LABELS[i % 2], "lisbon", f"lisbon-{i}", "a") for i in range(20)]
    return ClipDataset(store, range(20), clips, LABELS)


def test_store_and_resident_copy_give_equal_batches(stores):
    from_store, resident = (dataset(store).__getitems__([3, 17, 4]).to("cpu") for store in stores)
    for a, b in zip(from_store, resident):
        assert a.dtype == b.dtype and torch.equal(a, b)
    assert from_store.waveforms().dtype == torch.float32 and from_store.waveforms().abs().max() < 1


def test_shorter_clips_are_continued_by_repeating_themselves(stores):
    for store in stores:
        batch = dataset(store).__getitems__([0, 1, 2])
        for samples_N, length in zip(batch.samples_BN, batch.length_B.tolist()):
            rest = samples_N[length:]
            assert torch.equal(rest, samples_N[: len(rest)])


def test_order_by_length_is_stable(stores):
    order = dataset(stores[0]).order_by_length()
    lengths = stores[0].lengths[order]
    assert sorted(order) == list(range(20)) and (np.diff(lengths) >= 0).all()
    assert dataset(stores[1]).order_by_length() == order


def test_a_cpu_reads_from_the_store_itself(stores):
    assert place_waveforms(stores[0], "cpu") is stores[0]
