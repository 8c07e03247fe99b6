"""Weights, offset, exposure: a column name, an expression in the data, or an array, one value a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.environment import DataColumns, Evaluate, evaluate
from torchglm.design.numbers import as_tensor, row_label
from torchglm.design.request import Request
from torchglm.design.sources import Source, as_series
from torchglm.design.terms import Factor, Parsed
from torchglm.design.weights import KINDS, first_bad_weight
from torchglm.errors import DataError, OptionError, WeightError


@dataclass(frozen=True)
class Extra:
    """One such argument: `factor` where it was text, else the `array` given for the rows of the fit."""

    role: str  # the argument's name
    factor: Factor | None = None
    array: Any = None

    @property
    def label(self) -> str:
        """As a summary names it."""
        return self.factor.text if self.factor is not None else "an array"

    def read(self, data: DataColumns, caller: Mapping[str, Any], evaluated: Evaluate = evaluate) -> Tensor:
        """(rows,) float64, NaN where missing.

        Raises: DataError for an array of another length; what evaluating an expression raises.
        """
        if self.factor is not None:
            value = evaluated(self.factor, data, caller, {})
        else:
            value = self.array if data.rows is None else self.array[data.rows]
        tensor = as_tensor(f"{self.role}={self.label}", value).to(torch.float64)
        rows = data.source.rows if data.rows is None else int(data.rows.sum())
        return tensor if tensor.dim() else tensor.expand(rows)


def read_extra(role: str, given: Any, source: Source) -> Extra | None:
    """The argument in that role, or None where it was not given.

    Raises: DataError or WeightError for an array of another length than the data; OptionError for anything else.
    """
    if given is None:
        return None
    if isinstance(given, str):
        return Extra(role, Factor(given, "lookup" if given in source else "python"))
    given = given.detach().cpu() if isinstance(given, torch.Tensor) else given
    if np.ndim(given) != 1 or isinstance(given, (dict, set)):
        raise OptionError(f"{role}= takes a column name, an expression or one value a row; got {type(given).__name__}.")
    if len(given) != source.rows:
        kind = WeightError if role in KINDS else DataError
        raise kind(f"{role}= has {len(given)} values for {source.rows} rows of data.")
    return Extra(role, array=as_series(aligned(role, given, source), f"{role}=", source.index))


def aligned(role: str, given: Any, source: Source) -> Any:
    """The argument with its rows in the order of the data: a Series of the same labels is put in order.

    Raises: DataError for a Series of other labels.
    """
    if not isinstance(given, pd.Series) or given.index.equals(source.index):
        return given
    if not given.index.is_unique or set(given.index) != set(source.index):
        raise DataError(f"{role}= is a Series whose index is not that of the data. Align it, or give .to_numpy().")
    return given.reindex(source.index)


def refuse_bad_weights(extra: Extra, values: Tensor, index: pd.Index) -> None:
    """Nothing, where no weight is negative or infinite.

    Raises: WeightError naming the first that is.
    """
    bad = first_bad_weight(values)
    if bad is not None:
        raise WeightError(
            f"{extra.role}={extra.label} is {float(values[bad])} in row {row_label(index, bad)}. Weights are >= 0."
        )


def read_extras(parsed: Parsed, source: Source, request: Request) -> list[Extra]:
    """Offsets, exposure and weights of a formula and of the arguments beside it.

    Raises: OptionError for weights of two meanings; what `read_extra` raises.
    """
    given = {name: getattr(request, name) for name in KINDS}
    if sum(value is not None for value in given.values()) > 1:
        both = " and ".join(f"{name}=" for name, value in given.items() if value is not None)
        raise OptionError(f"{both} contradict each other: a weight has one meaning. See docs/weights.md.")
    extras = [Extra("offset", factor) for factor in parsed.offsets]
    extras.extend(read_extra(role, getattr(request, role), source) for role in ("offset", "exposure"))  # type: ignore[arg-type]
    extras.extend(read_extra(role, value, source) for role, value in given.items())  # type: ignore[arg-type]
    return [extra for extra in extras if extra is not None]
