"""Contrasts of predictions: linear combinations of the predictions for some rows, with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.jacobian import Jacobian
from torchglm.inference.prediction.predict import check_scale
from torchglm.inference.record import Record
from torchglm.inference.rows import rows_of_data
from torchglm.inference.wald import errors_of, wald_columns


def contrast(
    record: Record, data: Any, weights: Any, scale: str, level: float, given: Mapping[str, Any]
) -> pd.DataFrame:
    """Linear combinations of the predictions for the rows of `data`, a labelled row each.

    weights  {"label": one weight a row, ...}, or an array (m, rows) or (rows,)
    scale    "link", or "response": means combined, standard errors by the delta method

    Raises: OptionError for weights of another shape; DataError, LevelError, UnknownNameError.
    """
    check_scale(scale)
    labels, table = _combinations(weights)
    rows = rows_of_data(record, data, given)
    if table.shape[1] != rows.rows:
        raise OptionError(f"weights= has {table.shape[1]} weights for {rows.rows} complete rows of data.")
    eta = rows.setting.eta(rows.theta)
    center, slope = eta, torch.ones_like(eta)
    if scale == "response":
        center, slope = record.family.mean(eta), record.family.link.derivative(eta)
    derivatives = Jacobian((rows.setting.columns,), (slope,), len(rows.theta)).combined(table)
    columns = wald_columns(record, table @ center, errors_of(derivatives, record.defined_covariance), level)
    return pd.DataFrame(columns, index=pd.Index(labels))


def _combinations(weights: Any) -> tuple[list[str], Tensor]:
    """Labels, and the weights (m, rows)."""
    named = weights if isinstance(weights, Mapping) else None
    try:
        table = np.atleast_2d(np.array(list(named.values()) if named is not None else weights, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise OptionError(f"weights= is one number a row, or a dict of such rows; got {weights!r}.") from error
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise OptionError(f"weights= is one finite number a row, or a dict of such rows; got {weights!r}.")
    labels = [f"contrast {k + 1}" for k in range(len(table))] if named is None else list(map(str, named))
    return labels, torch.from_numpy(table)
