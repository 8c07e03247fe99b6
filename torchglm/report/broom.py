"""Tidy frames of a fit, named as R's broom names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.environment import names_in
from torchglm.design.prepared import Prepared
from torchglm.design.sources import Source, open_source
from torchglm.errors import OptionError
from torchglm.inference import criteria, wald
from torchglm.inference.record import Record


def tidy(record: Record, *, exponentiate: bool, conf_int: bool, level: float) -> pd.DataFrame:
    """One row a coefficient: term, estimate, std.error, statistic, p.value, and conf.low, conf.high on request.

    Source: broom::tidy.glm, whose standard errors stay on the link scale when estimates are exponentiated.
    """
    estimate, error = record.numbers.theta.numpy(), record.standard_errors.numpy()
    statistic = wald.statistics(estimate, error)
    columns = {"estimate": estimate, "std.error": error, "statistic": statistic}
    columns["p.value"] = wald.coefficient_p_values(record, statistic)
    if conf_int:
        half = wald.quantiles(record, level).numpy() * error
        columns["conf.low"], columns["conf.high"] = estimate - half, estimate + half
    if exponentiate:
        for name in ("estimate", "conf.low", "conf.high"):
            if name in columns:
                with np.errstate(over="ignore"):  # infinite beyond 709, as the end of a separated coefficient
                    columns[name] = np.exp(columns[name])
    return pd.DataFrame({"term": list(record.names), **columns})


def glance(record: Record) -> pd.DataFrame:
    """One row: null.deviance, df.null, logLik, AIC, BIC, deviance, df.residual, nobs.

    Source: broom::glance.glm.
    """
    row = {
        "null.deviance": record.numbers.null.deviance,
        "df.null": record.facts.n - float(record.null_rank),
        "logLik": record.log_likelihood,
        "AIC": criteria.aic(record),
        "BIC": criteria.bic(record),
        "deviance": record.numbers.totals.deviance,
        "df.residual": record.df_resid,
        "nobs": record.facts.n,
    }
    return pd.DataFrame([row])


def augment(data: Any, fitted: pd.Series, residuals: pd.Series, prepared: Prepared) -> pd.DataFrame:
    """The table with .fitted and .resid beside its columns, and its own index.

    Rows are those of the same labels in a pandas frame with the labels of the fit's, else those at the same place.
    Raises: OptionError for a table of another length than the fit, or with other values; DataError for what is none.
    Source: broom::augment.glm.
    """
    source = open_source(data)
    if source.rows != len(fitted):
        raise OptionError(f"augment() takes the data of the fit ({len(fitted)} rows); these have {source.rows}.")
    if isinstance(data, pd.DataFrame):
        frame = data
    else:
        frame = pd.DataFrame({name: source.column(name) for name in source.names}, index=source.index)
    places = _places(frame.index, fitted.index)
    _refuse_other_rows(source, prepared, places)
    return frame.assign(**{".fitted": fitted.to_numpy()[places], ".resid": residuals.to_numpy()[places]})


def _places(index: pd.Index, fitted: pd.Index) -> Any:
    """Where the rows of a table are among those of the fit: by labels that both have once each, else one by one."""
    if index.equals(fitted) or not (index.is_unique and fitted.is_unique):
        return slice(None)
    places = fitted.get_indexer(index)
    return slice(None) if (places < 0).any() else places


def _refuse_other_rows(source: Source, prepared: Prepared, places: Any) -> None:
    """Nothing, where the columns of the formula are those that were fitted.

    Raises: OptionError.
    """
    parsed = prepared.parsed
    factors = [*parsed.factors, *([] if parsed.response is None else [parsed.response])]
    used = {name for factor in factors for name in names_in(factor) if name in source and name in prepared.source}
    for name in sorted(used):
        if not _same(source.column(name), prepared.source.column(name).iloc[places]):
            raise OptionError(
                f"augment() takes the data of the fit: {name!r} has other values in these, or its rows are in another "
                "order. Give the data that were fitted; predict(data) takes any."
            )


def _same(one: pd.Series, other: pd.Series) -> bool:
    """Whether two columns have the same values, whichever library keeps them."""
    if pd.api.types.is_numeric_dtype(one.dtype) and pd.api.types.is_numeric_dtype(other.dtype):
        numbers = (column.to_numpy(np.float64, na_value=np.nan) for column in (one, other))
        return bool(np.allclose(*numbers, rtol=1e-6, atol=0.0, equal_nan=True))
    objects = (column.astype(object).where(column.notna(), None).to_numpy() for column in (one, other))
    return bool(np.equal(*objects).all())
