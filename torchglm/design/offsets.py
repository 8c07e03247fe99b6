"""Offsets: what is added to a linear predictor, in the data of a fit and in new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.environment import DataColumns, Evaluate, evaluate
from torchglm.design.extras import Extra, read_extra
from torchglm.design.numbers import row_label
from torchglm.design.sources import Source
from torchglm.errors import DataError, OptionError


def log_exposure(values: Tensor, label: str, index: pd.Index) -> Tensor:
    """log of the exposures.

    Raises: DataError where one is not positive.
    """
    if bool((values <= 0).any()):
        row = int(torch.nonzero(values <= 0)[0])
        raise DataError(
            f"exposure={label} must be positive, for its log is added to the linear predictor; "
            f"row {row_label(index, row)} has {float(values[row])}."
        )
    return values.log()


def new_offset(
    prepared_offsets: tuple[Extra, ...],
    exposure: Extra | None,
    source: Source,
    rows: np.ndarray | None,
    caller: Mapping[str, Any],
    given: Mapping[str, Any],
    evaluated: Evaluate = evaluate,
) -> Tensor | None:
    """The offset of new data: every offset of the fit evaluated there again; `given` replaces one that was an array.

    Raises: DataError where the fit's offset was an array and none is given.
    """
    data, total = DataColumns(source, rows), None
    _refuse_unused(prepared_offsets, exposure, given)
    for extra in (*prepared_offsets, *(() if exposure is None else (exposure,))):
        if extra.factor is None:
            value = given.get(extra.role)
            if value is None:
                raise DataError(
                    f"The fit's {extra.role} was an array of its own rows. Give {extra.role}= for the new rows "
                    f"({'ones' if extra.role == 'exposure' else 'zeros'} for none), or fit with the name of a column."
                )
            extra = read_extra(extra.role, value, source) or extra
        column = extra.read(data, caller, evaluated)
        if extra.role == "exposure":
            column = log_exposure(column, extra.label, source.index if rows is None else source.index[rows])
        total = column if total is None else total + column
    return total


def _refuse_unused(offsets: tuple[Extra, ...], exposure: Extra | None, given: Mapping[str, Any]) -> None:
    """Nothing, where every argument given replaces an array of the fit.

    Raises: OptionError: it would be left out of the prediction without a word.
    """
    arrays = {extra.role for extra in (*offsets, exposure) if extra is not None and extra.factor is None}
    for role, value in given.items():
        if value is not None and role not in arrays:
            raise OptionError(
                f"{role}= of predict() replaces an array of the fit, and this fit has none: what the formula or "
                f"{role}= named is evaluated again in the new data."
            )
