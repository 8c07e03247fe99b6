"""The columns that responses= names or holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.fingerprint import looked_at
from torchglm.design.numbers import as_tensor
from torchglm.design.sources import Source, open_source
from torchglm.errors import DataError, OptionError
from torchglm.many.fits import written_over

TAKES = "responses= takes names of columns, a table or an array (rows, responses)"


@dataclass(frozen=True)
class Columns:
    """m responses: names, and the values (rows of the data, k) of any k of them."""

    names: pd.Index
    source: Source
    table: np.ndarray | None  # (rows of the data, m); None: columns of the data
    sums: dict[int, int] = field(default_factory=dict, compare=False, repr=False)  # of each when it was first read

    def values(self, some: list[int]) -> Tensor:
        """(rows of the data, k) float64, NaN where missing.

        Raises: DataError for what is no column of numbers, or was written over since it was read.
        """
        if self.table is not None:
            found = as_tensor("responses=", self.table[:, some]).to(torch.float64)
        else:
            names = [self.names[k] for k in some]
            read = [as_tensor(name, self.source.column(name)).to(torch.float64) for name in names]
            found = torch.stack(read, dim=1)
        for place, total in zip(some, sums_of(found).tolist(), strict=True):
            if self.sums.setdefault(place, total) != total:
                raise written_over("responses")
        return found


def sums_of(values: Tensor) -> Tensor:
    """(k,) what tells that columns (rows, k) were written over: sums of their bits, whatever the order."""
    return values[:: looked_at(len(values))].contiguous().view(torch.int64).sum(0)


def read_columns(responses: Any, source: Source) -> Columns:
    """The responses that an argument names or holds.

    Raises: DataError for another number of rows, and for a DataFrame of other labels; OptionError for anything else;
    UnknownNameError for a column that is not there.
    """
    given = responses.tolist() if isinstance(responses, pd.Index) else responses
    if isinstance(given, list | tuple) and not given:
        raise OptionError(f"{TAKES}; got an empty {type(given).__name__}.")
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        for name in given:
            source.column(name)
        names, table = pd.Index(given), None
    elif isinstance(given, pd.DataFrame):
        names, table = given.columns, aligned_rows(given, source).to_numpy()
    elif isinstance(given, str) or not isinstance(given, Tensor | np.ndarray | list | tuple):
        names, table = _of_table(given)
    else:
        table = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
        if table.ndim != 2:
            raise OptionError(f"{TAKES}; got {type(given).__name__} of {table.ndim} dimension(s).")
        names = pd.Index([f"y{k + 1}" for k in range(table.shape[1])])
    if table is not None and len(table) != source.rows:
        raise DataError(f"responses= has {len(table)} rows; the data have {source.rows}.")
    if not len(names) or not names.is_unique:
        raise OptionError(f"responses= needs distinct names; got {len(names)}, {len(set(names))} of them distinct.")
    return Columns(names.rename("response"), source, table)


def _of_table(given: Any) -> tuple[pd.Index, np.ndarray]:
    """Names and values of a polars, pyarrow or other table."""
    if isinstance(given, str):
        raise OptionError(f"{TAKES}; got the text {given!r}. For one column: responses=[{given!r}].")
    try:
        table = open_source(given)
    except DataError as error:
        raise OptionError(f"{TAKES}; got {type(given).__name__}.") from error
    return pd.Index(table.names), np.column_stack([table.column(name).to_numpy() for name in table.names])


def aligned_rows(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The frame with its rows in the order of the data.

    Raises: DataError for other labels.
    """
    if frame.index.equals(source.index) or len(frame) != source.rows:
        return frame
    if not frame.index.is_unique or set(frame.index) != set(source.index):
        raise DataError("responses= is a DataFrame whose index is not that of the data. Align it, or give .to_numpy().")
    return frame.reindex(source.index)
