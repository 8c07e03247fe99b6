"""Predictions for new rows, with standard errors and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.environment import Evaluate, evaluate
from torchglm.design.learn import apply, complete_rows
from torchglm.design.offsets import new_offset
from torchglm.design.request import has_rows
from torchglm.design.sources import Source, open_source
from torchglm.design.streams.own_rows import OwnRows
from torchglm.design.streams.pieces import pieces_of
from torchglm.design.streams.stream import StreamedSource
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.jacobian import LARGEST_MATRIX, eta_errors
from torchglm.inference.prediction.interval import prediction_interval
from torchglm.inference.record import Record
from torchglm.inference.setting import Setting
from torchglm.inference.wald import check_level, errors_of, quantile

SCALES = ("response", "link")
INTERVALS = (None, "confidence", "simultaneous", "prediction")


@dataclass(frozen=True)
class Asked:
    """What predict() was asked for."""

    scale: str = "response"
    se: bool = False
    interval: str | None = None
    level: float = 0.95
    new_levels: str = "raise"


@dataclass(frozen=True)
class Linear:
    """eta (rows,) with its standard error (rows,) or None, over the complete rows; `kept` tells which they are."""

    eta: Tensor
    se: Tensor | None
    kept: np.ndarray
    index: pd.Index


def check_scale(scale: str) -> None:
    """Nothing, for "response" or "link".

    Raises: OptionError.
    """
    if scale not in SCALES:
        raise OptionError(f'scale= is "link" or "response"; got {scale!r}.')


def check(asked: Asked) -> None:
    """Nothing, for a request that means something.

    Raises: OptionError.
    """
    check_scale(asked.scale)
    if asked.interval not in INTERVALS:
        raise OptionError(f'interval= is None, "confidence", "simultaneous" or "prediction"; got {asked.interval!r}.')
    check_level(asked.level)
    if asked.interval == "prediction" and asked.scale == "link":
        raise OptionError('A prediction interval is one of new responses: say scale="response".')
    if asked.new_levels not in ("raise", "nan"):
        raise OptionError(f'new_levels= is "raise" or "nan"; got {asked.new_levels!r}.')


def predict(record: Record, data: Any, asked: Asked, given: Mapping[str, Any]) -> pd.Series | pd.DataFrame:
    """Predictions for `data`: a Series, or a DataFrame with se and interval columns where they are asked for.

    Rows with missing values are missing in the result, which has the index of the data. Aliased coefficients count as
    dropped. Standard errors on the response scale are those of the delta method; an interval is that of the linear
    predictor, mapped, its ends in order.
    Raises: OptionError, LevelError, UnknownNameError, DataError; FormulaError for code that would give other
    values in the pieces of a stream than in the whole.
    """
    check(asked)
    source = open_source(data)
    own = OwnRows(lambda _: record.schema.caller)
    evaluated = own.evaluate if isinstance(source, StreamedSource) else evaluate
    found = [
        shown(record, linear_predictor(record, piece, asked, _cut(given, piece, source.rows), evaluated), asked)
        for piece in pieces_of(source, record.factors)
    ]
    own.finish()
    return found[0] if len(found) == 1 else pd.concat(found)


def _cut(given: Mapping[str, Any], piece: Source, rows: int) -> Mapping[str, Any]:
    """Of arguments with one value a row of the data, those of a piece."""
    if piece.rows == rows:
        return given
    place = slice(piece.index[0], piece.index[-1] + 1)
    own = {role: value for role, value in given.items() if has_rows(value, rows)}
    return {**given, **{r: v.iloc[place] if isinstance(v, pd.Series) else v[place] for r, v in own.items()}}


def check_without_data(asked: Asked, given: Mapping[str, Any]) -> None:
    """Nothing, for a request about the rows of the fit that means something.

    Raises: OptionError, also for an offset or exposure, which those rows have already.
    """
    check(asked)
    for role, values in given.items():
        if values is not None:
            raise OptionError(f"{role}= belongs to new rows: give predict(data, {role}=...).")


def predict_fitted(record: Record, estimate: Estimate, asked: Asked) -> pd.Series | pd.DataFrame:
    """What `predict` returns, for the rows of the fit: NaN in dropped ones.

    Raises: OptionError for a family that has no prediction interval; DataError where the data were written over.
    """
    estimate.refuse_changed_data()
    prepared = estimate.prepared
    kept = np.ones(len(prepared.index), dtype=bool) if prepared.rows is None else prepared.rows
    eta, se = _fitted_rows(record, estimate)
    return shown(record, Linear(eta, se, kept, prepared.index), asked)


def _fitted_rows(record: Record, estimate: Estimate) -> tuple[Tensor, Tensor]:
    """eta (rows,) of the rows used in the fit, and its standard error (rows,)."""
    design = estimate.prepared.whole
    objective = estimate.objective.on(design)
    raw = objective.raw(estimate.solution.theta)
    columns = design.columns[0]
    covariance = record.defined_covariance.to(design.device)[columns.positions][:, columns.positions]
    found = [
        (objective.predictors(block, raw)[:, 0].clone(), errors_of(block.columns[0].model_matrix(), covariance))
        for block in design.blocks(max(1, LARGEST_MATRIX // max(columns.width, 1)))
    ]
    eta, se = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
    return eta, se


def linear_predictor(
    record: Record, source: Source, asked: Asked, given: Mapping[str, Any], evaluated: Evaluate
) -> Linear:
    """eta of the complete rows of new data, and its standard error where `asked` needs one."""
    kept = complete_rows(record.factors, source)
    values, missing = apply(record.schema, source, kept, asked.new_levels, evaluated)
    offset = new_offset(record.offsets, record.exposure, source, kept, record.schema.caller, given, evaluated)
    missing = missing if offset is None else missing | torch.isnan(offset)
    setting = Setting(record.schema.columns(values, len(missing)), offset, len(missing))
    eta = setting.eta(record.defined_theta)
    se = eta_errors(setting, record.defined_covariance) if asked.se or asked.interval else None
    complete = ~missing
    full = np.zeros(source.rows, dtype=bool)
    full[slice(None) if kept is None else kept] = complete.numpy()
    return Linear(eta[complete], None if se is None else se[complete], full, source.index)


def shown(record: Record, linear: Linear, asked: Asked) -> pd.Series | pd.DataFrame:
    """The prediction as it is returned."""
    link = record.family.link
    center = linear.eta if asked.scale == "link" else record.family.mean(linear.eta)
    columns = {"predicted": center}
    if asked.se:
        assert linear.se is not None
        columns["se"] = linear.se if asked.scale == "link" else linear.se * link.derivative(linear.eta).abs()
    if asked.interval is not None:
        columns["lower"], columns["upper"] = _interval(record, linear, asked)
    frame = {}
    for name, values in columns.items():
        full = np.full(len(linear.kept), np.nan)
        full[linear.kept] = values.numpy()
        frame[name] = full
    if len(frame) == 1:
        return pd.Series(frame["predicted"], index=linear.index, name="predicted")
    return pd.DataFrame(frame, index=linear.index)


def _interval(record: Record, linear: Linear, asked: Asked) -> tuple[Tensor, Tensor]:
    assert linear.se is not None
    if asked.interval == "prediction":
        return prediction_interval(record, linear.eta, linear.se, asked.level)
    critical = band(record, asked.level) if asked.interval == "simultaneous" else quantile(record, asked.level)
    half = critical * linear.se
    low, high = linear.eta - half, linear.eta + half
    return (low, high) if asked.scale == "link" else mapped(record, low, high)


def band(record: Record, level: float) -> float:
    """How many standard errors hold every linear predictor at once, whatever the rows: Scheffe's constant.

    Source: Scheffe (1953); Working & Hotelling (1929): sqrt(rank F(level; rank, df)), or its limit by chi-square.
    """
    from scipy import special

    rank = record.facts.rank
    if not record.use_t:
        return float(special.chdtri(rank, 1.0 - level)) ** 0.5
    return (rank * float(special.fdtri(rank, record.reference_df, level))) ** 0.5


def mapped(record: Record, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The means at both ends of an interval of eta, in order; an end that leaves the domain is the domain's own."""
    family = record.family
    if family.link.decreasing:
        low, high = high, low
    ends = family.mean_domain
    below, above = family.mean(low), family.mean(high)
    return (
        torch.where(torch.isnan(below) & ~torch.isnan(low), ends.lower, below),
        torch.where(torch.isnan(above) & ~torch.isnan(high), ends.upper, above),
    )
