"""Stream: a table that is read piece by piece, any number of times, and never held whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.sources import Source, as_series
from torchglm.design.streams.ahead import ahead
from torchglm.design.streams.seal import Reading, Seals
from torchglm.errors import DataError
from torchglm.numerics.ranks import Ranks

PIECE_BYTES = 16  # of memory_limit for one of the decoded values of a piece: text, masks and copies come on top
FEWEST_ROWS, MOST_ROWS = 4_096, 131_072  # of a piece


Batches = Generator[tuple[int, Any], None, None]


@dataclass(frozen=True)
class Room:
    """What a stream may use: bytes of memory at work, and the directory of its cache on disk."""

    memory: int
    directory: Path

    def piece_rows(self, columns: int) -> int:
        """Rows of a piece of so many columns."""
        return min(max(self.memory // (PIECE_BYTES * 8 * max(columns, 1)), FEWEST_ROWS), MOST_ROWS)


class Stream(ABC):
    """A table read in pieces. What one is: `names`, `rows` and `batches`; `label` is what messages call it.

    keeps_order  whether the categories of its dictionaries stand in an order that somebody chose
    text         the columns of text, whose categories have no order, though they may come as some
    seals        of a stream that cannot tell otherwise whether its data have changed
    is_ours      whether no code of the caller's makes its batches: only then another thread may do so
    """

    label: str
    room: Room
    names: tuple[str, ...]
    rows: int
    keeps_order: bool = False
    text: frozenset[str] = frozenset()
    seals: Seals | None = None
    is_ours: bool = True

    @abstractmethod
    def batches(self, names: Sequence[str], rows: int, plain: Collection[str]) -> Batches:
        """The place of its first row, and a table of the columns `names` with at most about `rows` rows; in order.

        Text in the columns `plain` may come as categories, the form in which it is small.
        """

    @property
    def identity(self) -> str:
        """What it is read from, the same in every process that reads it."""
        return self.label

    def share(self, ranks: Ranks) -> Stream:
        """The part of the rows that this process reads.

        Raises: DataError for a stream that has no parts.
        """
        if ranks.world == 1:
            return self
        raise DataError(f"{self.label} cannot be shared by {ranks.world} processes. Write it to Parquet first.")

    def refuse_changed(self) -> None:  # noqa: B027 (what cannot tell, says nothing)
        """Nothing, where the data are as they were when the stream was opened.

        Raises: DataError.
        """

    def for_another_fit(self) -> Stream:
        """The same, whose rows may come in another order than in the passes of the fits before."""
        return self if self.seals is None else replace(self, seals=self.seals.for_another_fit())  # type: ignore[type-var]

    def fix_order(self) -> None:
        """Nothing; rows that later passes give in another order than the last one are refused from now on."""
        if self.seals is not None:
            self.seals.fix()

    def head(self, names: Sequence[str], plain: Collection[str] = (), kept: np.ndarray | None = None) -> Source | None:
        """The first piece that has rows, of those where `kept` is True; None where there is none."""
        with closing(self.batches(names, self.room.piece_rows(len(names)), plain)) as tables:
            for start, table in tables:
                if len(table) if kept is None else kept[start : start + len(table)].any():
                    return self._piece(start, table)
        return None

    def _piece(self, start: int, table: Any) -> Source:
        index = pd.RangeIndex(start, start + len(table))
        return Source(self.names, len(table), index, table, self.keeps_order)

    def pieces(self, names: Sequence[str], plain: Collection[str] = ()) -> Generator[Source, None, None]:
        """The rows as tables of the columns `names`, each labelled by its place; the next one is read meanwhile.

        A table knows the names of all columns, so that a message can suggest one. Close it where it is left early.

        Raises: DataError for data that are damaged, or that have changed since the stream was opened.
        """
        read, reading = 0, None
        if self.seals is not None:
            names, reading = [*names, *self.seals.tie(names)], Reading(self.seals, self.rows)
        batches = self.batches(names, self.room.piece_rows(len(names)), plain)
        with closing(ahead(batches) if self.is_ours else batches) as tables:
            for start, table in tables:
                if len(table):
                    piece = self._piece(start, table)
                    read += piece.rows
                    if reading is not None:
                        reading.add(piece, names)
                    yield piece
        self.refuse_changed()
        if read != self.rows:
            raise DataError(f"{self.label} gave {read} rows where it had {self.rows} before: it has changed meanwhile.")
        if reading is not None:
            reading.seals.compare(self.label, reading.found)


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text."""
    return str(kind) in ("string", "large_string", "string_view")


def text_columns(schema: Any) -> frozenset[str]:
    """The columns of text of an Arrow schema."""
    return frozenset(column.name for column in schema if is_text(column.type))


@dataclass(frozen=True)
class WholeColumns:
    """The columns of a stream read whole, one at a time, for what has to see all rows at once."""

    stream: Stream

    def __getitem__(self, name: str) -> pd.Series:
        return joined([piece.column(name) for piece in self.stream.pieces([name])])


def joined(pieces: list[pd.Series]) -> pd.Series:
    """The pieces of a column as one. Categories that differ become those of all, in no order."""
    kinds = {piece.dtype for piece in pieces}
    labels = {kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else None for kind in kinds}
    if len(kinds) > 1 and len(labels) == 1 and None not in labels:
        one: Any = pd.api.types.union_categoricals(pieces, ignore_order=True)
        return pd.Series(one)
    if len(kinds) == 1 and isinstance(pieces[0].dtype, np.dtype):
        return pd.Series(np.concatenate([piece.to_numpy() for piece in pieces]), copy=False)
    return pd.concat(pieces, ignore_index=True)


@dataclass(frozen=True)
class StreamedSource(Source):
    """A table whose rows come from a stream; a column asked for by itself is read whole."""

    stream: Stream = field(kw_only=True)

    def column(self, name: str) -> pd.Series:
        """The column of that name, read whole and not kept.

        Raises: UnknownNameError, DataError.
        """
        self.refuse_unknown(name)
        return as_series(self.table[name], name, self.index, self.keeps_order)

    def for_another_fit(self) -> StreamedSource:
        """The same, whose rows may come in another order than in the passes of the fits before."""
        return source_of(self.stream.for_another_fit())


def source_of(stream: Stream) -> StreamedSource:
    """The stream as a table."""
    index = pd.RangeIndex(stream.rows)
    return StreamedSource(stream.names, stream.rows, index, WholeColumns(stream), stream.keeps_order, stream=stream)
