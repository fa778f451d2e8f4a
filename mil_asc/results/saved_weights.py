"""Weights in the form of ``torch.save``, read as tensors and nothing else.

The file is a zip archive: ``data.pkl`` is a pickle that describes the tensors, ``data/0``, ``data/1``, ... are their
values. A pickle can name any function, and can claim values that the archive does not have. Here it may only do what
``torch.save`` does for a mapping of names to tensors, and every tensor must lie within its values.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_PICKLE_BYTES = 1_000_000
MOST_RECORDS = 20_000
MOST_DIMENSIONS = 8
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
"""Kinds of values, by the class of ``torch`` that the pickle names."""
ERRORS = (
    *(zipfile.BadZipFile, pickle.UnpicklingError, struct.error, EOFError, OSError),
    *(TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError),
)
"""What the two formats' readers raise for damaged files, beside ``ValueError``."""
OPCODES = frozenset(
    "PROTO EMPTY_DICT EMPTY_TUPLE MARK BINPUT LONG_BINPUT BINGET LONG_BINGET BINUNICODE SHORT_BINUNICODE GLOBAL "
    "BININT BININT1 BININT2 LONG1 TUPLE TUPLE1 TUPLE2 TUPLE3 BINPERSID NEWTRUE NEWFALSE NONE REDUCE SETITEM SETITEMS "
    "STOP".split()
)
"""What ``torch.save`` writes for a mapping of names to tensors."""


def read_saved_weights(content: bytes) -> dict[str, Tensor]:
    """Tensors by name of a file's content.

    Raises
    ------
    ValueError
        It is no file of ``torch.save`` that holds tensors by name, or claims more than it has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = _records(archive, len(content))
            return _Weights(records).load()
    except ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    """The archive's files without the folder that all lie in; only if they are stored as they are."""
    infos = archive.infolist()
    stored = all(info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1 for info in infos)
    if not stored or len(infos) > MOST_RECORDS or sum(info.file_size for info in infos) > size:
        raise ValueError("its archive is compressed, encrypted, or claims more than it has")
    records = {info.filename.partition("/")[2]: archive.read(info) for info in infos}
    if len(records) < len(infos) or "data.pkl" not in records:
        raise ValueError("its archive has no data.pkl, or a file twice")
    if records.get("byteorder", b"little") != b"little":
        raise ValueError("its values are not little-endian")
    return records


class _Values(NamedTuple):
    """A record of the archive, which tensors are parts of."""

    dtype: torch.dtype
    key: str


class _View(NamedTuple):
    """A tensor before it is made; a pickle can do nothing with it."""

    values: _Values
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Weights(pickle.Unpickler):
    """Reads ``data.pkl``: names of ``torch`` stand for values of this module, and nothing else has a meaning."""

    def __init__(self, records: dict[str, bytes]):
        if len(records["data.pkl"]) > MOST_PICKLE_BYTES:
            raise ValueError(f"its data.pkl is larger than {MOST_PICKLE_BYTES} bytes")
        super().__init__(io.BytesIO(records["data.pkl"]))
        self.records = records

    def load(self) -> dict[str, Tensor]:
        _check_opcodes(self.records["data.pkl"])
        views = super().load()
        if not isinstance(views, dict) or not all(isinstance(name, str) for name in views):
            raise ValueError("it holds no tensors by name")
        if not all(type(view) is _View for view in views.values()):
            raise ValueError("it holds more than tensors")
        storages = {values: self._storage(values) for values in {view.values for view in views.values()}}
        if len({values.key for values in storages}) < len(storages):
            raise ValueError("its values are of two types")
        return {name: _tensor(view, storages[view.values]) for name, view in views.items()}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise ValueError(f"it names {module}.{name}, which is not allowed")

    def persistent_load(self, pid: Any) -> _Values:
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise ValueError("it refers to something other than values")
        _, dtype, key, _, count = pid
        record = self.records.get(f"data/{key}") if isinstance(key, str) else None
        if record is None or type(count) is not int or len(record) != count * dtype.itemsize:
            raise ValueError(f"the values {key!r:.40} are missing, or of another length than it claims")
        return _Values(dtype, key)

    def _storage(self, values: _Values) -> Tensor:
        record = self.records[f"data/{values.key}"]
        if not record:
            return torch.empty(0, dtype=values.dtype)
        return torch.frombuffer(bytearray(record), dtype=values.dtype)


def _check_opcodes(content: bytes) -> None:
    """Refuse a pickle that does more than ``torch.save`` does."""
    puts = 0
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in OPCODES:
            raise ValueError(f"its data.pkl uses {opcode.name}, which tensors by name do not need")
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            puts += 1
            if not isinstance(argument, int) or argument > puts:
                raise ValueError("its data.pkl counts what it remembers in another way")
        if opcode.name == "PROTO" and argument != 2:
            raise ValueError(f"its data.pkl has protocol {argument}, not 2")


def _view(values: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _View:
    """Takes the place of ``torch._utils._rebuild_tensor_v2``."""
    legal = type(values) is _Values and isinstance(size, tuple) and isinstance(stride, tuple)
    if not legal or len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError("a tensor has no legal shape")
    if not all(type(number) is int and number >= 0 for number in (offset, *size, *stride)):
        raise ValueError("a tensor has no legal shape")
    return _View(values, offset, size, stride)


def _tensor(view: _View, storage: Tensor) -> Tensor:
    """The part of its values that a tensor is."""
    count = math.prod(view.size)
    last = view.offset + sum((length - 1) * step for length, step in zip(view.size, view.stride))
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError(f"a tensor of shape {list(view.size)!r:.80} does not lie within its {len(storage)} values")
    return torch.as_strided(storage, view.size, view.stride, view.offset if count else 0)
