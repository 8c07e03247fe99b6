"""Streams from libraries that hand out Arrow batches: pyarrow datasets, DuckDB relations, polars LazyFrames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from torchglm.design.sources import as_written
from torchglm.design.streams.parquet import READ_BYTES
from torchglm.design.streams.seal import Seals
from torchglm.design.streams.stream import Batches, Room, Stream, is_text, text_columns
from torchglm.errors import DataError

Faults = tuple[type[Exception], ...]  # what a library raises
ARROW: Faults = (OSError, pa.ArrowException)
Read = Callable[[Sequence[str], int], Iterable[Any]]  # columns, rows of a batch -> record batches, in order


@dataclass(frozen=True)
class ReaderStream(Stream):
    """What `read` hands out, which asks the library anew at every pass."""

    label: str
    faults: Faults
    names: tuple[str, ...]
    total: int
    read: Read
    room: Room
    keeps_order: bool = False
    text: frozenset[str] = frozenset()
    seals: Seals | None = field(default_factory=Seals)

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.total

    def batches(self, names: Sequence[str], rows: int, plain: Collection[str]) -> Batches:
        """Tables of the columns."""
        start = 0
        with _reading(self.label, self.faults):
            for batch in self.read(list(dict.fromkeys(names)), rows):
                table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
                yield start, as_written(_coded(table, plain))
                start += table.num_rows


@contextmanager
def _reading(label: str, faults: Faults) -> Iterator[None]:
    """A block in which a library's own errors become a DataError."""
    try:
        yield
    except faults as error:
        raise DataError(f"{label} cannot be read: {type(error).__name__}: {error}") from error


def open_dataset(dataset: Any, room: Room) -> ReaderStream:
    """The stream of a pyarrow dataset.

    Raises: DataError.
    """

    def read(names: Sequence[str], rows: int) -> Iterable[Any]:
        options = {"batch_readahead": 1, "fragment_readahead": 1, **scan_options(dataset)}
        return dataset.to_batches(columns=list(names), batch_size=rows, **options)

    label, schema = "The pyarrow dataset", dataset.schema
    with _reading(label, ARROW):
        total = dataset.count_rows()
    keeps_order, text = schema.pandas_metadata is not None, text_columns(schema)
    return ReaderStream(label, ARROW, tuple(schema.names), total, read, room, keeps_order, text)


def scan_options(dataset: Any) -> dict[str, Any]:
    """Options that keep Parquet files of this machine from being read ahead; none beside options that a dataset has."""
    import pyarrow.dataset as pads
    from pyarrow.fs import LocalFileSystem

    plain = pads.ParquetFragmentScanOptions()
    if (
        not isinstance(dataset, pads.FileSystemDataset)
        or not isinstance(dataset.filesystem, LocalFileSystem)
        or dataset.format.default_fragment_scan_options != plain
    ):
        return {}
    sparing = pads.ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=READ_BYTES, pre_buffer=False)
    return {"fragment_scan_options": sparing}


def open_duckdb(relation: Any, room: Room) -> ReaderStream:
    """The stream of a DuckDB relation, such as duckdb.sql("SELECT ...") gives.

    Raises: DataError.
    """
    import duckdb

    def read(names: Sequence[str], rows: int) -> Iterable[Any]:
        columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        return relation.project(columns).to_arrow_reader(rows)

    label, faults = "The DuckDB relation", (duckdb.Error, *ARROW)
    with _reading(label, faults):
        total = int(relation.aggregate("count(*)").fetchall()[0][0])
        return ReaderStream(label, faults, tuple(relation.columns), total, read, room)


def open_lazy(lazy: Any, room: Room) -> ReaderStream:
    """The stream of a polars LazyFrame: its query runs once a pass, on polars' streaming engine.

    Raises: DataError.
    """
    import polars

    def read(names: Sequence[str], rows: int) -> Iterable[Any]:
        for frame in lazy.select(list(names)).collect_batches(chunk_size=rows, maintain_order=True):
            yield _arrow_of(frame)

    label, faults = "The polars LazyFrame", (polars.exceptions.PolarsError, *ARROW)
    with _reading(label, faults):
        total = int(lazy.select(polars.len()).collect().item())
        return ReaderStream(label, faults, tuple(lazy.collect_schema().names()), total, read, room)


def _arrow_of(frame: Any) -> pa.Table:
    """The frame as an Arrow table; a Categorical as text, for its order is that in which the session met it."""
    import polars

    text = [name for name, kind in frame.schema.items() if kind == polars.Categorical]
    return frame.with_columns(polars.col(text).cast(polars.String)).to_arrow() if text else frame.to_arrow()


def _coded(table: pa.Table, plain: Collection[str]) -> pa.Table:
    """The table with text that is only looked at as categories."""
    for k, column in enumerate(table.schema):
        if column.name in plain and is_text(column.type):
            table = table.set_column(k, column.name, table.column(k).dictionary_encode())
    return table
