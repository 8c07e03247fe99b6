"""Rows that something is missing in: dropped together, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from torchglm.design.keys import read_key
from torchglm.design.learn import raw_missing
from torchglm.design.numbers import row_label
from torchglm.design.sources import Source
from torchglm.design.terms import Factor
from torchglm.errors import DataError


def drop_raw(
    factors: Sequence[Factor],
    source: Source,
    rows: np.ndarray | None,
    policy: str,
    trusted: frozenset[str] = frozenset(),
) -> np.ndarray | None:
    """(rows of the table,) True where also no column is missing that the factors use, those `trusted` aside.

    Raises: DataError where the policy is to raise, or no row is left.
    """
    found = raw_missing(factors, source, rows, trusted)
    if not found:
        return rows
    if policy == "raise":
        raise missing_values(found, source.index if rows is None else source.index[rows])
    keep = ~np.logical_or.reduce(list(found.values()))
    if not keep.any():
        raise nothing_complete({name: int(mask.sum()) for name, mask in found.items()})
    return _restrict(rows, keep)


def drop_without_key(
    role: str, key: Any, source: Source, rows: np.ndarray | None, policy: str, caller: Mapping[str, Any]
) -> np.ndarray | None:
    """(rows of the table,) True where also the key of that role, "cluster" or "by", is known.

    Raises: as `drop_raw`.
    """
    label, values = read_key(role, key, source, caller)
    missing = values.isna().to_numpy() if rows is None else values.isna().to_numpy()[rows]
    if not missing.any():
        return rows
    if policy == "raise":
        raise missing_key(f"{role}={label}", missing, source.index if rows is None else source.index[rows])
    if missing.all():
        raise DataError(f"No row is left: {role}={label} is missing in every row.")
    return _restrict(rows, ~missing)


def drop_evaluated(rows: np.ndarray | None, missing: Tensor, policy: str, formula: str) -> np.ndarray:
    """(rows of the table,) True where also every factor has a value.

    Raises: as `drop_raw`.
    """
    if policy == "raise":
        raise missing_values_made(formula, int(missing.sum()))
    keep = ~missing.numpy()
    if not keep.any():
        raise nothing_left(formula)
    return _restrict(rows, keep)


def _restrict(rows: np.ndarray | None, keep: np.ndarray) -> np.ndarray:
    if rows is None:
        return keep
    out = rows.copy()
    out[rows] = keep
    return out


def missing_values(found: Mapping[str, np.ndarray], index: pd.Index) -> DataError:
    """The error of columns with missing values: name -> (rows,) True where missing."""
    shown = ", ".join(f"{name!r} ({int(mask.sum())} rows)" for name, mask in found.items())
    name, mask = next(iter(found.items()))
    return DataError(
        f"Missing values in {shown}; the first in {name!r} at row {row_label(index, int(np.argmax(mask)))}. "
        'missing="raise" refuses them: fill them, or say missing="drop".'
    )


def missing_key(label: str, missing: np.ndarray, index: pd.Index) -> DataError:
    """The error of rows without a key, named as cluster=firm."""
    return DataError(
        f"{label} is missing in {int(missing.sum())} row(s), the first at row "
        f'{row_label(index, int(missing.argmax()))}. missing="raise" refuses them: fill them, or say missing="drop".'
    )


def missing_values_made(formula: str, count: int) -> DataError:
    """The error of a transform that makes values missing."""
    return DataError(f'Evaluating {formula!r} makes {count} row(s) missing, and missing="raise".')


def nothing_complete(lost: Mapping[str, int]) -> DataError:
    """The error of data without a complete row: column -> how often it is missing."""
    shown = ", ".join(f"{name!r} ({count} rows)" for name, count in lost.items())
    return DataError(f"No row is complete: every row has a missing value in {shown}.")


def nothing_left(formula: str) -> DataError:
    """The error of a formula that is defined nowhere."""
    return DataError(
        f"No row is left: evaluating {formula!r} makes every row missing. A transform such as "
        "scale() spreads one missing value over all rows: leave rows without a defined argument out with subset=."
    )
