"""Parquet files as one stream: their row groups in turn, only the columns asked for."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from torchglm.design.sources import as_written
from torchglm.design.streams.stream import Batches, Room, Stream, is_text, text_columns
from torchglm.errors import DataError
from torchglm.numerics.ranks import Ranks

READ_BYTES = 1 << 20  # of a column at once: else a row group's columns are read whole


@dataclass(frozen=True)
class RowGroup:
    """A row group: which of which file's, where its rows begin among all rows, and how many they are."""

    file: int
    number: int
    start: int
    rows: int


@dataclass(frozen=True)
class ParquetStream(Stream):
    """The row groups of files of one schema."""

    paths: tuple[Path, ...]
    schema: pa.Schema
    groups: tuple[RowGroup, ...]
    stamps: tuple[tuple[int, int], ...]  # (size, time of change) of each file
    room: Room

    @property
    def label(self) -> str:
        """As messages call it."""
        return repr(str(self.paths[0])) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.schema.names)

    @property
    def rows(self) -> int:
        """The rows of this process's row groups."""
        return sum(group.rows for group in self.groups)

    @property
    def keeps_order(self) -> bool:
        """Whether pandas wrote the files, whose categories have an order."""
        return self.schema.pandas_metadata is not None

    @property
    def text(self) -> frozenset[str]:
        """The columns of text."""
        return text_columns(self.schema)

    @property
    def identity(self) -> str:
        """Name, size and a checksum of the footer of each file, which says what its row groups hold."""
        sizes = (size for size, _ in self.stamps)
        each = zip(self.paths, sizes, strict=True)
        return "; ".join(f"{path.name} of {size} bytes, {footer(path):08x}" for path, size in each)

    def share(self, ranks: Ranks) -> ParquetStream:
        """Row groups side by side, as many rows for each process as whole row groups allow.

        Raises: DataError where there are fewer row groups than processes.
        """
        if ranks.world == 1:
            return self
        if len(self.groups) < ranks.world:
            raise DataError(
                f"{self.label} has {len(self.groups)} row group(s) for {ranks.world} processes, each of which reads "
                "row groups of its own. Write it with more of them, as df.to_parquet(path, row_group_size=100_000)."
            )
        total, kept = self.rows, []
        for k, group in enumerate(self.groups):
            middle = (group.start + group.rows / 2) * ranks.world / max(total, 1)
            owner = min(int(middle), ranks.world - 1)
            owner = min(max(owner, ranks.world - (len(self.groups) - k)), k)  # nobody goes without
            if owner == ranks.rank:
                kept.append(group)
        return replace(self, groups=tuple(kept))

    def refuse_changed(self) -> None:
        """Nothing, where size and time of every file are those that it had when it was opened.

        Raises: DataError.
        """
        for path, before in zip(self.paths, self.stamps, strict=True):
            if not path.exists() or stamp(path) != before:
                raise DataError(
                    f"{str(path)!r} has changed since it was opened: the passes over it would not see the same rows. "
                    "Fit again when nothing writes to it."
                )

    def batches(self, names: Sequence[str], rows: int, plain: Collection[str]) -> Batches:
        """Tables of the columns."""
        wanted = list(dict.fromkeys(names))
        text = sorted(self.text.intersection(plain))
        for file_number, found in itertools.groupby(self.groups, lambda group: group.file):
            path, groups = self.paths[file_number], list(found)
            try:
                with pq.ParquetFile(path, read_dictionary=text, pre_buffer=False, buffer_size=READ_BYTES) as file:
                    start = groups[0].start
                    for batch in file.iter_batches(rows, [group.number for group in groups], wanted):
                        yield start, as_written(pa.Table.from_batches([batch]))
                        start += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                self.refuse_changed()
                raise damaged(path, error) from error


def open_parquet(paths: Sequence[Path], room: Room) -> ParquetStream:
    """The stream of these files.

    Raises: DataError for a file that is missing, damaged, or of another schema than the first.
    """
    groups: list[RowGroup] = []
    stamps, schema, start = [], None, 0
    for k, path in enumerate(paths):
        if not path.exists():
            raise DataError(f"There is no file {str(path)!r}.")
        stamps.append(stamp(path))
        try:
            with pq.ParquetFile(path) as file:
                own, facts = file.schema_arrow, file.metadata
        except (OSError, pa.ArrowException) as error:
            raise damaged(path, error) from error
        if schema is None:
            schema = own
        else:
            _refuse_other_schema(path, own, paths[0], schema)
        for number in range(facts.num_row_groups):
            rows = facts.row_group(number).num_rows
            groups.append(RowGroup(k, number, start, rows))
            start += rows
    assert schema is not None
    return ParquetStream(tuple(paths), schema, tuple(groups), tuple(stamps), room)


def uncompressed_bytes(path: Path) -> int:
    """The bytes of a file's columns before compression.

    Raises: DataError.
    """
    try:
        with pq.ParquetFile(path) as file:
            return sum(file.metadata.row_group(k).total_byte_size for k in range(file.metadata.num_row_groups))
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def footer(path: Path) -> int:
    """A checksum of the end of a file, where Parquet says what its row groups hold and where."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return zlib.crc32(file.read(length))


def damaged(path: Path, error: Exception) -> DataError:
    """The error to raise for a file that cannot be read."""
    return DataError(f"{str(path)!r} is not a Parquet file, or is damaged: {error}")


def _sort(kind: pa.DataType) -> str:
    """What a column is good for: files may differ in the width of their numbers, not in that."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "text" if is_text(kind) else str(kind)


def _refuse_other_schema(path: Path, own: pa.Schema, first: Path, schema: pa.Schema) -> None:
    lacking = [name for name in schema.names if name not in own.names]
    if lacking:
        raise DataError(f"{str(path)!r} has no column {lacking[0]!r}, which {str(first)!r} has.")
    for name in schema.names:
        mine, theirs = own.field(name).type, schema.field(name).type
        if _sort(mine) != _sort(theirs):
            raise DataError(
                f"The column {name!r} is {mine} in {str(path)!r} and {theirs} in {str(first)!r}: files of one stream "
                "have one schema."
            )
