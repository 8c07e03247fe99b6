"""Tidy tables of effects, and groups of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.jacobian import Groups
from torchglm.inference.rows import EvaluatedRows


def names_of(role: str, given: Any) -> list[str]:
    """One name or several as a list.

    Raises: OptionError for what is neither, and for none.
    """
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else None
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{role}= takes a name or a list of names; got {given!r}.")
    return list(dict.fromkeys(names))


def groups_by(rows: EvaluatedRows, by: Any) -> tuple[pd.DataFrame, Groups]:
    """One row of labels a group, sorted, and the group of each row. Without `by`: one group without labels.

    A missing value is a group of its own.
    Raises: UnknownNameError for a column that is not there.
    """
    if by is None:
        return pd.DataFrame(index=pd.RangeIndex(1)), Groups()
    names = names_of("by", by)
    frame = pd.DataFrame({name: rows.column(name).reset_index(drop=True) for name in names})
    codes = frame.groupby(names, sort=True, dropna=False, observed=True).ngroup().to_numpy(copy=True)
    _, first = np.unique(codes, return_index=True)
    return frame.iloc[first].reset_index(drop=True), Groups(torch.from_numpy(codes), len(first))


def weighted_means(values: Tensor, weights: Tensor | None, groups: Groups) -> Tensor:
    """(groups,) the average of (rows,) values in each group."""
    weights = torch.ones_like(values) if weights is None else weights
    return groups.sum(values * weights) / groups.sum(weights)


def row_table(rows: EvaluatedRows, labels: dict[str, Any], columns: dict[str, Any]) -> pd.DataFrame:
    """A table with the index of the data, NaN in the numbers of rows that are not complete."""
    if rows.kept is None:
        return pd.DataFrame({**labels, **columns}, index=rows.source.index)
    full = {}
    for name, values in columns.items():
        full[name] = np.full(rows.source.rows, np.nan)
        full[name][rows.kept] = values
    return pd.DataFrame({**labels, **full}, index=rows.source.index)


def labelled(labels: dict[str, Any], groups: pd.DataFrame, columns: dict[str, Any]) -> pd.DataFrame:
    """One row a group: labels, those of the groups, numbers."""
    index = groups.index
    return pd.concat([pd.DataFrame(labels, index=index), groups, pd.DataFrame(columns, index=index)], axis=1)
