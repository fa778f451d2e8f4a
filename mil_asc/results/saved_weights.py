"""Weights in the form of ``torch.save``, read as tensors and nothing else.

The file is a zip archive: ``data.pkl`` is a pickle that describes the tensors, ``data/0``, ``data/1``, ... are their
values. A pickle can name any function, and can claim values that the archive does not have. Here it may only do what
``torch.save`` does for a mapping of names to tensors, and every tensor must lie within its values.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

MOST_PICKLE_BYTES = 4_000_000
MOST_RECORDS = 20_000
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
OPCODES = frozenset(
    "PROTO EMPTY_DICT EMPTY_TUPLE MARK BINPUT LONG_BINPUT BINGET LONG_BINGET BINUNICODE SHORT_BINUNICODE GLOBAL "
    "BININT BININT1 BININT2 LONG1 TUPLE TUPLE1 TUPLE2 TUPLE3 BINPERSID NEWTRUE NEWFALSE NONE REDUCE SETITEM SETITEMS "
    "BUILD STOP".split()
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
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, NotImplementedError, LookupError, OSError) as error:
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


class _Weights(pickle.Unpickler):
    """Reads ``data.pkl``: names of ``torch`` stand for functions of this class, and nothing else has a meaning."""

    def __init__(self, records: dict[str, bytes]):
        if len(records["data.pkl"]) > MOST_PICKLE_BYTES:
            raise ValueError(f"its data.pkl is larger than {MOST_PICKLE_BYTES} bytes")
        super().__init__(io.BytesIO(records["data.pkl"]))
        self.records = records
        self.storages: dict[str, Tensor] = {}
        self.puts = 0

    def load(self) -> dict[str, Tensor]:
        for opcode, argument, _ in pickletools.genops(self.records["data.pkl"]):
            if opcode.name not in OPCODES:
                raise ValueError(f"its data.pkl uses {opcode.name}, which tensors by name do not need")
            if opcode.name in ("BINPUT", "LONG_BINPUT"):
                self.puts += 1
                if not isinstance(argument, int) or argument > self.puts:
                    raise ValueError("its data.pkl counts what it remembers in another way")
            if opcode.name == "PROTO" and argument != 2:
                raise ValueError(f"its data.pkl has protocol {argument}, not 2")
        weights = super().load()
        if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
            raise ValueError("it holds no tensors by name")
        if not all(isinstance(value, Tensor) for value in weights.values()):
            raise ValueError("it holds more than tensors")
        return dict(weights)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise ValueError(f"it names {module}.{name}, which is not allowed")

    def persistent_load(self, pid: Any) -> Tensor:
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise ValueError("it refers to something other than values")
        _, dtype, key, _, count = pid
        if key not in self.storages:
            record = self.records.get(f"data/{key}")
            if record is None or type(count) is not int or len(record) != count * dtype.itemsize:
                raise ValueError(f"the values {key!r:.40} are missing, or of another length than it claims")
            values = torch.frombuffer(bytearray(record), dtype=dtype) if count else torch.empty(0, dtype=dtype)
            self.storages[key] = values
        if self.storages[key].dtype != dtype:
            raise ValueError(f"the values {key!r:.40} are of two types")
        return self.storages[key]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """The part of values that a tensor is, in place of ``torch._utils._rebuild_tensor_v2``."""
    whole = all(type(number) is int and number >= 0 for number in (offset, *size, *stride))
    if not isinstance(storage, Tensor) or not whole or len(size) != len(stride) or len(size) > 8:
        raise ValueError("a tensor has no legal shape")
    count = 1
    for length in size:
        count *= length
    last = offset + sum((length - 1) * step for length, step in zip(size, stride))
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError(f"a tensor of shape {list(size)!r:.80} does not lie within its {len(storage)} values")
    return torch.as_strided(storage, size, stride, offset)
