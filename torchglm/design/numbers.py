"""Numeric values of any kind -> torch tensors, without a copy where the memory can be shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import DataError

SHARED = "fib"  # numpy kinds that torch can look at in place: floats, signed integers, bool
NUMBERS = ("integer", "integer-na", "floating", "mixed-integer-float", "decimal")  # pandas' words for objects


def as_tensor(name: str, values: Any) -> Tensor:
    """`values` as a tensor of their own dtype: a view of their memory where there is one, NaN where missing.

    Raises: DataError for text, dates, complex and half-precision numbers.
    """
    if isinstance(values, Tensor):
        return _checked(name, values)
    array = _as_array(name, values)
    if array.dtype.kind not in SHARED or array.dtype.byteorder == ">" or array.dtype == np.longdouble:
        array = array.astype(np.float64)
    return _checked(name, view_of(array))


def view_of(array: np.ndarray) -> Tensor:
    """A tensor over the array's memory. It is only ever read, so that read-only memory is fine.

    A column of a frame's block becomes a view into a tensor of the whole block, so that columns know their neighbours.
    """
    root = array
    while isinstance(root.base, np.ndarray) and root.base.dtype == array.dtype:
        root = root.base
    if any(stride < 0 for stride in (*array.strides, *root.strides)):
        return torch.from_numpy(array.copy())
    whole = torch.from_numpy(root if root.flags.writeable else np.asarray(_Readable(root)))
    size = array.itemsize
    offset = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return whole.as_strided(array.shape, [stride // size for stride in array.strides], offset // size)


class _Readable:
    """Read-only memory offered as writable: torch warns of the other kind, and nothing here writes.

    Silencing the warning instead would change the filters of every thread.
    """

    def __init__(self, array: np.ndarray):
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}


def row_label(index: pd.Index, row: int) -> str:
    """The label of a row as a message shows it."""
    label = index[row]
    return repr(label.item() if isinstance(label, np.generic) else label)


def settled(series: pd.Series) -> pd.Series:
    """The series in a plain dtype: objects that are all numbers or all bool as what they are, native byte order."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and (dtype.byteorder == ">" or dtype == np.longdouble):
        return series.astype(np.float64 if dtype == np.longdouble else dtype.newbyteorder("="))
    if dtype.kind != "O" or not isinstance(dtype, np.dtype):
        return series
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "boolean":
        return series.astype("boolean") if bool(series.isna().any()) else series.astype(bool)
    if kind not in NUMBERS:
        return series
    missing = series.isna()
    if not bool(missing.any()) and kind == "integer":
        return pd.to_numeric(series)  # type: ignore[return-value]
    return series.mask(missing, np.nan).astype(np.float64)  # type: ignore[return-value]


def _as_array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, pd.Series | np.ndarray) and values.dtype == object and values.ndim == 1:
        values = settled(pd.Series(values))
    dtype = getattr(values, "dtype", None)
    if isinstance(values, pd.Series | pd.api.extensions.ExtensionArray) and not isinstance(dtype, np.dtype):
        if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
            missing = bool(values.isna().any())
            if missing or "decimal" in str(dtype):
                return values.to_numpy(dtype=np.float64, na_value=np.nan)
            return values.to_numpy()
        raise DataError(_refusal(name, dtype))
    array = values.to_numpy() if isinstance(values, pd.Series) else np.asarray(values)
    if array.dtype.kind == "O":
        raise DataError(_refusal(name, pd.api.types.infer_dtype(array.reshape(-1), skipna=True)))
    if array.dtype.kind in "MmUSc" or array.dtype == np.float16:
        raise DataError(_refusal(name, array.dtype))
    return array


def _refusal(name: str, dtype: Any) -> str:
    text = str(dtype)
    if "datetime" in text or "date" in text or "timestamp" in text or "period" in text:
        return (
            f"{name!r} holds dates ({text}). Make numbers or categories of them first, for instance "
            "df['day'] = (df['date'] - df['date'].min()).dt.days, or C(date.dt.month) in the formula."
        )
    if "timedelta" in text or "duration" in text:
        return (
            f"{name!r} holds time differences ({text}). Make numbers of them first, for instance .dt.total_seconds()."
        )
    if text in ("float16", "torch.float16", "halffloat[pyarrow]", "torch.bfloat16"):
        return (
            f"{name!r} holds half-precision numbers ({text}), too coarse for a fit. Convert them to float32 or float64."
        )
    if "complex" in text:
        return f"{name!r} holds complex numbers ({text}). A GLM needs real ones."
    return f"{name!r} holds text or objects ({text}) where numbers are needed. Convert it, or mark it as C(...)."


def _checked(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype in (torch.float16, torch.bfloat16) or tensor.is_complex():
        raise DataError(_refusal(name, tensor.dtype))
    return tensor


def missing_rows(name: str, tensor: Tensor, index: pd.Index) -> Tensor | None:
    """(rows,) True where NaN, or None where there is none. One sum over the rows tells most of the time.

    Raises: DataError naming the first infinite row.
    """
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return None
    infinite = torch.isinf(tensor)
    if bool(infinite.any()):
        row = int(torch.nonzero(infinite)[0])
        raise DataError(
            f"{name!r} is infinite ({float(tensor[row])}) in row {row_label(index, row)}, "
            f"and in {int(infinite.sum())} row(s) in all. "
            "Infinite values are never dropped: correct them, or leave the rows out with subset=."
        )
    missing = torch.isnan(tensor)
    return missing if bool(missing.any()) else None
