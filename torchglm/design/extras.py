"""Weights, offset, exposure: a column name, an expression in the data, or an array, one value a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.environment import DataColumns, evaluate
from torchglm.design.numbers import as_tensor
from torchglm.design.sources import Source
from torchglm.design.terms import Factor
from torchglm.errors import DataError, OptionError


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

    def read(self, data: DataColumns, caller: Mapping[str, Any]) -> Tensor:
        """(rows,) float64, NaN where missing.

        Raises: DataError for an array of another length; what evaluating an expression raises.
        """
        if self.factor is not None:
            value = evaluate(self.factor, data, caller, {})
        else:
            value = self.array if data.rows is None else np.asarray(self.array)[data.rows]
        tensor = as_tensor(f"{self.role}={self.label}", value)
        return tensor.to(torch.float64)


def read_extra(role: str, given: Any, source: Source) -> Extra | None:
    """The argument in that role, or None where it was not given.

    Raises: DataError for an array of another length than the data; OptionError for anything else.
    """
    if given is None:
        return None
    if isinstance(given, str):
        return Extra(role, Factor(given, "lookup" if given in source else "python"))
    array = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else given
    if np.ndim(array) != 1:
        raise OptionError(f"{role}= takes a column name, an expression or one value a row; got {type(given).__name__}.")
    if len(array) != source.rows:
        raise DataError(f"{role}= has {len(array)} values for {source.rows} rows of data.")
    if isinstance(array, pd.Series) and not array.index.equals(source.index):
        if not array.index.is_unique or set(array.index) != set(source.index):
            raise DataError(f"{role}= is a Series whose index is not that of the data. Align it, or give .to_numpy().")
        array = array.reindex(source.index)
    return Extra(role, array=array)
