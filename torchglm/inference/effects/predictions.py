"""Adjusted predictions: at the rows, on a grid, or averaged over the rows, which a grid may set to its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.effects.grid import asked_values, crossed, reference_grid
from torchglm.inference.effects.table import groups_by, labelled, row_table, weighted_means
from torchglm.inference.effects.variables import variables_of
from torchglm.inference.jacobian import Groups, Jacobian, eta_errors
from torchglm.inference.prediction.predict import check_scale, mapped
from torchglm.inference.record import Record
from torchglm.inference.rows import EvaluatedRows, rows_of_data
from torchglm.inference.setting import Setting
from torchglm.inference.wald import errors_of, quantile


def predictions(
    rows: EvaluatedRows,
    grid: Any,
    by: Any,
    average: bool,
    scale: str,
    level: float,
    given: Mapping[str, Any],
) -> pd.DataFrame:
    """Predictions with standard errors and intervals; `given` holds offset and exposure for a grid.

    Raises: OptionError, UnknownNameError, LevelError, DataError.
    """
    check_scale(scale)
    if average:
        return _averages(rows, grid, by, scale, level)
    if by is not None:
        raise OptionError("by= averages predictions over groups: it needs average=True.")
    if grid is None:
        return row_table(rows, {}, interval_columns(rows.record, *_linear(rows), scale, level))
    frame = reference_grid(rows, "grid", grid)
    at = rows_of_data(rows.record, frame, _spread_over(given, len(frame)), "grid=")
    if at.kept is not None:
        raise OptionError("grid= holds a missing value, or one where a transform of the formula is not defined.")
    columns = interval_columns(rows.record, *_linear(at), scale, level)
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)


def _spread_over(given: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """One number stands for all rows of a grid."""
    return {name: np.full(rows, float(v)) if isinstance(v, int | float) else v for name, v in given.items()}


def _linear(rows: EvaluatedRows) -> tuple[Tensor, Tensor]:
    """eta of each row and its standard error."""
    return rows.setting.eta(rows.theta), eta_errors(rows.setting, rows.record.defined_covariance)


def interval_columns(
    record: Record, eta: Tensor, error: Tensor, scale: str, level: float, critical: Any = None
) -> dict[str, np.ndarray]:
    """estimate, std.error, conf.low, conf.high; those of means are eta's, the interval mapped by the link.

    `critical` stands in for the quantile of the level.
    """
    half = (quantile(record, level) if critical is None else critical) * error
    low, high = eta - half, eta + half
    if scale == "response":
        low, high = mapped(record, low, high)
        error = error * record.family.link.derivative(eta).abs()
        eta = record.family.mean(eta)
    columns = {"estimate": eta, "std.error": error, "conf.low": low, "conf.high": high}
    return {name: values.numpy() for name, values in columns.items()}


def _averages(rows: EvaluatedRows, grid: Any, by: Any, scale: str, level: float) -> pd.DataFrame:
    labels, groups = groups_by(rows, by)
    if grid is None:
        return labelled({}, labels, _averaged(rows, rows.setting, groups, scale, level))
    known = variables_of(rows, offsets=True)
    frame = crossed("grid", asked_values(rows, "grid", grid))
    if by is not None and (repeated := set(labels) & set(frame)):
        raise OptionError(f"by= and grid= both name {min(repeated)!r}, which the grid sets to its values.")
    tables = []
    for point in frame.to_dict("records"):
        new = {str(name): v if known[str(name)].levels is not None else float(v) for name, v in point.items()}
        columns = _averaged(rows, rows.changed(new), groups, scale, level)
        tables.append(labelled({str(name): v for name, v in point.items()}, labels, columns))
    return pd.concat(tables, ignore_index=True)


def _averaged(rows: EvaluatedRows, setting: Setting, groups: Groups, scale: str, level: float) -> dict[str, np.ndarray]:
    """Each group's average prediction, with a symmetric interval: an average of means has no link to map by."""
    eta, family = setting.eta(rows.theta), rows.record.family
    mean, slope = (eta, torch.ones_like(eta)) if scale == "link" else (family.mean(eta), family.link.derivative(eta))
    jacobian = Jacobian((setting.columns,), (slope,), len(rows.theta))
    estimate = weighted_means(mean, rows.weights, groups)
    error = errors_of(jacobian.averages(rows.weights, groups), rows.record.defined_covariance)
    half = quantile(rows.record, level) * error
    columns = {"estimate": estimate, "std.error": error, "conf.low": estimate - half, "conf.high": estimate + half}
    return {name: values.numpy() for name, values in columns.items()}
