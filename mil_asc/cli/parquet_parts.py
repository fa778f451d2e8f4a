"""Scenes as a folder of Parquet files that grows while recordings are classified; needs pyarrow.

Rows are kept in a journal, one line of JSON each, until they fill a part, ``part-00000.parquet`` and so on; then the
part appears at once, complete. The names of the journal and of a part that is being written begin with a dot, so that
readers of the folder pass them over. A row that was in the journal when the program was killed is still there
afterwards; a line that was cut off is not, and its recording is classified again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mil_asc.cli.held_results import FOLDER, START_ANEW, changed, locked_settings, named, recording_of
from mil_asc.cli.parquet_rows import check_pyarrow
from mil_asc.cli.path_marks import PathMarks
from mil_asc.cli.results_taker import Results
from mil_asc.errors import UserError
from mil_asc.presentation.part_rows import MOMENT, bad_row, column_kinds
from mil_asc.presentation.scene_formats import Formatting, plain
from mil_asc.runtime.files import flush_to_disk

PART_ROWS = 20_000
PART_BYTES = 256 << 20
"""Largest journal (in bytes)."""
PART_SECONDS = 600.0
"""Longest time from a part's first row until it is written."""
GROUP_ROWS = 2000
GROUP_BYTES = 4 << 20
"""Rows, and bytes of their JSON, that are held in memory until they are written as a row group."""
SETTINGS = "_mil-asc.settings.json"
PART = re.compile(r"part-(\d{5,})\.parquet")
HIDDEN = re.compile(r"\.part-\d{5,}\.(?:jsonl|parquet\.partial)")


@contextlib.contextmanager
def open_parts(
    folder: Path, how: Formatting, settings: dict[str, Any], force: bool, rows: int | None = None
) -> Iterator[Results]:
    """The parts of a folder, which is made if it is missing, behind those that are there.

    Arguments
    ---------
    folder : Path
        Empty, or with the parts of an earlier run.
    how : Formatting
        Classes, and rules whose decisions are written.
    settings : dict
        What the rows depend on, plain values; earlier parts must have the same.
    force : bool
        Remove earlier parts and start anew.
    rows : int, optional
        Most rows of a part, by default ``PART_ROWS``.

    Raises
    ------
    UserError
        The folder holds something else, or parts of another model, of other options or of other recordings; a part is
        damaged; pyarrow is missing.
    """
    check_pyarrow()
    own = folder / SETTINGS
    if folder.is_dir() and not own.exists() and os.listdir(folder):
        raise UserError(f"{folder} holds files already, and none of mil-asc classify ({SETTINGS}): name another --to")
    with locked_settings(folder, own, settings, force, lambda: _clear(folder)) as (_, before), named(folder):
        with contextlib.closing(_Parts(folder, how, rows or PART_ROWS, before.get(FOLDER))) as parts:
            try:
                yield parts
            except KeyboardInterrupt:
                parts.finish()
                raise


def _clear(folder: Path) -> None:
    for name in os.listdir(folder):
        if PART.fullmatch(name) or HIDDEN.fullmatch(name):
            (folder / name).unlink()


class _Parts(Results):
    def __init__(self, folder: Path, how: Formatting, rows: int, base: str | None):
        self._folder, self._most, self._schema = folder, rows, _schema(how)
        self.bad_before = 0
        self._newer: list[str] = []
        parts = {int(found[1]): folder / found[0] for found in map(PART.fullmatch, os.listdir(folder)) if found}
        hidden = [name for name in os.listdir(folder) if HIDDEN.fullmatch(name)]
        self._written = max(map(changed, [*parts.values(), *(folder / name for name in hidden)]), default=0)
        self._number = max(parts, default=-1) + 1
        self._take_journal([name for name in hidden if not self._remove_if_over(name, parts)])
        self._rows, self._bytes, self._begun = 0, 0, time.monotonic()
        self._done = PathMarks(recording_of(path, base) for path in self._paths(list(parts.values())))

    def _remove_if_over(self, name: str, parts: Container[int]) -> bool:
        """Remove a part that was not finished, or a journal that became a part; whether it was one."""
        is_over = name.endswith(".partial") or int(name.split("-")[1].partition(".")[0]) in parts
        if is_over:
            (self._folder / name).unlink()
        return is_over

    def _take_journal(self, names: list[str]) -> None:
        """Go on with the journal that was left; its number is another if parts were removed to classify them again."""
        if len(names) > 1:
            raise UserError(f"{self._folder} has {len(names)} journals of rows, which no run leaves: {START_ANEW}")
        for name in names:
            os.replace(self._folder / name, self._journal_place)

    def _paths(self, parts: list[Path]) -> Iterator[str]:
        """The paths of all rows that are there; counts the bad ones, and cuts the journal off where it is damaged."""
        for part in parts:
            yield from (self._count(*row) for row in _path_and_error(part))
        self._journal = self._open()
        self._journal.seek(0)
        while line := self._journal.readline():
            row = _parsed(line)
            if row is None:
                break
            self._rows += 1
            self._bytes += len(line)
            yield self._count(row["path"], row.get("error"))
        self._journal.truncate(self._bytes)

    def _count(self, path: str, error: str | None) -> str:
        self.bad_before += error is not None
        return path

    @property
    def newer(self) -> Sequence[str]:
        """Paths whose row may be that of an earlier content of the file."""
        return self._newer

    def has(self, path: str, name: str) -> bool:
        """Whether there was a row of this recording."""
        found = recording_of(plain(path), None) in self._done
        if found and changed(path) > self._written:
            self._newer.append(path)
        return found

    def add(self, name: str, content: Any) -> None:
        """Write a row."""
        line = content.encode() + b"\n"
        if self._rows == 0:
            self._begun = time.monotonic()
        self._journal.write(line)
        self._journal.flush()
        self._rows, self._bytes = self._rows + 1, self._bytes + len(line)
        is_old = time.monotonic() - self._begun > PART_SECONDS
        if self._rows >= self._most or self._bytes >= PART_BYTES or is_old:
            self.finish()
            self._rows = self._bytes = 0
            self._number += 1
            self._journal = self._open()

    def add_bad(self, path: str, message: str) -> None:
        """Write the row of a recording that could not be classified."""
        self.add(path, bad_row(path, message))

    def finish(self) -> None:
        """Turn the journal into a part, if it has rows."""
        if self._journal.closed:
            return
        if self._rows:
            place = self._folder / f"part-{self._number:05}.parquet"
            partial = place.with_name(f".{place.name}.partial")
            self._write(partial)
            flush_to_disk(partial)
            os.replace(partial, place)
            flush_to_disk(self._folder)
        self._journal.close()
        self._journal_place.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the journal, which keeps its rows."""
        self._journal.close()
        if self._rows == 0:
            self._journal_place.unlink(missing_ok=True)

    @property
    def _journal_place(self) -> Path:
        return self._folder / f".part-{self._number:05}.jsonl"

    def _open(self) -> IO[bytes]:
        return open(self._journal_place, "ab+")

    def _write(self, partial: Path) -> None:
        from pyarrow.json import ParseOptions, ReadOptions, read_json
        from pyarrow.parquet import ParquetWriter

        parse = ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error")
        with ParquetWriter(partial, self._schema, compression="zstd") as writer:
            for block in _blocks(self._journal):
                read = ReadOptions(use_threads=False, block_size=len(block) + 1)
                writer.write_table(read_json(io.BytesIO(block), read, parse))


def _blocks(journal: IO[bytes]) -> Iterator[bytes]:
    """The lines of a journal, some at a time."""
    journal.seek(0)
    lines: list[bytes] = []
    size = 0
    for line in journal:
        lines.append(line)
        size += len(line)
        if len(lines) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _schema(how: Formatting) -> Any:
    import pyarrow

    number = pyarrow.float64()
    kinds = {"text": pyarrow.string(), "number": number, "count": pyarrow.int64(), "truth": pyarrow.bool_()}
    kinds["scores"] = pyarrow.struct([(plain(label), number) for label in how.labels])
    kinds["moments"] = pyarrow.list_(pyarrow.struct([(name, number) for name in MOMENT]))
    return pyarrow.schema([(name, kinds[kind]) for name, kind in column_kinds(how).items()])


def _path_and_error(part: Path) -> Iterator[tuple[str, str | None]]:
    """Those columns of every row of a part."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(part) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=["path", "error"]):
                yield from zip(batch["path"].to_pylist(), batch["error"].to_pylist())
    except (ArrowException, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{part} is no part of mil-asc classify ({reason:.150}): remove it, and repeat") from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A complete row of a journal; None for what is left of another."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("path"), str) else None
