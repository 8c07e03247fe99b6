"""The response: numbers, two levels, or successes and failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.categorical import Marked, is_categorical, learn_levels
from torchglm.design.numbers import as_tensor, row_label
from torchglm.errors import OptionError, ResponseError, did_you_mean

MOST_CLASSES = 200


@dataclass(frozen=True)
class Counts:
    """What cbind(successes, failures) returns."""

    successes: Any
    failures: Any


def cbind(*columns: Any) -> Counts:
    """Successes and failures of a binomial response: the cbind(a, b) of a formula.

    Raises: ResponseError for any other number of columns.
    """
    if len(columns) != 2:
        raise ResponseError(f"cbind(...) takes two columns, successes and failures; got {len(columns)}.")
    return Counts(*columns)


@dataclass(frozen=True)
class Response:
    """y (rows,) float64 with NaN where missing, or (rows, k); `trials` of a cbind; `levels` of classes, y their codes.

    `is_ordered` says that somebody chose the order of the levels, or that they are numbers; `empty` are levels that
    were declared and have no row.
    """

    y: Tensor
    trials: Tensor | None = None
    levels: tuple[Any, ...] | None = None
    is_ordered: bool = False
    empty: tuple[Any, ...] = ()

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The columns of y, each (rows,)."""
        return (self.y,) if self.y.dim() == 1 else self.y.unbind(1)


def read_response(name: str, value: Any, index: pd.Index) -> Response:
    """The response that an evaluated left-hand side is; `index` labels its rows.

    Raises: ResponseError for negative counts, or categories of more or fewer than two levels.
    """
    if isinstance(value, Counts):
        successes, failures = (as_tensor(name, v).to(torch.float64) for v in (value.successes, value.failures))
        for what, counts in (("successes", successes), ("failures", failures)):
            if bool((counts < 0).any()):
                row = int(torch.nonzero(counts < 0)[0])
                raise ResponseError(
                    f"{name}: the {what} of row {row_label(index, row)} are negative ({float(counts[row])})."
                )
        trials = successes + failures
        return Response(torch.where(trials > 0, successes / trials, 0.0 * trials), trials)
    if is_categorical(value):
        return _two_levels(name, getattr(value, "values", value) if not isinstance(value, pd.Series) else value)
    if isinstance(value, Mapping | pd.DataFrame):
        raise ResponseError(f"The response {name!r} has several columns; a response is one column, or cbind(a, b).")
    tensor = as_tensor(name, value)
    if tensor.dim() != 1:
        raise ResponseError(f"The response {name!r} has {tensor.dim()} dimensions; a response is one column.")
    return Response(tensor)


def read_columns(name: str, value: Any, index: pd.Index) -> Response:
    """The response of a likelihood that may take several columns: y (rows, k) of a cbind(a, b) or a matrix.

    Raises: ResponseError for what is no column of numbers nor several.
    """
    if isinstance(value, Counts):
        parts = [as_tensor(name, part).to(torch.float64) for part in (value.successes, value.failures)]
        return Response(torch.stack(parts, dim=1))
    if isinstance(value, pd.DataFrame):
        value = value.to_numpy()
    if getattr(value, "ndim", 1) == 2:
        return Response(as_tensor(name, value).to(torch.float64))
    return read_response(name, value, index)


def read_classes(name: str, value: Any, base: Any = None) -> Response:
    """The response of a model of classes: categories, text, bool or numbers; y holds the codes of their levels.

    `base` is the level that comes first, where one is given.
    Raises: ResponseError for what is no column of labels, for a single level, and for more than `MOST_CLASSES`;
    OptionError for a base that is no level.
    """
    if isinstance(value, Counts | Mapping | pd.DataFrame):
        raise ResponseError(f"The response {name!r} must be one column with a class a row.")
    inner = getattr(value, "values", value) if not isinstance(value, pd.Series) else value
    declared = value.levels if isinstance(value, Marked) else None
    series = inner if isinstance(inner, pd.Series) else pd.Series(inner)
    levels, codes = learn_levels(name, series, declared)
    if len(levels) < 2:
        raise ResponseError(f"The response {name!r} has {len(levels)} class(es), {levels}: nothing can be told apart.")
    if len(levels) > MOST_CLASSES:
        raise ResponseError(
            f"The response {name!r} has {len(levels)} distinct values, which are no classes. For a number use glm()."
        )
    if base is not None:
        levels, codes = _led_by(name, levels, codes, base)
    chosen = isinstance(series.dtype, pd.CategoricalDtype) and bool(series.dtype.ordered)
    ordered = chosen or declared is not None or pd.api.types.is_numeric_dtype(series.dtype)
    known = (
        declared
        if declared is not None
        else series.cat.categories
        if isinstance(series.dtype, pd.CategoricalDtype)
        else ()
    )
    empty = tuple(level for level in known if level not in set(levels))
    y = torch.from_numpy(np.where(codes < 0, np.nan, codes.astype(np.float64)))
    return Response(y, None, tuple(levels), ordered, empty)


def _led_by(name: str, levels: list[Any], codes: np.ndarray, base: Any) -> tuple[list[Any], np.ndarray]:
    """Levels and codes with `base` first."""
    if base not in levels:
        same = next((level for level in levels if str(level) == str(base)), None)
        hint = (
            did_you_mean(str(base), map(str, levels))
            if same is None
            else f"Its classes are of type {type(same).__name__}: say base={same!r}."
        )
        raise OptionError(f"base={base!r} is no class of {name!r}. {hint}")
    first = levels.index(base)
    order = [first, *(k for k in range(len(levels)) if k != first)]
    place = np.argsort(order)
    return [levels[k] for k in order], np.where(codes < 0, -1, place[codes])


def _two_levels(name: str, values: Any) -> Response:
    levels, codes = learn_levels(name, values, None)
    if len(levels) != 2:
        shown = ", ".join(repr(level) for level in levels[:6]) + (", ..." if len(levels) > 6 else "")
        raise ResponseError(
            f"The response {name!r} is text or categories with {len(levels)} levels ({shown}). "
            "A response is numbers, or two levels of which the first is failure."
        )
    y = torch.from_numpy(np.where(codes < 0, np.nan, codes.astype(np.float64)))
    return Response(y, levels=(levels[0], levels[1]))
