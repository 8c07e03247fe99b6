"""The response: numbers, two levels, or successes and failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.categorical import is_categorical, learn_levels
from torchglm.design.numbers import as_tensor, row_label
from torchglm.errors import ResponseError


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
    """y (rows,) float64 with NaN where missing; `trials` of a cbind; `levels` of a two-level response."""

    y: Tensor
    trials: Tensor | None = None
    levels: tuple[Any, Any] | None = None


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
