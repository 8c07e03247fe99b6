"""Whatever can be read in pieces as a stream, and how much room one has."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchglm.design.sources import KINDS, Source
from torchglm.design.streams.stream import Room, source_of
from torchglm.errors import DataError, OptionError
from torchglm.numerics.machine import large_directory, memory_bytes

SHARE = 8  # of the memory there is: one part is a stream's, unless memory_limit= says otherwise
UNITS = {"": 1, "K": 1_000, "M": 1_000**2, "G": 1_000**3, "T": 1_000**4}
SIZE = re.compile(r"(\d+\.?\d*|\.\d+)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
SUFFIXES = (".parquet", ".pq")


def room_of(memory_limit: Any = None, cache: Any = None) -> Room:
    """The room that `memory_limit` (bytes, or text as "512 MB") and `cache` (a directory) give.

    Raises: OptionError.
    """
    given = large_directory() if cache is None else cache
    if not isinstance(given, str | os.PathLike) or not Path(given).is_dir():
        raise OptionError(f"cache= is a directory that is there; got {given!r}.")
    return Room(_bytes(memory_limit), Path(given))


def _bytes(limit: Any) -> int:
    if limit is None:
        return memory_bytes() // SHARE
    size = limit
    if isinstance(limit, str) and (read := SIZE.fullmatch(limit.strip())):
        step = UNITS[read[2].upper()]
        size = float(read[1]) * (step if not read[3] else 1024 ** list(UNITS).index(read[2].upper()))
    if isinstance(size, bool) or not isinstance(size, int | float) or not 1_000_000 <= size < float("inf"):
        raise OptionError(f'memory_limit= is bytes, a million at least, or text as "512 MB"; got {limit!r}.')
    return int(size)


def open_stream(data: Any, room: Room) -> Source | None:
    """The streamed table that `data` is; None where it is none.

    Raises: DataError.
    """
    opened = _opener(data)
    return None if opened is None else source_of(opened(room))


def is_small(data: Any, room: Room) -> Path | None:
    """The one Parquet file that `data` names, where its columns together take less than a quarter of the room."""
    from torchglm.design.streams.parquet import uncompressed_bytes

    if not _is_paths(data):
        return None
    paths = files_of(data)
    return paths[0] if len(paths) == 1 and uncompressed_bytes(paths[0]) <= room.memory // 4 else None


def files_of(data: Any) -> list[Path]:
    """The Parquet files that a path, a pattern, a directory or a list of them names, in the order of their names.

    Raises: DataError where there is none.
    """
    if isinstance(data, list | tuple):
        return [path for one in data for path in files_of(one)]
    if not str(data):
        raise DataError("data is an empty path: name a file or a directory.")
    path = Path(data)
    if path.is_dir():
        return _files_below(path)
    if glob.has_magic(str(data)) and not path.exists():
        found = sorted(map(Path, glob.glob(str(data), recursive=True)))
        if not found:
            raise DataError(f"No file matches {str(data)!r}.")
        return found
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"data must be {KINDS}; got the path {str(path)!r}. Read it into a frame first.")
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}.")
    return [path]


def _files_below(directory: Path) -> list[Path]:
    """The Parquet files of a directory and those inside it; names that begin with _ or . are no data, as for pyarrow.

    Raises: DataError where there is none, or where names are the values of a column.
    """
    below = {p: p.relative_to(directory).parts for p in directory.rglob("*") if p.suffix.lower() in SUFFIXES}
    found = sorted(p for p, parts in below.items() if not any(part.startswith(("_", ".")) for part in parts))
    if not found:
        raise DataError(f"The directory {str(directory)!r} holds no Parquet file.")
    columns = [part for p in found for part in below[p][:-1] if "=" in part]
    if columns:
        raise DataError(
            f"Names like {columns[0]!r} in {str(directory)!r} are values of a column, which the files do not hold: "
            f"give pyarrow.dataset.dataset({str(directory)!r}, partitioning='hive'), or without that column "
            f"{str(directory / '**' / '*.parquet')!r}."
        )
    return found


def _opener(data: Any) -> Callable[[Room], Any] | None:
    kind, module = type(data).__name__, type(data).__module__.partition(".")[0]
    if _is_paths(data):
        from torchglm.design.streams.parquet import open_parquet

        return lambda room: open_parquet(files_of(data), room)
    if module == "polars" and kind == "LazyFrame":
        from torchglm.design.streams.readers import open_lazy

        return lambda room: open_lazy(data, room)
    if module == "pyarrow" and "Dataset" in kind:
        from torchglm.design.streams.readers import open_dataset

        return lambda room: open_dataset(data, room)
    if module in ("duckdb", "_duckdb") and "Relation" in kind:
        from torchglm.design.streams.readers import open_duckdb

        return lambda room: open_duckdb(data, room)
    if callable(data) and not isinstance(data, type):
        from torchglm.design.streams.frames import open_frames

        make: Callable[[], Any] = data
        return lambda room: open_frames(make, room)
    return None


def _is_paths(data: Any) -> bool:
    if isinstance(data, str | Path):
        return True
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(one, str | Path) for one in data)
