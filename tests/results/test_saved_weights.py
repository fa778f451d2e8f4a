"""Files of torch.save are read as torch.load reads them, without running what a pickle names."""

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.results.saved_weights import DTYPES, read_saved_weights


def saved(weights):
    stream = io.BytesIO()
    torch.save(weights, stream)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_every_kind_of_value_is_read_as_it_was_saved(dtype):
    weights = {"a.weight": torch.arange(24).reshape(2, 3, 4).to(dtype), "b": torch.tensor(1).to(dtype)}
    found = read_saved_weights(saved(weights))
    assert found.keys() == weights.keys()
    assert all(found[name].dtype == dtype and torch.equal(found[name], weights[name]) for name in weights)


def test_views_and_memory_formats_are_kept():
    whole = torch.randn(4, 6, 5, 5).to(memory_format=torch.channels_last)
    weights = {"whole": whole, "part": whole[1:3, ::2], "empty": torch.zeros(0, 3)}
    found = read_saved_weights(saved(weights))
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert found["whole"].is_contiguous(memory_format=torch.channels_last)


def test_state_dict_of_a_module_is_read():
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    found = read_saved_weights(saved(dict(module.state_dict())))
    assert all(torch.equal(found[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    "content",
    [[1], torch.nn.Linear(1, 1).state_dict(), torch.zeros(2), {"a": 1}, {1: torch.zeros(2)}, {"a": [torch.zeros(1)]}],
)
def test_anything_but_tensors_by_name_is_refused(content):
    with pytest.raises(ValueError):
        read_saved_weights(saved(content))


ONE = saved({"a": torch.arange(6.0)})


@given(st.integers(0, len(ONE) - 1), st.integers(1, 255))
def test_any_flipped_byte_is_refused_or_harmless(place, bits):
    damaged = bytearray(ONE)
    damaged[place] ^= bits
    try:
        found = read_saved_weights(bytes(damaged))
    except ValueError:
        return
    assert all(isinstance(value, torch.Tensor) and value.numel() <= 6 for value in found.values())


@given(st.integers(0, len(ONE) - 1))
def test_any_cut_file_is_refused(length):
    with pytest.raises(ValueError):
        read_saved_weights(ONE[:length])
