"""Effects of the variables of a fit: slopes, comparisons, adjusted predictions, estimated marginal means.

All take a Fit, use its covariance, and return tidy frames. Rows are those of the fit, or of `data`. In averages over
the rows of the fit frequency and sampling weights count, precision weights and trials do not; rows of `data` count
once. `weights=` says otherwise: a column or one value a row, or False for each row once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from torchglm.coefficients import require_fits
from torchglm.fit import Fit
from torchglm.inference.effects import comparisons as compared
from torchglm.inference.effects import emmeans as marginal
from torchglm.inference.effects import predictions as predicted
from torchglm.inference.effects import slopes as sloped
from torchglm.inference.effects.marginal_means import MarginalMeans
from torchglm.inference.effects.table import names_of
from torchglm.inference.effects.variables import chosen, variables_of
from torchglm.inference.rows import EvaluatedRows, rows_of_data, rows_of_fit

__all__ = ["MarginalMeans", "comparisons", "emmeans", "predictions", "slopes"]


def slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    *,
    data: Any = None,
    by: str | list[str] | None = None,
    average: bool = True,
    scale: str = "response",
    level: float = 0.95,
    weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
) -> pd.DataFrame:
    """Average slopes d mu / d x of numeric variables, through every term with x: a row a variable and group of `by`.

    variables  names; all numeric variables without
    average    False: the slope of each row, with the index of the data
    scale      "response", or "link" for d eta / d x
    offset, exposure  for `data`, where the fit's own were arrays

    Raises: OptionError for a variable with levels; UnknownNameError, DataError, LevelError, WeightError.
    Source: R's marginaleffects::avg_slopes, whose tests are z where ours are those of the fit.
    """
    rows = _rows(fit, data, weights, offset, exposure)
    reference = rows if fit.estimate is None or data is None else rows_of_fit(fit.record, fit.estimate)
    names = None if variables is None else names_of("variables", variables)
    return sloped.slopes(rows, reference, names, by, scale, level, average)


def comparisons(
    fit: Fit,
    variables: str | list[str] | Mapping[str, Any] | None = None,
    *,
    kind: Any = "difference",
    data: Any = None,
    by: str | list[str] | None = None,
    average: bool = True,
    scale: str = "response",
    level: float = 0.95,
    weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
) -> pd.DataFrame:
    """The mean at one value of a variable against that at another, averaged over the rows: a row a comparison.

    variables  names, or a dict of what is compared. Levels: "reference" (each against the first), "pairwise",
               "sequential" or a pair (low, high). Numbers: a step (1 without), a pair, "sd", "2sd", "iqr", "minmax"
    kind       "difference", "ratio", "lift" = (high - low) / low, or a function of the tensors (high, low); ratio and
               lift are those of averages. `statistic` tests a ratio against 1, all else against 0
    average    False: the comparison in each row, with the index of the data

    Raises: OptionError, UnknownNameError, DataError, LevelError, WeightError.
    Source: R's marginaleffects::avg_comparisons, with comparison "difference", "ratioavg" and "liftavg".
    """
    rows = _rows(fit, data, weights, offset, exposure)
    if isinstance(variables, Mapping):
        found = chosen(rows, variables)
        asked = {found[name]: choice for name, choice in variables.items()}
    else:
        known = variables_of(rows) if variables is None else chosen(rows, names_of("variables", variables))
        asked = dict.fromkeys(known.values())
    return compared.comparisons(rows, asked, kind, by, scale, level, average)


def predictions(
    fit: Fit,
    grid: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    by: str | list[str] | None = None,
    average: bool | None = None,
    scale: str = "response",
    level: float = 0.95,
    weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
) -> pd.DataFrame:
    """Predictions with std.error, conf.low and conf.high, at each row or averaged: overall, by groups, over a grid.

    grid     values of some variables, as {"age": [20, 40], "sex": None}; None for all levels. Every combination, the
             other variables at their mean or most frequent level, or with average=True each row's own
    average  True where `by` is given
    offset, exposure  for `data` or a grid, where the fit's own were arrays; one number will do for a grid

    The interval of a prediction is that of eta, mapped by the link; that of an average is estimate -+ quantile * se.
    Raises: OptionError, UnknownNameError, DataError, LevelError, WeightError.
    Source: R's marginaleffects::predictions and avg_predictions.
    """
    averaged = by is not None if average is None else average
    own = grid is not None and not averaged and data is None
    rows = _rows(fit, data, weights, *(None, None) if own else (offset, exposure))
    given = {"offset": offset, "exposure": exposure}
    return predicted.predictions(rows, grid, by, averaged, scale, level, given)


def emmeans(
    fit: Fit,
    specs: str | list[str],
    *,
    by: str | list[str] | None = None,
    at: Mapping[str, Any] | None = None,
    offset: float | None = None,
    scale: str = "link",
    level: float = 0.95,
    data: Any = None,
    weights: Any = None,
) -> MarginalMeans:
    """Estimated marginal means: `.frame`, `.pairs()`, `.contrasts()`.

    specs   "g", ["g", "h"], "g * h", or "g | h" for the levels of g within those of h
    at      values of variables; without, all levels, and numeric variables at their means over the rows
    offset  a number; without, the mean of the rows' offsets

    Other factors are averaged over with equal weights. A mean that aliased coefficients leave undefined is NaN.
    Raises: OptionError, UnknownNameError, LevelError, DataError.
    Source: R's emmeans with cov.keep = 0.
    """
    rows = _rows(fit, data, weights, None, None)
    return marginal.marginal_means(rows, fit.estimate, specs, by, at, offset, scale, level)


def _rows(fit: Fit, data: Any, weights: Any, offset: Any, exposure: Any) -> EvaluatedRows:
    from torchglm.errors import OptionError

    require_fits("An effect", fit)
    fit.record.refuse_several("An effect")
    given = {"offset": offset, "exposure": exposure}
    if data is not None:
        return rows_of_data(fit.record, data, given).with_weights(weights)
    for role, values in given.items():
        if values is not None:
            raise OptionError(f"{role}= belongs to new rows: give data= with it. The rows of the fit have their own.")
    return rows_of_fit(fit.record, fit.estimate).with_weights(weights)
