"""A stream of frames that the caller makes anew for every pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchglm.design.sources import Source, open_source
from torchglm.design.streams.seal import Seals
from torchglm.design.streams.stream import Batches, Room, Stream
from torchglm.errors import DataError

TABLES = ("DataFrame", "LazyFrame", "Table", "RecordBatch", "dict", "str")
Factory = Callable[[], Iterable[Any]]


@dataclass(frozen=True)
class FrameStream(Stream):
    """The frames that `make()` gives, the same ones at every call."""

    make: Factory
    names: tuple[str, ...]
    total: int
    room: Room
    keeps_order: bool
    label: str = "The iterable of frames"
    seals: Seals | None = field(default_factory=Seals)
    is_ours: bool = False

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.total

    def batches(self, names: Sequence[str], rows: int, plain: Collection[str]) -> Batches:
        """The columns of the frames, whose sizes the caller has chosen."""
        start = 0
        for k, frame in enumerate(_made(self.make)):
            table = open_source(frame)
            lacking = [name for name in names if name not in table]
            if lacking:
                raise DataError(f"Frame {k} has no column {lacking[0]!r}, which the first one has.")
            yield start, Columns(table, tuple(names))
            start += table.rows


@dataclass(frozen=True)
class Columns:
    """Columns of a table that is open."""

    table: Source
    names: tuple[str, ...]

    def __len__(self) -> int:
        return self.table.rows

    def __getitem__(self, name: str) -> Any:
        return self.table.column(name)


def _made(make: Factory) -> Iterable[Any]:
    """What a function given as data makes.

    Raises: DataError where that is no iterable of frames.
    """
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise DataError(f"The function given as data is called without arguments: {error}.") from error
    except ValueError:  # some builtins do not tell what they take
        pass
    frames = make()
    if not isinstance(frames, Iterable) or type(frames).__name__ in TABLES:
        raise DataError(
            f"The function given as data returned {type(frames).__name__}, not an iterable of frames: a list of them, "
            "or a generator, anew at every call. Of one frame it is [frame]."
        )
    return frames


def open_frames(make: Factory, room: Room) -> FrameStream:
    """The stream of a function that gives an iterable of frames: one pass counts their rows.

    Raises: DataError where it gives no frame, or gives fewer rows the second time.
    """
    first: Source | None = None
    total = 0
    for frame in _made(make):
        table = open_source(frame)
        first = table if first is None else first
        total += table.rows
    if first is None:
        raise DataError(
            "The function given as data makes no frame. It returns an iterable of frames, anew at every call."
        )
    return FrameStream(make, first.names, total, room, first.keeps_order)
