"""Any table as named columns: pandas, polars, pyarrow, or a dict of arrays or tensors; a Parquet path is read.

Columns are looked at one by one and only when a formula names them; numeric columns without missing values are views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.numbers import as_tensor, settled
from torchglm.errors import DataError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from torchglm.design.streams.stream import Room

KINDS = (
    "a pandas or polars DataFrame, a pyarrow Table, a dict of arrays or tensors, or what is read piece by piece: "
    "paths of Parquet files, a pyarrow dataset, a DuckDB relation, a polars LazyFrame, or a function that returns an "
    "iterable of frames"
)


WIDTHS = [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
NULLABLE = frozenset((*WIDTHS, "Float32", "Float64", "boolean"))  # pandas' numbers that may be missing
PLAIN = tuple(map(np.dtype, ("float64", "float32", "int64", "int32", "bool")))  # nothing to settle about them


@dataclass(frozen=True)
class Source:
    """A table: names, a number of rows, an index, and columns as pandas Series on request.

    `keeps_order` says that categories stand in an order that somebody chose, also those of arrow columns.
    """

    names: tuple[str, ...]
    rows: int
    index: pd.Index
    table: Any
    keeps_order: bool = False

    def column(self, name: str) -> pd.Series:
        """The column of that name.

        Raises: UnknownNameError, DataError where two columns have that name.
        """
        self.refuse_unknown(name)
        if name not in self._columns:
            self._columns[name] = as_series(self.table[name], name, self.index, self.keeps_order)
        return self._columns[name]

    def for_another_fit(self) -> Source:
        """The same table, of which nothing is remembered that only concerns one fit."""
        return self

    def refuse_unknown(self, name: str) -> None:
        """Nothing, where there is one column of that name.

        Raises: UnknownNameError, DataError where two columns have that name.
        """
        if name not in self._counts:
            raise UnknownNameError(f"The data have no column {name!r}. {did_you_mean(name, self.names)}")
        if self._counts[name] > 1:
            raise DataError(f"The data have {self._counts[name]} columns named {name!r}. Rename them.")

    def __contains__(self, name: str) -> bool:
        return name in self._counts

    @cached_property
    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name in self.names:
            counts[name] = counts.get(name, 0) + 1
        return counts

    @cached_property
    def _columns(self) -> dict[str, pd.Series]:
        return {}


def open_source(data: Any, room: Room | None = None) -> Source:
    """The table that `data` is. What need not fit in memory becomes a stream, which uses as much as `room` allows.

    Without `room`, Parquet files that are small are read at once.
    Raises: DataError where it is none, or where its columns have different lengths.
    """
    if isinstance(data, Source):
        return data.for_another_fit()
    if isinstance(data, pd.DataFrame):
        return Source(tuple(map(str, data.columns)), len(data), data.index, _named(data), keeps_order=True)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    module = _library(data)
    if module == "polars":
        import polars

        if isinstance(data, polars.DataFrame):
            return Source(tuple(data.columns), data.height, pd.RangeIndex(data.height), data)
    elif module == "pyarrow":
        import pyarrow

        if isinstance(data, pyarrow.Table | pyarrow.RecordBatch):
            from_pandas = data.schema.pandas_metadata is not None
            index = pd.RangeIndex(data.num_rows)
            return Source(tuple(data.schema.names), data.num_rows, index, as_written(data), from_pandas)
    from torchglm.design.streams.open import is_small, open_stream, room_of

    small = None if room is not None else is_small(data, room_of())
    if small is not None:
        return _read(small)
    stream = open_stream(data, room or room_of())
    if stream is None:
        raise DataError(f"data must be {KINDS}; got {type(data).__name__}.")
    return stream


@dataclass(frozen=True)
class Written:
    """An Arrow table that pandas made of columns of these `kinds`."""

    table: Any
    kinds: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        kind = self.kinds.get(name)
        return self.table[name] if kind is None else self.table[name].to_pandas(types_mapper=lambda _: kind)

    def __len__(self) -> int:
        return len(self.table)


def as_written(table: Any) -> Any:
    """An Arrow table, with integers that may be missing as pandas had them: else a missing one makes floats of all."""
    columns = (table.schema.pandas_metadata or {}).get("columns", ())
    kinds = {column["name"]: column["numpy_type"] for column in columns}
    kinds = {name: pd.api.types.pandas_dtype(kind) for name, kind in kinds.items() if kind in NULLABLE}
    return Written(table, kinds) if kinds else table


def _library(values: Any) -> str:
    """The package that a value is from, which is only imported where it is in use."""
    return type(values).__module__.partition(".")[0]


def _named(data: pd.DataFrame) -> Any:
    """The frame's columns as they stand, labelled by text (a label 1 is asked for as `1`).

    A shallow copy: what the user later adds, drops or sorts in place does not reach a fit.
    """
    if all(isinstance(name, str) for name in data.columns):
        return data.copy(deep=False)
    return data.set_axis(list(map(str, data.columns)), axis=1)


def _read(path: Path) -> Source:
    try:
        return open_source(pd.read_parquet(path))
    except (ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} is not a Parquet file, or is damaged: {error}") from error


def _from_mapping(data: Mapping[Any, Any]) -> Source:
    lengths = {str(name): np.shape(values)[0] if _dimensions(values) else None for name, values in data.items()}
    if not lengths:
        raise DataError("data is an empty dict: there is no column.")
    scalars = [name for name, n in lengths.items() if n is None]
    if scalars:
        raise DataError(f"Column {scalars[0]!r} of the data is a single value. Give one value a row.")
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r}: {n}" for name, n in list(lengths.items())[:6])
        raise DataError(f"The columns of the data have different lengths: {shown}.")
    indexes = [v.index for v in data.values() if isinstance(v, pd.Series)]
    index = indexes[0] if indexes else None
    if any(not other.equals(index) for other in indexes[1:]):
        raise DataError("The columns of the data are Series with different indexes. Align them, or give arrays.")
    rows = next(iter(lengths.values()))
    assert rows is not None
    keeps_order = all(_library(values) != "pyarrow" for values in data.values())
    table = {str(name): values for name, values in data.items()}
    return Source(tuple(lengths), rows, pd.RangeIndex(rows) if index is None else index, table, keeps_order)


def _dimensions(values: Any) -> int:
    if _library(values) == "pyarrow":  # numpy would copy the column to count them
        return 1
    return values.dim() if isinstance(values, torch.Tensor) else np.ndim(values)


def as_series(values: Any, name: str, index: pd.Index, keeps_order: bool = False) -> pd.Series:
    """One column as a Series, without a copy where its memory allows.

    Raises: DataError for what is not one-dimensional, and for half-precision tensors.
    """
    if _dimensions(values) != 1:
        raise DataError(f"Column {name!r} has {_dimensions(values)} dimensions. A column has one.")
    if isinstance(values, pd.Series):
        series = values
    elif isinstance(values, torch.Tensor):
        series = pd.Series(as_tensor(name, values.detach().cpu()).numpy(), copy=False)
    elif _library(values) == "polars":
        series = _from_polars(values)
    elif _library(values) == "pyarrow":
        series = _from_arrow(values, keeps_order)
    else:
        series = pd.Series(values, copy=False)
    if series.dtype in PLAIN and isinstance(values, pd.Series):
        return series if len(series) == len(index) and series.index.is_(index) else series.set_axis(index)
    if str(series.dtype).startswith("dictionary<"):  # arrow's categories inside a pandas frame
        series = _from_arrow(series.array.__arrow_array__())  # type: ignore[attr-defined]
    if series.index is not index and len(series) == len(index):
        series = series.set_axis(index)
    return settled(series)


def _from_polars(values: Any) -> pd.Series:
    """The column; a Categorical as text, for the order of its categories is that in which the session met them."""
    import polars

    return values.cast(polars.String).to_pandas() if values.dtype == polars.Categorical else values.to_pandas()


def _from_arrow(values: Any, keeps_order: bool = False) -> pd.Series:
    """The column; the categories of a dictionary sorted unless they have an order, for they stand as rows met them."""
    series = values.to_pandas()
    series = series if isinstance(series, pd.Series) else pd.Series(series)
    if not isinstance(series.dtype, pd.CategoricalDtype) or series.cat.ordered or keeps_order:
        return series
    return series.cat.reorder_categories(series.cat.categories.sort_values())
