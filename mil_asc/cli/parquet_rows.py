"""Scenes as a Parquet file; needs pyarrow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mil_asc.cli.results_taker import Results
from mil_asc.errors import UserError
from mil_asc.presentation.scene_formats import Formatting, column_names

GROUP = 1000
"""Rows that are held until they are written."""


def check_pyarrow() -> None:
    """A ``UserError`` where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise UserError("--format parquet needs pyarrow: pip install -e '.[parquet]', or take --format csv")


@contextlib.contextmanager
def open_parquet(place: Path, how: Formatting) -> Iterator[Results]:
    """A Parquet file: the columns of CSV, and ``moments``, a list of start, end and confidence."""
    check_pyarrow()
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = {"familiar": pyarrow.bool_(), "instances": pyarrow.int64(), "positive": pyarrow.int64()}
    kinds |= dict.fromkeys(("path", "label", "assumption"), pyarrow.string())
    number = pyarrow.float64()
    moment = pyarrow.struct([(name, number) for name in ("start", "end", "confidence")])
    columns = [(name, kinds.get(name, number)) for name in column_names(how.labels)]
    schema = pyarrow.schema([*columns, ("moments", pyarrow.list_(moment))])
    with ParquetWriter(place, schema) as writer:
        yield _ParquetRows(writer, schema)


class _ParquetRows(Results):
    def __init__(self, writer: Any, schema: Any):
        self._writer, self._schema = writer, schema
        self._rows: list[dict[str, Any]] = []

    def add(self, name: str, content: Any) -> None:
        self._rows.append(content)
        if len(self._rows) >= GROUP:
            self._flush()

    def finish(self) -> None:
        if self._rows:
            self._flush()

    def _flush(self) -> None:
        from pyarrow import Table

        self._writer.write_table(Table.from_pylist(self._rows, self._schema))
        self._rows = []
